"""Writes files of lines that can be read while they grow."""

import contextlib
import os
from typing import Iterator

import tensorflow as tf

from axial_tf import errors


class LineFile:
  """A new file of lines, each of which is written at once and whole.

  A process that is killed leaves earlier lines. Remote files (gs://) appear
  when they are closed. A context manager that closes the file.
  """

  def __init__(self, path: str):
    """Begins a file; makes its folder if needed.

    Args:
      path: local path, or one of a file system that tf.io.gfile knows; an
        existing file is replaced.

    Raises:
      errors.UserError: the file cannot be written.
    """
    self._path = path
    self._size = 0
    with self._clear_errors():
      tf.io.gfile.makedirs(os.path.dirname(path) or '.')
      # Without a buffer, a line goes to the file in one piece.
      self._file = (tf.io.gfile.GFile(path, 'wb') if '://' in path
                    else open(path, 'wb', buffering=0))

  def __enter__(self) -> 'LineFile':
    return self

  def __exit__(self, *exception) -> None:
    with self._clear_errors():
      self._file.close()

  def add(self, line: str) -> None:
    """Appends a line.

    Raises:
      errors.UserError: it cannot be written; earlier lines stay.
    """
    content = f'{line}\n'.encode()
    with self._clear_errors():
      written = self._file.write(content)
      if written not in (None, len(content)):  # The disk is full.
        self._file.truncate(self._size)
        raise OSError(f'no space for {len(content)} bytes')
    self._size += len(content)

  @contextlib.contextmanager
  def _clear_errors(self) -> Iterator[None]:
    try:
      yield
    except (OSError, tf.errors.OpError) as error:
      raise errors.UserError(
          f'{self._path}: cannot be written ({errors.first_line(error)}); give '
          f'another folder') from error
