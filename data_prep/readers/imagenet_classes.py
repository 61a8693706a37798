"""Reads the classes of ImageNet, and of any data set with the same layout.

They come from a list of synsets or, without one, from the folders of train/.
Labels count from 0 in the sorted order of the ids, in every split.
"""

import os
import pathlib
from typing import Collection, Dict, Optional, Sequence, Tuple

from axial_tf import errors
from axial_tf.files import text_files
from axial_tf.specs import class_spec
from data_prep.readers import splits

_SYNSET_LISTS = ('synsets.txt', 'LOC_synset_mapping.txt', 'wnids.txt')
# Tiny ImageNet's names of all synsets, of which wnids.txt lists some.
_WORDS = 'words.txt'


def find(places: Sequence[pathlib.Path], *names: str
         ) -> Optional[pathlib.Path]:
  """Returns the first file with one of the names in one of the folders."""
  return next((place / name for name in names for place in places
               if (place / name).is_file()), None)


def read_spec(places: Sequence[pathlib.Path], folders: Sequence[str],
              options: splits.ReadOptions) -> class_spec.ClassSpec:
  """Returns the classes of a data set.

  Args:
    places: folders that may contain lists.
    folders: names of the folders of training images.
    options: options with `spec`, if given, and `classes` to use only some.

  Raises:
    errors.UserError: the classes are unknown, or a list is invalid.
  """
  if options.spec is not None:
    if options.classes is not None:
      raise errors.UserError(
          '--spec and --classes: expected one of them; both define the '
          'classes')
    return class_spec.ClassSpec.load(options.spec)
  names, source = _all_names(places, folders)
  if options.classes is not None:
    chosen = _read_names(options.classes, known=names)
    unknown = next((c for c in chosen if c not in names), None)
    if unknown is not None:
      raise errors.UserError(
          f'{options.classes}: lists {unknown!r}, which is none of the '
          f'{len(names)} classes of {source}; correct it')
    names = {class_id: name if name != class_id else names[class_id]
             for class_id, name in chosen.items()}
  return class_spec.ClassSpec.from_ids('imagenet', names, names)


def _all_names(places: Sequence[pathlib.Path], folders: Sequence[str]
               ) -> Tuple[Dict[str, str], str]:
  """Returns the names of the classes by their ids, and their origin."""
  path = find(places, *_SYNSET_LISTS)
  if path is not None:
    names, words = _read_names(path), find(places, _WORDS)
    if words is not None and all(k == name for k, name in names.items()):
      names.update({k: name for k, name in _read_names(words).items()
                    if k in names})
    return names, str(path)
  if not folders:
    raise errors.UserError(
        f'{places[0]}: the classes are unknown; expected {_SYNSET_LISTS[0]} '
        f'(one "class name" a line), or the folder train with one folder per '
        f'class')
  return {name: name for name in folders}, 'the folder train'


def _read_names(path: os.PathLike, known: Collection[str] = ()
                ) -> Dict[str, str]:
  """Reads lines of "n01440764 tench, Tinca tinca"; the name may be absent.

  Id and name may also be separated by a tab; ids with spaces are recognized
  by `known`.
  """
  names = {}
  for number, line in enumerate(text_files.lines(path), start=1):
    class_id, name = line, ''
    if line not in known:
      class_id, _, name = line.partition('\t' if '\t' in line else ' ')
      class_id, name = class_id.strip(), name.strip()
    if class_id in names:
      raise errors.UserError(
          f'{path}: line {number} lists {class_id!r} again; remove one')
    names[class_id] = name or class_id
  if not names:
    raise errors.UserError(
        f'{path}: expected one "class name" a line, found none; copy it again')
  return names
