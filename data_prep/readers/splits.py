"""Interface between readers of data sets and the conversion.

Each data set has one module with

  read_split(input_dir, split, options) -> Split

It lists the images of a split and checks what can be known without opening
them; `Split.encode` does the rest, image by image, in any process.
"""

import collections
import dataclasses
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

import numpy as np

from axial_tf import settings as settings_lib
from axial_tf.panoptic import label_runs
from axial_tf.specs import dataset_spec


@dataclasses.dataclass(frozen=True)
class ReadOptions:
  """Choices that some data sets offer.

  Attributes:
    spec: name or JSON file of the spec; None takes the data set's own.
    crowds: 'keep' stores crowds as instance 0 of their class, 'ignore' as
      void.
    max_long_side: images with a longer side are shrunk to it, with their
      labels; None keeps every size.
    max_pixels: images of more pixels are refused before they are decoded.
    image_folder: name of the folder of images, in Cityscapes; None looks for
      it.
    image_ending: what follows {city}_{sequence}_{frame} in the names of
      Cityscapes' images; None takes all that begin with _leftImg8bit.
    classes: path of a file that lists classes of ImageNet, one a line, to
      which the data set is reduced; None takes all.
  """

  spec: Optional[settings_lib.Path] = None
  crowds: str = 'keep'
  max_long_side: Optional[int] = None
  max_pixels: int = 100_000_000
  image_folder: Optional[str] = None
  image_ending: Optional[str] = None
  classes: Optional[settings_lib.Path] = None

  def __post_init__(self):
    settings_lib.check_types(self)
    settings_lib.require(
        self.crowds in ('keep', 'ignore'), self, 'crowds', "'keep' or 'ignore'")
    settings_lib.require(
        self.max_long_side is None or self.max_long_side >= 1, self,
        'max_long_side', 'None or at least 1 pixel')
    settings_lib.require(
        self.max_pixels >= 1, self, 'max_pixels', 'at least 1')


@dataclasses.dataclass(frozen=True)
class Encoded:
  """The record of one image, and what it adds to the counts of its split.

  Attributes:
    serialized: a tf.train.Example, see `axial_tf.data.panoptic.records`.
    counts: per kind ('pixels', 'segments', 'crowds', 'images'), how many per
      train id; summed over the split they go to dataset_info.json.
    notice: what the user should know about this image, in words that fit all
      such images; they are counted and told once.
  """

  serialized: bytes
  counts: Mapping[str, Mapping[int, int]]
  notice: Optional[str] = None


@dataclasses.dataclass(frozen=True)
class Split:
  """One split of a data set, ready to be converted.

  Attributes:
    name: name of the shards, for instance 'train2017'.
    spec: spec of the data set: a DatasetSpec or a ClassSpec.
    images: one small picklable description per image, in the order of the
      source; each has a `filename` that names it to the user, and the paths of
      its files under names that end in `path`: a change of those files is
      noticed when a stopped conversion is resumed.
    encode: makes the record of one of `images`: a picklable pure function of
      files, which raises errors.UserError for what is wrong with them.
    is_training: its order is shuffled across the shards.
  """

  name: str
  spec: Any
  images: Sequence[Any]
  encode: Callable[[Any], Encoded]
  is_training: bool


def size_notice(stated: Optional[Tuple[int, int]],
                size: Tuple[int, int]) -> Optional[str]:
  """Returns the notice for an image of another size than its JSON states.

  Args:
    stated: (width, height) as the JSON says, None if it does not.
    size: (width, height) on which image and label agree.
  """
  if stated is None or stated == size:
    return None
  return ('the JSON has width and height exchanged (as the published '
          'panoptic_2018.json of Mapillary Vistas v1.2 does); image and PNG '
          'agree with each other and were taken')


def label_counts(
    panoptic: np.ndarray, spec: dataset_spec.DatasetSpec
) -> Dict[str, Dict[int, int]]:
  """Counts what a panoptic label int32 [height, width] holds, per train id.

  Void counts as the class `ignore_label` of 'pixels' only.
  """
  return area_counts(label_runs.areas(panoptic), spec)


def area_counts(
    areas: Mapping[int, int], spec: dataset_spec.DatasetSpec
) -> Dict[str, Dict[int, int]]:
  """As `label_counts`, from the pixels of each panoptic label of one image."""
  counts = collections.defaultdict(lambda: collections.defaultdict(int))
  for label, size in areas.items():
    train_id, instance = divmod(label, spec.label_divisor)
    counts['pixels'][train_id] += size
    if train_id == spec.ignore_label:
      continue
    is_crowd = spec.category(train_id).is_thing and instance == 0
    counts['crowds' if is_crowd else 'segments'][train_id] += 1
    counts['images'][train_id] = 1
  return {kind: dict(by_class) for kind, by_class in counts.items()}
