"""DatasetSpec: everything about a data set that is not pixels.

A custom data set needs one JSON file and no code:

  {
    "name": "my_scenes",
    "label_divisor": 256,
    "ignore_label": 255,
    "categories": [
      {"id": 7, "train_id": 0, "name": "road", "is_thing": false,
       "color": [128, 64, 128]},
      {"id": 26, "train_id": 1, "name": "car", "is_thing": true,
       "color": [0, 0, 142]}
    ],
    "merging": {"stuff_area_limit": 2048}
  }

`id` is the category's id in the source annotations (any integers), `train_id`
the model's output channel: 0, 1, 2, ... without gaps, leaving out only
`ignore_label`. `merging`, which may be absent, overrides fields of
`axial_tf.panoptic.merging_settings.MergingSettings` for this data set.

Sources of the shipped numbers:
  coco: train ids 1..133 in the order of the source ids, void 0, divisor 256
    as in DeepLab2 (so its TFRecords are readable); stuff_area_limit 4096 and
    nms_kernel 7 are those of the Panoptic-DeepLab paper, which Axial-DeepLab
    follows. DeepLab2's own COCO configurations use nms_kernel 41.
  cityscapes: ids, train ids, names and colors of its official scripts, void 255
    and divisor 1000 as in DeepLab2; stuff_area_limit 2048.
  mapillary_v1.2, mapillary_v2.0: the classes that config.json marks for
    evaluation, in its order (which is that of the ids in the panoptic JSON);
    stuff_area_limit 4096 as for COCO. Names and colors are those on which
    several public tables agree. They disagree on the order of v2.0's six
    traffic lights, so its conversion goes by names.
"""

import dataclasses
import functools
import os
import pathlib
from typing import Any, Dict, Mapping, Tuple

from axial_tf import errors
from axial_tf import settings as settings_lib
from axial_tf.files import json_files, paths
from axial_tf.panoptic import merging_settings as merging_lib
from axial_tf.specs import class_spec

_SHIPPED = pathlib.Path(__file__).resolve().parent
# Labels are stored as RGB PNG files, which hold 24 bits per pixel.
_LABEL_VALUES = 2**24


@dataclasses.dataclass(frozen=True)
class Category:
  """One class: `id` in the source, `train_id` in the model, RGB `color`."""

  id: int
  train_id: int
  name: str
  is_thing: bool
  color: Tuple[int, int, int]

  def __post_init__(self):
    settings_lib.check_types(self)
    settings_lib.require(self.id >= 0, self, 'id', 'an integer >= 0')
    settings_lib.require(
        self.train_id >= 0, self, 'train_id', 'an integer >= 0')
    settings_lib.require(bool(self.name), self, 'name', 'a non-empty name')
    settings_lib.require(
        all(0 <= c <= 255 for c in self.color), self, 'color',
        'three integers in 0..255 (red, green, blue)')


