"""Finds the images of a data set and their labels by name."""

import os
import pathlib
from typing import Dict, List, Sequence

from axial_tf import errors
from data_prep.readers import source_images, splits


def root_folder(input_dir: str, dataset: str,
                options: splits.ReadOptions) -> pathlib.Path:
  """Returns the folder of a data set that has a built-in spec.

  Raises:
    errors.UserError: there is no such folder, or another spec was requested.
  """
  if options.spec:
    raise errors.UserError(
        f'--spec=FILE.json belongs to --dataset=custom; {dataset} has a '
        f'built-in spec')
  return existing_folder(input_dir, 'input_dir')


def existing_folder(path: str, flag: str) -> pathlib.Path:
  """Returns the folder that a flag names.

  Raises:
    errors.UserError: there is no such folder.
  """
  folder = pathlib.Path(path)
  if not folder.is_dir():
    raise errors.UserError(
        f'--{flag}={path}: expected a folder, found none')
  return folder


def files_by_name(folder: pathlib.Path, patterns: List[str],
                  endings: Sequence[str]) -> Dict[str, str]:
  """Finds files; returns their paths by name without the ending.

  Raises:
    errors.UserError: two files have the same name, or one is a broken link.
  """
  found = {}
  for path in sorted(p for pattern in patterns for p in folder.glob(pattern)):
    lower = path.name.lower()
    ending = next((e for e in endings if lower.endswith(e.lower())), None)
    if ending is None or path.name.startswith('.'):
      continue
    name = path.name[:-len(ending)]
    if name in found:
      raise errors.UserError(
          f'{path}: has the name of {found[name]}; each image may exist only '
          f'once, remove one')
    listed = os.path.relpath(path, folder)
    found[name] = source_images.inside(folder, listed, folder)
  return found


def given_path(root: pathlib.Path, path: str) -> pathlib.Path:
  """Returns a path that a flag gives: as it is or, if only there, in `root`."""
  inside = root / path
  if not os.path.lexists(path) and os.path.lexists(inside):
    return inside
  return pathlib.Path(path)


def given_folder(root: pathlib.Path, path: str, flag: str) -> pathlib.Path:
  """Returns the folder at a `given_path`.

  Raises:
    errors.UserError: there is no such folder.
  """
  return existing_folder(str(given_path(root, path)), flag)
