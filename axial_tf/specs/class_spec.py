"""ClassSpec: the classes of an image classification data set.

A custom data set needs a JSON file like this, which data_prep.convert writes
into dataset_info.json:

  {
    "name": "imagenet",
    "classes": [
      {"label": 0, "id": "n01440764", "name": "tench, Tinca tinca"},
      {"label": 1, "id": "n01443537", "name": "goldfish, Carassius auratus"}
    ]
  }

`id` is the class's name in the source (a WordNet id in ImageNet), `name` one
for people. Labels count from 0 in the sorted order of the ids. That is the
order of torchvision and of tensorflow-datasets; the TFRecords of the Cloud TPU
scripts count from 1.
"""

import dataclasses
import functools
from typing import Any, Dict, Iterable, Mapping, Tuple

from axial_tf import errors
from axial_tf import settings as settings_lib
from axial_tf.files import json_files


@dataclasses.dataclass(frozen=True)
class ImageClass:
  """One class: `label` in the model, `id` in the source, readable `name`."""

  label: int
  id: str
  name: str

  def __post_init__(self):
    settings_lib.check_types(self)
    settings_lib.require(bool(self.id), self, 'id', 'a non-empty id')
    settings_lib.require(bool(self.name), self, 'name', 'a non-empty name')


@dataclasses.dataclass(frozen=True)
class ClassSpec:
  """The classes of a data set, in the order of their labels.

  Raises:
    errors.UserError: no classes, labels that are not 0, 1, 2, ..., or two
      classes with the same id.
  """

  name: str
  classes: Tuple[ImageClass, ...]

  def __post_init__(self):
    settings_lib.check_types(self)
    settings_lib.require(bool(self.name), self, 'name', 'a non-empty name')
    settings_lib.require(
        len(self.classes) > 0, self, 'classes', 'at least one class')
    seen = set()
    for position, entry in enumerate(self.classes):
      if entry.label != position:
        raise errors.UserError(
            f'ClassSpec.classes: expected the labels 0..'
            f'{len(self.classes) - 1} in order, got {entry.label} for '
            f'{entry.id!r} at position {position}; renumber them')
      if entry.id in seen:
        raise errors.UserError(
            f'ClassSpec.classes: two classes have the id {entry.id!r}; remove '
            f'one')
      seen.add(entry.id)

  @classmethod
  def from_ids(cls, name: str, ids: Iterable[str],
               names: Mapping[str, str]) -> 'ClassSpec':
    """Numbers the ids in sorted order; an id without name is its own name."""
    return cls(name, tuple(
        ImageClass(label, class_id, names.get(class_id, class_id))
        for label, class_id in enumerate(sorted(ids))))

  @property
  def num_classes(self) -> int:
    """Channels of the classifier."""
    return len(self.classes)

  @functools.cached_property
  def labels(self) -> Dict[str, int]:
    """Labels by the id in the source."""
    return {entry.id: entry.label for entry in self.classes}

  def has_same_labels(self, other: 'ClassSpec') -> bool:
    """Whether a label means the same class; names may differ."""
    return self.labels == other.labels

  def summary(self) -> str:
    """Short description of the labels, for error messages."""
    return (f'{self.num_classes} classes, {self.classes[0].id} to '
            f'{self.classes[-1].id}')

  @classmethod
  def load(cls, path: str) -> 'ClassSpec':
    """Reads a spec from its own JSON file or from a dataset_info.json.

    Raises:
      errors.UserError: no such file, not JSON, or a spec that is not valid.
    """
    content = json_files.read(
        path, 'the JSON file of a class spec, such as the dataset_info.json '
        'next to TFRecords of data_prep')
    return cls.from_json(of_dataset_info(content), source=path)

  @classmethod
  def from_json(cls, content: Mapping[str, Any],
                source: str = 'JSON') -> 'ClassSpec':
    """Builds a spec from parsed JSON; `source` is named in errors.

    Raises:
      errors.UserError: missing or unknown keys, values of a wrong type or
        fields that contradict one another.
    """
    try:
      return settings_lib.from_dict(cls, content, 'the spec')
    except errors.UserError as error:
      raise errors.UserError(f'class spec {source}: {error}') from error

  def to_json(self) -> Dict[str, Any]:
    """Returns what `from_json` reads, made of plain JSON types."""
    return {'name': self.name,
            'classes': [dataclasses.asdict(entry) for entry in self.classes]}


def of_dataset_info(content: Any) -> Any:
  """Returns the spec in the content of a dataset_info.json, or `content`."""
  if isinstance(content, dict) and {'spec', 'splits'} <= set(content):
    return content['spec']
  return content
