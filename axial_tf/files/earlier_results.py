"""Separates results of earlier predictions from images.

Imports nothing heavy: command-line tools use it before TensorFlow loads.
"""

import json
import os
import sys
from typing import Iterable, List, Optional, Sequence

from axial_tf import errors

# axial_tf.predict writes <name>_<picture>.png for each image, in addition to
# <name>_panoptic.png and <name>.json.
PICTURES = (
    'overlay', 'heatmap', 'offsets', 'short_offsets', 'affinities',
    'partitions', 'attention')
_ENDINGS = tuple(f'_{name}.png' for name in ('panoptic', *PICTURES))
# For evaluators, it writes folders next to this file.
_LIST = 'panoptic.json'
FOLDERS = ('panoptic', 'semantic', 'instances')


def leave_out(files: Sequence[str], searched: str, output_dir: Optional[str]
              ) -> List[str]:
  """Returns the files that are not results; prints how many are left out.

  Args:
    files: local images that were found.
    searched: the folder or pattern in which they were found.
    output_dir: folder for new results, if any; if it is below the folder that
      was searched, files in it are left out.
  """
  top, below = (os.path.join(os.path.realpath(folder or searched), '')
                for folder in (searched, output_dir))
  is_below = below.startswith(top) and below != top
  kept = [file for file in files if not _is_result(file) and not (
      is_below and os.path.realpath(file).startswith(below))]
  if len(kept) < len(files):
    print(f'{searched}: left out {len(files) - len(kept)} images that are '
          f'results of an earlier prediction', file=sys.stderr)
  return kept


def require_new(files: Sequence[str], outputs: Iterable[str]) -> None:
  """Checks that results replace nothing but earlier results.

  Args:
    files: the images.
    outputs: paths that will be written.

  Raises:
    errors.UserError: one of the images, or another file of the user, has the
      path of a result.
  """
  images = {os.path.realpath(file) for file in files}
  for path in outputs:
    if os.path.realpath(path) in images:
      raise errors.UserError(
          f'{path}: is one of the images and would be replaced by a result; '
          f'give another --output_dir')
    if (path.endswith('.json') and os.path.exists(path)
        and not _is_segments(path)):
      raise errors.UserError(
          f'{path}: is not a result of axial_tf.predict and would be replaced '
          f'by one; give another --output_dir')


def _is_result(file: str) -> bool:
  folder, name = os.path.split(file)
  parent, inner = os.path.split(folder)
  if inner in FOLDERS and os.path.isfile(os.path.join(parent, _LIST)):
    return True
  ending = next((e for e in _ENDINGS if name.endswith(e)), None)
  if ending is None:
    return False
  stem = file[:-len(ending)]
  return _is_segments(f'{stem}.json') or all(  # The client writes no JSON.
      os.path.isfile(stem + ending) for ending in _ENDINGS[:2])


def _is_segments(path: str) -> bool:
  """Whether a file lists segments as axial_tf.predict does."""
  try:
    with open(path, 'rb') as file:
      content = json.load(file)
  except (OSError, ValueError):
    return False
  return isinstance(content, dict) and {'void_id', 'segments'} <= set(content)
