"""Finds the files of a data set by reading each folder once.

Checking every single file takes minutes if the folders are on a shared disk.
"""

import os
import pathlib
import sys
from typing import Dict, FrozenSet, List, Set

from axial_tf import errors
from data_prep.readers import source_images, splits

# Attribute of an image's description -> name of its files in errors.
_KINDS = {'image_path': 'images', 'path': 'images', 'label_path': 'PNGs',
          'semantic_path': 'semantic PNGs', 'instance_path': 'instance PNGs'}


class Folders:
  """Cache of the names of the files in folders."""

  def __init__(self):
    self._names: Dict[str, FrozenSet[str]] = {}
    self._inside: Set[str] = set()

  def has(self, path: str) -> bool:
    """Whether there is a file at this path."""
    # The second check is for links, and for file systems that also accept
    # other spellings of a name.
    return self._is_plain(path) or os.path.isfile(path)

  def path(self, folder: pathlib.Path, name: str, lister: pathlib.Path) -> str:
    """Returns the path of a file that a data set lists, existing or not.

    Args:
      folder: folder that must contain it.
      name: its name relative to the folder.
      lister: the file that lists it, for errors.

    Raises:
      errors.UserError: the name leads out of the folder, or is not valid.
    """
    full = os.path.join(folder, name)
    parent = os.path.dirname(full)
    if parent in self._inside and not os.path.isabs(name) and (
        self._is_plain(full)
        or name.isprintable() and len(name) <= source_images.LONGEST_NAME
        and not os.path.lexists(full)):
      return full
    try:
      source_images.inside(folder, name, lister)
    except source_images.MissingFile:
      return full
    if self._is_plain(full):  # Then so are all plain files next to it.
      self._inside.add(parent)
    return full

  def _is_plain(self, path: str) -> bool:
    """Whether a folder has a file of this name that is not a link."""
    folder, name = os.path.split(path)
    if folder not in self._names:
      try:
        with os.scandir(folder) as entries:
          self._names[folder] = frozenset(
              e.name for e in entries if e.is_file(follow_symlinks=False))
      except (OSError, ValueError):
        self._names[folder] = frozenset()
    return name in self._names[folder]


def require_present(split: splits.Split, max_errors: int) -> None:
  """Counts all missing files before the first one is converted.

  Prints a line if there are some, but no more than allowed.

  Raises:
    errors.UserError: files of more than `max_errors` images are missing.
  """
  folders = Folders()
  totals: Dict[str, int] = {}
  missing: Dict[str, List[str]] = {kind: [] for kind in _KINDS.values()}
  faulty = 0
  for image in split.images:
    found = {kind: path for attribute, kind in _KINDS.items()
             if (path := getattr(image, attribute, None)) is not None}
    lost = {k: path for k, path in found.items() if not folders.has(path)}
    for kind in found:
      totals[kind] = totals.get(kind, 0) + 1
    for kind, path in lost.items():
      missing[kind].append(path)
    faulty += bool(lost)
  if not faulty:
    return
  counts = '; '.join(
      f'{len(paths)} of {totals[kind]} {kind} are missing, first: {paths[0]}'
      for kind, paths in missing.items() if paths)
  if not max_errors:
    raise errors.UserError(
        f'{counts}; copy the data again, or leave these images out with '
        f'--on_error=skip --max_errors={faulty}')
  if faulty > max_errors:
    raise errors.UserError(
        f'{counts}; {faulty} faulty images are more than --max_errors='
        f'{max_errors}; copy the data again or set --max_errors={faulty}')
  print(f'{counts}; {faulty} images are left out', file=sys.stderr)
