"""Reads many image files with a progress bar, skipping unreadable ones."""

import sys
from typing import Iterator, List, Sequence, Tuple

import numpy as np
from tqdm import tqdm

from axial_tf import errors
from axial_tf.files import images


class ImageReader:
  """Reads files in turn; a context manager that shows a progress bar.

  with ImageReader(files) as reader:
    for file, image in reader:
      ...
      reader.finish()
  require_all(files, reader.failed, 'classified')

  Attributes:
    failed: files that could not be read or processed so far.
  """

  def __init__(self, files: Sequence[str], any_size: bool = False):
    """Reads nothing yet; for `any_size` see `images.as_rgb`."""
    self.failed: List[str] = []
    self._files = files
    self._any_size = any_size
    self._bar = None

  def __enter__(self) -> 'ImageReader':
    self._bar = tqdm(
        total=len(self._files), unit=' images', file=sys.stderr)
    return self

  def __exit__(self, *exception) -> None:
    self._bar.close()

  def __iter__(self) -> Iterator[Tuple[str, np.ndarray]]:
    """Yields each file with its pixels, uint8 RGB [height, width, 3]."""
    for file in self._files:
      try:
        image = images.as_rgb(file, self._any_size)
      except errors.UserError as error:
        self.fail(file, error)
      else:
        yield file, image

  def finish(self, line: str = '') -> None:
    """Counts a file as done; `line` is printed above the progress bar."""
    if line:
      self._bar.write(line, file=sys.stdout)
    self._bar.update()

  def fail(self, file: str, error: Exception) -> None:
    """Counts a file as failed and says why."""
    self.failed.append(file)
    self._bar.update()
    self._bar.write(f'error: {" ".join(str(error).split())}', file=sys.stderr)


def require_all(files: Sequence[str], failed: Sequence[str], done: str) -> None:
  """Checks that no file has failed.

  Args:
    files: all files.
    failed: files that have failed, with their reasons already printed.
    done: what was done with the others, such as 'classified'.

  Raises:
    errors.UserError: some have failed.
  """
  if failed:
    raise errors.UserError(
        f'{len(failed)} of {len(files)} images could not be {done} (reasons '
        f'above): {", ".join(failed)}')
