"""Finds a user's image files, and names the results for them."""

import collections
import os
from typing import Dict, List, Optional

from axial_tf import errors
from axial_tf.files import earlier_results, images, paths


def find(pattern: str, output_dir: Optional[str] = None) -> List[str]:
  """Returns the files that a file name, folder or pattern stands for.

  Folders are searched with their subfolders, following links. Results of an
  earlier prediction are left out, unless such a file is named explicitly.

  Args:
    pattern: pattern of local files, where ** stands for any depth, or of remote
      ones that tf.io.gfile knows (gs://...). A file or folder with exactly
      this name takes precedence.
    output_dir: folder for new results.

  Raises:
    errors.UserError: there are none.
  """
  if paths.is_remote(pattern):
    return _find_remote(pattern)
  if os.path.isfile(pattern):
    return [pattern]
  if os.path.isdir(pattern):
    files = sorted(
        path for path in paths.walk(pattern)
        if path.lower().endswith(images.ENDINGS))
    missing = f'expected image files ({" ".join(images.ENDINGS)}) in it'
  else:
    files = [path for path in paths.matching(pattern, recursive=True)
             if os.path.isfile(path)]
    missing = 'expected an image file, a folder or a pattern of files'
  files = earlier_results.leave_out(files, pattern, output_dir)
  if not files:
    raise errors.UserError(
        f'--input: {pattern}: {missing}, found none; check the path')
  return files


def _find_remote(pattern: str) -> List[str]:
  import tensorflow as tf  # Local files do not need it.

  try:
    if tf.io.gfile.isdir(pattern):
      files = [
          f'{folder.rstrip("/")}/{name}'
          for folder, _, names in tf.io.gfile.walk(pattern) for name in names
          if name.lower().endswith(images.ENDINGS)]
    else:
      files = paths.matching(pattern)
  except tf.errors.OpError as error:
    raise errors.UserError(
        f'--input: {pattern}: cannot be listed ({errors.first_line(error)}); '
        f'check the path and your access to it') from error
  if not files:
    raise errors.UserError(
        f'--input: {pattern}: expected image files, found none; check the path')
  return sorted(files)


def output_stems(files: List[str]) -> Dict[str, str]:
  """Returns a unique path for each file, to which endings are added.

  Paths are relative to the files' common folder. An image keeps its own
  ending (`x.jpg`) where another would otherwise have the same path.
  """
  if len(files) == 1:
    root = os.path.dirname(files[0])
  else:
    root = os.path.commonpath([os.path.dirname(
        file if '://' in file else os.path.abspath(file)) for file in files])
  full = {file: os.path.relpath(file, root or '.') for file in files}
  stems = {file: os.path.splitext(name)[0] for file, name in full.items()}
  while len(set(stems.values())) < len(stems):
    counts = collections.Counter(stems.values())
    stems = {file: full[file] if counts[stem] > 1 else stem
             for file, stem in stems.items()}
  return stems