@dataclasses.dataclass(frozen=True)
class DatasetSpec:
  """Categories, label encoding and evaluation settings of a data set.

  A panoptic label is train_id * label_divisor + instance (int32): things
  count from 1, stuff has instance 0, a thing with instance 0 is a crowd, void
  is ignore_label * label_divisor.

  Raises:
    errors.UserError: the fields contradict one another.
  """

  name: str
  categories: Tuple[Category, ...]
  label_divisor: int
  ignore_label: int
  merging: Mapping[str, Any] = dataclasses.field(
      default_factory=dict, hash=False)

  def __post_init__(self):
    settings_lib.check_types(self)
    settings_lib.require(bool(self.name), self, 'name', 'a non-empty name')
    settings_lib.require(
        len(self.categories) > 0, self, 'categories', 'at least one category')
    settings_lib.require(
        self.ignore_label >= 0, self, 'ignore_label', 'an integer >= 0')
    for field in ('id', 'train_id', 'name'):
      self._check_unique(field)
    self._check_contiguous()
    limit = self._largest_divisor()
    settings_lib.require(
        2 <= self.label_divisor <= limit, self, 'label_divisor',
        f'2..{limit}: more than the instances of one class in one image, and '
        f'small enough that every label fits into 24 bits')
    self.merging_settings()

  def _check_unique(self, field: str):
    seen = {}
    for category in self.categories:
      value = getattr(category, field)
      name = f'category {category.id} ({category.name})'
      if value in seen:
        raise errors.UserError(
            f'DatasetSpec.categories: expected unique values of {field!r}, '
            f'got {value!r} for both {seen[value]} and {name}')
      seen[value] = name

  def _check_contiguous(self):
    train_ids = sorted(c.train_id for c in self.categories)
    if self.ignore_label in train_ids:
      raise errors.UserError(
          f'DatasetSpec.ignore_label: expected a value other than a train_id, '
          f'got {self.ignore_label}, the train_id of '
          f'{self.category(self.ignore_label).name!r}; choose 255, for example')
    expected = [i for i in range(len(train_ids) + 1)
                if i != self.ignore_label][:len(train_ids)]
    if train_ids != expected:
      wrong = next(t for t, e in zip(train_ids, expected) if t != e)
      raise errors.UserError(
          f'DatasetSpec.categories: expected the train ids '
          f'{expected[0]}..{expected[-1]} without gaps (only ignore_label '
          f'{self.ignore_label} is left out), got {wrong}; renumber train_id, '
          f'and keep the source\'s own ids in "id"')

  def _largest_divisor(self) -> int:
    return _LABEL_VALUES // max(self.num_classes, self.ignore_label + 1)

  @property
  def num_classes(self) -> int:
    """Channels of the semantic head: the largest train id + 1."""
    return max(c.train_id for c in self.categories) + 1

  @functools.cached_property
  def thing_ids(self) -> Tuple[int, ...]:
    """Train ids of the things, ascending."""
    return tuple(sorted(c.train_id for c in self.categories if c.is_thing))

  @functools.cached_property
  def stuff_ids(self) -> Tuple[int, ...]:
    """Train ids of the stuff, ascending."""
    return tuple(sorted(c.train_id for c in self.categories if not c.is_thing))

  @property
  def void_label(self) -> int:
    """The panoptic label of pixels that belong to no category."""
    return self.ignore_label * self.label_divisor

  @functools.cached_property
  def by_source_id(self) -> Dict[int, Category]:
    """Categories by their id in the source annotations."""
    return {c.id: c for c in self.categories}

  @functools.cached_property
  def _by_train_id(self) -> Dict[int, Category]:
    return {c.train_id: c for c in self.categories}

  def category(self, train_id: int) -> Category:
    """Returns the category with this train id; KeyError if there is none."""
    return self._by_train_id[int(train_id)]

  def has_same_labels(self, other: 'DatasetSpec') -> bool:
    """Whether a panoptic label means the same; names and merging may differ."""

    def meaning(spec):
      return (spec.label_divisor, spec.ignore_label, spec.thing_ids,
              spec.stuff_ids)

    return meaning(self) == meaning(other)

  def with_room(self, instances: int) -> 'DatasetSpec':
    """Returns a spec whose labels hold this many instances of each class.

    Where the label_divisor is too small, it becomes the next power of two, and
    where this takes more than 24 bits, the ignore_label the smallest possible.

    Raises:
      errors.UserError: the labels would still take more than 24 bits.
    """
    if instances < self.label_divisor:
      return self
    spec = self
    if instances >= self._largest_divisor():
      spec = dataclasses.replace(
          self, ignore_label=min(self.ignore_label, self.num_classes))
    limit = spec._largest_divisor()
    if instances >= limit:
      raise errors.UserError(
          f'expected at most {limit - 1} instances of a class, whose labels '
          f'fit into the 24 bits of a PNG file, got {instances}; split the '
          f'image')
    return dataclasses.replace(
        spec, label_divisor=min(limit, 2 ** instances.bit_length()))

  def summary(self) -> str:
    """Short description of the labels, for error messages."""
    return (f'{len(self.categories)} categories, label_divisor '
            f'{self.label_divisor}, ignore_label {self.ignore_label}')

  def merging_settings(self) -> merging_lib.MergingSettings:
    """Returns the settings of the merging for this data set."""
    return settings_lib.from_dict(
        merging_lib.MergingSettings, self.merging, 'DatasetSpec.merging')

  @classmethod
  def load(cls, name_or_path: str) -> 'DatasetSpec':
    """Loads a shipped spec by its name ('coco') or a JSON file by its path.

    The file may also be the dataset_info.json next to records.

    Raises:
      errors.UserError: no such file, not JSON, or a spec that is not valid.
    """
    shipped = sorted(p.stem for p in _SHIPPED.glob('*.json'))
    path = (str(_SHIPPED / f'{name_or_path}.json')
            if name_or_path in shipped else str(name_or_path))
    paths.require_reachable(path)
    if not (paths.is_remote(path) or os.path.isabs(path)
            or os.path.exists(path)):
      # A wheel has gin_configs inside the package, a source tree next to it.
      package = _SHIPPED.parent
      path = next((str(root / path) for root in (package, package.parent)
                   if (root / path).exists()), path)
    content = json_files.read(
        path, f'a shipped name ({", ".join(shipped)}) or the JSON file of a '
        f'dataset spec', 'correct it')
    return cls.from_json(class_spec.of_dataset_info(content), source=path)

  @classmethod
  def from_json(cls, content: Mapping[str, Any],
                source: str = 'JSON') -> 'DatasetSpec':
    """Builds a spec from parsed JSON; `source` is named in errors.

    Raises:
      errors.UserError: missing or unknown keys, values of a wrong type or
        fields that contradict one another.
    """
    try:
      return settings_lib.from_dict(cls, content, 'the spec')
    except errors.UserError as error:
      raise errors.UserError(f'dataset spec {source}: {error}') from error

  def to_json(self) -> Dict[str, Any]:
    """Returns what `from_json` reads, made of plain JSON types."""
    return {
        'name': self.name,
        'label_divisor': self.label_divisor,
        'ignore_label': self.ignore_label,
        'categories': [
            {**dataclasses.asdict(c), 'color': list(c.color)}
            for c in self.categories],
        'merging': dict(self.merging),
    }
