"""Reads the classes of Mapillary Vistas: config.json, and its spec.

A label image has indices into the list of config_v1.2.json (66 classes) or
config_v2.0.json (124). The evaluated classes (65, 116) form the shipped specs;
the others (unlabeled, ambiguous things, groups of people, poles and vehicles)
are void. Classes are identified by name, such as 'object--vehicle--car',
because the panoptic JSON numbers them differently.
"""

import dataclasses
import pathlib
from typing import Any, Dict, Optional, Sequence, Tuple

from absl import logging

from axial_tf import errors
from axial_tf.files import json_files
from axial_tf.specs import dataset_spec
from data_prep.readers import coco_annotations

# Names of both versions that a panoptic JSON may list although they are void.
_NOT_EVALUATED = (
    'construction--barrier--ambiguous', 'human--person--person-group',
    'marking--discrete--ambiguous', 'object--sign--ambiguous',
    'object--support--pole-group', 'object--traffic-sign--ambiguous',
    'object--vehicle--vehicle-group', 'void--unlabeled')
_TYPES = {'name': str, 'instances': bool, 'evaluate': bool, 'color': list}


@dataclasses.dataclass(frozen=True)
class Label:
  """One class of config.json, in its order."""

  name: str
  is_thing: bool
  is_evaluated: bool
  color: Tuple[Any, ...]


def read_config(path: pathlib.Path) -> Tuple[Label, ...]:
  """Reads config.json.

  Raises:
    errors.UserError: it is damaged or incomplete.
  """
  labels = json_files.entries(
      json_files.read(str(path), 'config.json of Mapillary Vistas'), 'labels',
      str(path), _TYPES, 'copy the data set\'s own file there')
  return tuple(
      Label(label['name'], label['instances'], label['evaluate'],
            tuple(label['color'])) for label in labels)


def spec_of(labels: Optional[Sequence[Label]], version: str,
            source: str) -> dataset_spec.DatasetSpec:
  """Returns the spec that matches config.json.

  Args:
    labels: its content; None without the file.
    version: 'v1.2' or 'v2.0'.
    source: path of config.json, for errors.

  Returns:
    The shipped spec if it has the evaluated classes, otherwise one made of
    them, in their order.

  Raises:
    errors.UserError: the classes do not make a valid spec.
  """
  shipped = dataset_spec.DatasetSpec.load(f'mapillary_{version}')
  if labels is None:
    return shipped
  evaluated = [label for label in labels if label.is_evaluated]
  if ({(label.name, label.is_thing) for label in evaluated}
      == {(c.name, c.is_thing) for c in shipped.categories}):
    return shipped
  logging.warning(
      '%s: its %d classes are not those of Mapillary Vistas %s; the spec is '
      'made of them, see dataset_info.json', source, len(evaluated), version)
  return dataset_spec.DatasetSpec.from_json({
      'name': f'{shipped.name}_config',
      'label_divisor': shipped.label_divisor,
      'ignore_label': max(shipped.ignore_label, len(evaluated)),
      'categories': [
          {'id': number + 1, 'train_id': number, 'name': label.name,
           'is_thing': label.is_thing, 'color': list(label.color)}
          for number, label in enumerate(evaluated)],
      'merging': dict(shipped.merging),
  }, source=source)


def categories_by_place(
    labels: Sequence[Label], spec: dataset_spec.DatasetSpec
) -> Tuple[Optional[int], ...]:
  """Returns the spec's category id per index in config.json; None is void."""
  ids = {c.name: c.id for c in spec.categories}
  return tuple(ids.get(label.name) for label in labels)


def categories_by_json_id(
    content: Dict[str, Any], path: pathlib.Path,
    labels: Optional[Sequence[Label]], spec: dataset_spec.DatasetSpec
) -> Dict[int, Optional[int]]:
  """Returns the spec's category id per category id of a panoptic JSON.

  Args:
    content: content of the JSON.
    path: path of the JSON, for errors.
    labels: labels of config.json, None without the file.
    spec: spec of the data set.

  Returns:
    Category ids of the spec; None is void.

  Raises:
    errors.UserError: the JSON has a category that the spec lacks, or differs
      in what is a thing.
  """
  known = {c.name: c for c in spec.categories}
  void = {*_NOT_EVALUATED,
          *(label.name for label in labels or () if not label.is_evaluated)}
  result = {}
  for entry in coco_annotations.entries(
      content, 'categories', path, {'id': coco_annotations.ID, 'name': str}):
    # The published files keep the full name under supercategory.
    names = [n for n in (entry['name'], entry.get('supercategory'))
             if isinstance(n, str)]
    category = next((known[n] for n in names if n in known), None)
    if entry['id'] in result:
      raise errors.UserError(
          f'{path}: two categories have the id {entry["id"]}; ids must be '
          f'unique')
    if category is None and not void.intersection(names):
      raise errors.UserError(
          f'{path}: category {entry["id"]} ({names[0]!r:.80}) is not in the '
          f'spec {spec.name!r}; if these are custom classes, put their '
          f'config.json next to the folders of the splits')
    if category is not None:
      is_thing = json_files.number(entry.get('isthing', category.is_thing))
      if is_thing != category.is_thing:
        raise errors.UserError(
            f'{path}: category {entry["id"]} ({category.name}) has isthing '
            f'{is_thing!r:.40}, but the spec {spec.name!r} says is_thing '
            f'{str(category.is_thing).lower()}; correct one of them')
    result[entry['id']] = None if category is None else category.id
  return result
