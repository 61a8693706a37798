"""Selects the images of a split by a list of names or by a fraction.

A fraction goes by a hash of each group's name, so that new images move no
others between train and val.
"""

import collections
import dataclasses
import hashlib
import os
import pathlib
import re
from typing import Any, Dict, List, Optional, Sequence

from axial_tf import errors
from axial_tf.files import text_files
from axial_tf.settings import check_types

_SPLITS = ('train', 'val')


@dataclasses.dataclass(frozen=True)
class Selection:
  """The images of a data set that belong to a split; the default is all.

  Attributes:
    file_list: path of a file with one image name per line.
    val_fraction: share of the groups that make up 'val'; the others are
      'train'.
    split_seed: seed of the division; another one gives other images.
    group_by: regular expression whose first group, in an image's name, names
      the group that must not be divided; None makes each image a group.

  Raises:
    errors.UserError: a value is not valid, or of no use without another.
  """

  file_list: Optional[str] = None
  val_fraction: Optional[float] = None
  split_seed: int = 0
  group_by: Optional[str] = None

  def __post_init__(self):
    check_types(self)
    if self.val_fraction is None:
      for name, is_given in (('group_by', self.group_by is not None),
                             ('split_seed', self.split_seed != 0)):
        if is_given:
          raise errors.UserError(
              f'--{name} belongs to --val_fraction, which is missing; add it, '
              f'or leave --{name} out')
    elif not 0 < self.val_fraction < 1:
      raise errors.UserError(
          f'--val_fraction: expected a number between 0 and 1, got '
          f'{self.val_fraction:g}; 0.2 is usual')
    if self.group_by is not None:
      self._check_pattern()

  def _check_pattern(self):
    try:
      has_group = re.compile(self.group_by).groups > 0
    except re.error as error:
      raise errors.UserError(
          f'--group_by={self.group_by}: expected a regular expression, but '
          f'{error}; correct it') from error
    if not has_group:
      raise errors.UserError(
          f'--group_by={self.group_by}: expected a group in parentheses, '
          f"found none; '^([^_]+)_' takes what precedes the first _")

  @property
  def is_partial(self) -> bool:
    """Whether it divides a data set, which need not be divided before."""
    return self.file_list is not None or self.val_fraction is not None

  def select(self, images: Sequence[Any], split: str,
             undivided: Optional[pathlib.Path] = None) -> List[Any]:
    """Returns the images of a split, in their order; prints their share.

    Args:
      images: descriptions with a unique `filename`.
      split: name of the split; for a fraction 'train' or 'val'.
      undivided: their source, if it does not say to which split they belong.

    Raises:
      errors.UserError: none are left, a listed name is not among them, a name
        does not match `group_by`, or the fraction has no such split.
    """
    images = list(images)
    if self.file_list is not None:
      images = _listed(images, self.file_list)
    if self.val_fraction is not None:
      images = self._part(images, split)
    if undivided is not None and not self.is_partial:
      print(f'{undivided}: all its {len(images)} images are taken for {split}; '
            f'--val_fraction or --file_list takes a part')
    return images

  def _part(self, images: List[Any], split: str) -> List[Any]:
    if split not in _SPLITS:
      raise errors.UserError(
          f'--split={split}: expected train or val with --val_fraction; choose '
          f'one of them')
    groups = collections.defaultdict(list)
    for image in images:
      groups[self._group(image.filename)].append(image)
    chosen = {name for name in groups
              if self._is_val(name) == (split == 'val')}
    if not chosen:
      raise errors.UserError(
          f'--val_fraction={self.val_fraction:g}: leaves no image for {split} '
          f'({len(images)} images in {len(groups)} groups); change it, or try '
          f'another --split_seed')
    result = [image for image in images
              if self._group(image.filename) in chosen]
    print(f'{split}: {len(result)} of {len(images)} images '
          f'({len(result) / len(images):.1%}), {len(chosen)} of {len(groups)} '
          f'groups')
    return result

  def _group(self, filename: str) -> str:
    if self.group_by is None:
      return filename
    match = re.search(self.group_by, filename)
    if match is None or match[1] is None:
      raise errors.UserError(
          f'--group_by={self.group_by}: does not match the image name '
          f'{filename!r}; every image needs a group')
    return match[1]

  def _is_val(self, group: str) -> bool:
    digest = hashlib.sha256(
        f'{self.split_seed}:{group}'.encode(errors='surrogatepass')).digest()
    return int.from_bytes(digest[:8], 'big') < self.val_fraction * 2**64


def _listed(images: List[Any], path: str) -> List[Any]:
  """Returns the images that a file lists, with or without their endings."""
  lines = text_files.lines(path, 'a list of image names, one per line')
  names = [os.path.normpath(line.replace('\\', '/')) for line in lines if line]
  if not names:
    raise errors.UserError(
        f'--file_list={path}: is empty; expected one image name per line')
  by_name: Dict[str, List[Any]] = collections.defaultdict(list)
  for image in images:
    normal = os.path.normpath(image.filename)
    for name in {normal, os.path.splitext(normal)[0]}:
      by_name[name].append(image)
  chosen = set()
  for name in names:
    found = by_name.get(name, [])
    if len(found) != 1:
      raise errors.UserError(
          f'--file_list={path}: {name!r} is the name of {len(found)} images; '
          f'expected names such as {images[0].filename!r}')
    if found[0].filename in chosen:
      raise errors.UserError(
          f'--file_list={path}: lists {name!r} twice; remove one')
    chosen.add(found[0].filename)
  return [image for image in images if image.filename in chosen]
