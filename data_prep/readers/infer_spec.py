"""Writes the spec of own data from its annotations."""

import collections
import colorsys
import json
import os
import pathlib
from typing import Any, Dict, List, NamedTuple, Tuple

from axial_tf import errors
from axial_tf.files import atomic_files, json_files
from axial_tf.specs import dataset_spec
from data_prep.readers import coco_annotations, splits

_IGNORE_LABEL = 255
_LABEL_DIVISOR = 256
# Hues at multiples of it are never close to an earlier hue.
_GOLDEN_RATIO = 0.6180339887


class Found(NamedTuple):
  """Categories of a data set.

  Attributes:
    entries: dicts with 'id', 'name', 'isthing' and maybe 'color', as in COCO's
      panoptic JSON.
    most_instances: largest number of instances of a class in an image.
    source: file or folder they come from, for errors.
  """

  entries: List[Dict[str, Any]]
  most_instances: int
  source: pathlib.Path


def write_spec(input_dir: str, path: str, found: Found
               ) -> dataset_spec.DatasetSpec:
  """Makes a spec from categories and writes it as JSON.

  Train ids count from 0 in the order of the source ids. The colors are those
  of the data or, if it lacks one, distinct ones. The divisor is 256, or more if
  an image has more instances of a class.

  Args:
    input_dir: folder of the data, after which the spec is named.
    path: path of the spec.
    found: categories of the data.

  Raises:
    errors.UserError: the categories are incomplete, or `path` cannot be
      written.
  """
  listed = sorted(found.entries, key=lambda entry: str(entry['id']).zfill(20))
  try:
    categories = tuple(
        _category(entry, number) for number, entry in enumerate(listed))
    spec = dataset_spec.DatasetSpec(
        name=pathlib.Path(os.path.abspath(input_dir)).name,
        categories=categories,
        label_divisor=_label_divisor(found.most_instances),
        ignore_label=max(_IGNORE_LABEL, len(categories)))
  except errors.UserError as error:
    raise errors.UserError(f'{found.source}: {error}') from error
  atomic_files.write(
      path, json.dumps(spec.to_json(), indent=2).encode() + b'\n')
  return spec


def find(input_dir: str, split: str, options: splits.ReadOptions) -> Found:
  """Returns the categories of a split in COCO's panoptic layout.

  Raises:
    errors.UserError: no JSON, or its lists are incomplete.
  """
  source = coco_annotations.annotations_path(
      input_dir,
      coco_annotations.source_split(input_dir, split, options.selection))
  content = coco_annotations.read_json(source)
  return Found(
      coco_annotations.entries(
          content, 'categories', source, {'id': coco_annotations.ID}),
      _most_instances(content, source), source)


def _category(entry: Dict[str, Any], number: int) -> dataset_spec.Category:
  """Returns category `number` of the spec from an entry of the JSON."""
  is_thing = json_files.number(entry.get('isthing'))
  if is_thing not in (0, 1):
    raise errors.UserError(
        f'category {entry["id"]}: expected "isthing" 0 or 1, got '
        f'{is_thing!r:.40}; add it')
  color = entry.get('color')
  return dataset_spec.Category(
      id=entry['id'], train_id=number, name=entry.get('name', ''),
      is_thing=bool(is_thing),
      color=_color(number) if color is None else color)


def _color(number: int) -> Tuple[int, ...]:
  """Returns a color that differs from those of other numbers."""
  red_green_blue = colorsys.hsv_to_rgb(
      number * _GOLDEN_RATIO % 1, 1 - 0.25 * (number % 3),
      1 - 0.2 * (number // 3 % 3))
  return tuple(round(255 * c) for c in red_green_blue)


def _most_instances(content: Dict[str, Any], source: pathlib.Path) -> int:
  most = 0
  for annotation in coco_annotations.entries(
      content, 'annotations', source, {'segments_info': list}):
    used = collections.Counter(
        str(json_files.number(segment.get('category_id')))
        for segment in annotation['segments_info']
        if isinstance(segment, dict))
    most = max([most, *used.values()])
  return most


def _label_divisor(most_instances: int) -> int:
  """Returns 256, or the power of 2 above the largest number of instances."""
  divisor = _LABEL_DIVISOR
  while divisor <= most_instances:
    divisor *= 2
  return divisor
