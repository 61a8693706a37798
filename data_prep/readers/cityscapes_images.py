"""Finds the images of Cityscapes and of the data sets derived from it.

Foggy and Rain Cityscapes have different folders and endings, and several images
for each label:

  leftImg8bit_foggy/{split}/{city}/{name}_leftImg8bit_foggy_beta_0.02.png

where {name} is {city}_{sequence}_{frame}, as in the names of the labels.
"""

import collections
import dataclasses
import os
import pathlib
import re
from typing import Collection, Dict, List, Optional

from absl import logging

from axial_tf import errors
from axial_tf.files import images
from data_prep.readers import partner_files, splits

_FOLDER = 'leftImg8bit'
_IMAGE = re.compile(r'(?P<name>.+?)(?P<ending>_leftImg8bit.*)')


@dataclasses.dataclass(frozen=True)
class Images:
  """Images of a split.

  Attributes:
    folder: path of the folder of the cities.
    by_name: paths by {name}; several if one label has several images.
    ending: part of the first image's file name after {name}.
    is_original: whether there should be an image for each label. The derived
      data sets have images for some of them.
  """

  folder: pathlib.Path
  by_name: Dict[str, List[str]]
  ending: str
  is_original: bool

  def paths(self, name: str) -> List[str]:
    """Returns the paths of a label's images, existing or missing."""
    if name in self.by_name or not self.is_original:
      return self.by_name.get(name, [])
    return [os.path.join(
        self.folder, name.split('_')[0], f'{name}{self.ending}')]

  def tell_left_out(self, names: Collection[str]) -> None:
    """Warns about labels, given by {name}, that have no image."""
    left_out = len(set(names) - self.by_name.keys())
    if left_out and not self.is_original:
      logging.warning('%s: has no image for %d of %d labels; left them out',
                      self.folder, left_out, len(names))


def find(root: pathlib.Path, split: str, options: splits.ReadOptions,
         may_be_flat: bool) -> Images:
  """Finds the images of a split.

  Args:
    root: folder of the data set.
    split: 'train', for instance.
    options: options with `image_folder` and `image_ending`, if given.
    may_be_flat: whether the images of all splits may be in one folder.

  Raises:
    errors.UserError: there are none, an image exists twice, or there are
      several folders.
  """
  top = root / (options.image_folder or _only_folder(root, split))
  folder = top / split
  if not folder.is_dir():
    if not (may_be_flat and top.is_dir()):
      raise errors.UserError(
          f'no images of split {split!r}: expected the folder {folder} (splits '
          f'are train, val, test and train_extra; unpack leftImg8bit_*.zip in '
          f'{root}, or give another folder of images with --image_folder)')
    folder = top
  files = partner_files.files_by_name(
      folder, ['*', '*/*'], images.ENDINGS)
  by_name, endings = collections.defaultdict(list), collections.Counter()
  for path in files.values():
    name, ending = _parts(os.path.basename(path), options.image_ending)
    if name:
      by_name[name].append(path)
      endings[ending] += 1
  if not by_name:
    raise errors.UserError(
        f'{folder}: holds no *{options.image_ending or f"_{_FOLDER}.png"}; '
        f'unpack them there, or give their ending with --image_ending')
  if len(endings) > 1:
    logging.warning(
        '%s: its images have %d endings, such as %s and %s; all of them are '
        'used, --image_ending=%s would use one', folder, len(endings),
        *list(endings)[:2], next(iter(endings)))
  return Images(
      folder, dict(by_name), next(iter(endings)), top == root / _FOLDER)


def _parts(file_name: str, ending: Optional[str]):
  """Returns {name} and the rest of a file name, or None twice."""
  if ending is not None:
    if file_name.endswith(ending):
      return file_name[:-len(ending)], ending
    return None, None
  match = _IMAGE.fullmatch(file_name)
  return (match['name'], match['ending']) if match else (None, None)


def _only_folder(root: pathlib.Path, split: str) -> str:
  """Returns the name of the folder of images: Cityscapes' own, or the only one.
  """
  if (root / _FOLDER).is_dir():
    return _FOLDER
  found = sorted(path.name for path in root.iterdir()
                 if path.name.startswith(_FOLDER) and (path / split).is_dir())
  if len(found) > 1:
    raise errors.UserError(
        f'{root}: has {len(found)} folders of images, {", ".join(found)}; '
        f'choose one with --image_folder={found[0]}')
  return found[0] if found else _FOLDER
