"""Defines the interface between readers of data sets and the conversion.

Each data set has one module with

  read_split(input_dir, split, options) -> Split

It lists the images of a split and checks what it can without opening them;
`Split.encode` does the rest, image by image, in any process.
"""

import collections
import dataclasses
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

import numpy as np

from axial_tf import errors
from axial_tf import settings as settings_lib
from axial_tf.panoptic import label_runs
from axial_tf.specs import dataset_spec
from data_prep.readers import selection as selection_lib


@dataclasses.dataclass(frozen=True)
class DataPaths:
  """Paths of own data whose layout is not found without them.

  Attributes:
    annotations: COCO instance JSON.
    image_dir: folder of the images.
    semantic_dir: folder of PNGs of classes.
    instance_dir: folder of PNGs of instances.
  """

  annotations: Optional[str] = None
  image_dir: Optional[str] = None
  semantic_dir: Optional[str] = None
  instance_dir: Optional[str] = None


@dataclasses.dataclass(frozen=True)
class ReadOptions:
  """Options of some data sets.

  Attributes:
    spec: name or JSON file of the spec; None uses the built-in one.
    crowds: 'keep' stores crowds as instance 0 of their class, 'ignore' as
      void.
    max_long_side: images with a longer side are shrunk to it, with their
      labels; None keeps every size.
    max_pixels: images of more pixels are rejected before they are decoded.
    image_folder: name of the folder of images, in Cityscapes; None searches
      for it.
    image_ending: part after {city}_{sequence}_{frame} in the names of
      Cityscapes' images; None takes all that start with _leftImg8bit.
    classes: path of a file that lists classes of ImageNet, one per line, to
      which the data set is reduced; None takes all.
    paths: paths of own data.
    selection: images of own data that belong to the split.
    background: name of the stuff class of all pixels without annotation; None
      makes them void.
    overlap: 'area' to draw smaller instances above larger ones, 'order' to
      draw later ones above earlier ones, or the name of a number of each
      annotation, of which the larger is above.
    instances: 'components' to make each connected component of a thing class
      an instance; None reads instance PNGs.
  """

  spec: Optional[settings_lib.Path] = None
  crowds: str = 'keep'
  max_long_side: Optional[int] = None
  max_pixels: int = 100_000_000
  image_folder: Optional[str] = None
  image_ending: Optional[str] = None
  classes: Optional[settings_lib.Path] = None
  paths: DataPaths = DataPaths()
  selection: selection_lib.Selection = selection_lib.Selection()
  background: Optional[str] = None
  overlap: str = 'area'
  instances: Optional[str] = None

  def __post_init__(self):
    settings_lib.check_types(self)
    settings_lib.require(
        self.crowds in ('keep', 'ignore'), self, 'crowds', "'keep' or 'ignore'")
    settings_lib.require(
        self.max_long_side is None or self.max_long_side >= 1, self,
        'max_long_side', 'None or at least 1 pixel')
    settings_lib.require(
        self.max_pixels >= 1, self, 'max_pixels', 'at least 1')
    settings_lib.require(
        self.instances in (None, 'components'), self, 'instances',
        "None or 'components'")

  def given(self) -> Dict[str, Any]:
    """Returns the options that are not at their defaults, by their flags."""
    result = {}
    for group in (self, self.paths, self.selection):
      for field in dataclasses.fields(group):
        value = getattr(group, field.name)
        if value != field.default and not dataclasses.is_dataclass(value):
          result[field.name] = value
    return result

  def load_spec(self, dataset: str) -> dataset_spec.DatasetSpec:
    """Returns the spec of own data.

    Args:
      dataset: name of the type of data, for errors.

    Raises:
      errors.UserError: no spec is given, or it is not valid.
    """
    if not self.spec:
      raise errors.UserError(
          f'--spec=FILE.json belongs to --dataset={dataset}: a JSON file with '
          f'the categories; --infer_spec=FILE.json writes one')
    return dataset_spec.DatasetSpec.load(self.spec)


@dataclasses.dataclass(frozen=True)
class Encoded:
  """The record of one image, and its share of the split's counts.

  Attributes:
    serialized: a tf.train.Example, see `axial_tf.data.panoptic.records`.
    counts: counts by type ('pixels', 'segments', 'crowds', 'images') and train
      id; their sums over the split go to dataset_info.json.
    notice: message to the user, the same for all images with the same issue;
      they are counted and reported once.
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
      source; each has a `filename` for messages, and the paths of its files
      under names that end in `path`: a change of those files is detected when
      a stopped conversion is resumed.
    encode: function that makes the record of one of `images`: a picklable pure
      function of files, which raises errors.UserError if they are faulty.
    is_training: whether to shuffle the images across the shards.
  """

  name: str
  spec: Any
  images: Sequence[Any]
  encode: Callable[[Any], Encoded]
  is_training: bool


def size_notice(stated: Optional[Tuple[int, int]],
                size: Tuple[int, int]) -> Optional[str]:
  """Returns the notice for an image with another size than in its JSON.

  Args:
    stated: (width, height) from the JSON, None if it has none.
    size: (width, height) on which image and label agree.
  """
  if stated is None or stated == size:
    return None
  return ('the JSON has width and height swapped (as the published '
          'panoptic_2018.json of Mapillary Vistas v1.2 does); image and PNG '
          'agree with each other and were used')


def label_counts(
    panoptic: np.ndarray, spec: dataset_spec.DatasetSpec
) -> Dict[str, Dict[int, int]]:
  """Counts the contents of a label int32 [height, width], per train id.

  Void is counted only in 'pixels', as the class `ignore_label`.
  """
  return area_counts(label_runs.areas(panoptic), spec)


def area_counts(
    areas: Mapping[int, int], spec: dataset_spec.DatasetSpec
) -> Dict[str, Dict[int, int]]:
  """Like `label_counts`, from the area of each panoptic label of an image."""
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
