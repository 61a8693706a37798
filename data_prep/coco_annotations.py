"""Reads the annotations of data sets in the layout of COCO panoptic.

  {split}/*.jpg or images/{split}/*.jpg
  annotations/panoptic_{split}.json
  annotations/panoptic_{split}/*.png
"""

import dataclasses
import json
import os
import pathlib
from typing import Any, Dict, List, Tuple

from absl import logging

from axial_tf import errors
from axial_tf.data import dataset_spec


@dataclasses.dataclass(frozen=True)
class PanopticImage:
  """One annotated image: paths, sizes and segments, small and picklable."""

  filename: str
  image_path: str
  label_path: str
  height: int
  width: int
  segments: Tuple[Dict[str, Any], ...]


def read_split(input_dir: str, split: str,
               spec: dataset_spec.DatasetSpec) -> List[PanopticImage]:
  """Returns the annotated images of a split, in the order of the JSON.

  Raises:
    errors.UserError: the folder has another layout, the JSON is unreadable or
      incomplete, it does not fit the spec, or a file is missing.
  """
  root = pathlib.Path(input_dir)
  if not root.is_dir():
    raise errors.UserError(
        f'--input_dir={input_dir}: expected a folder, found none')
  json_path = root / 'annotations' / f'panoptic_{split}.json'
  image_dirs = [root / split, root / 'images' / split]
  image_dir = next((d for d in image_dirs if d.is_dir()), None)
  label_dir = json_path.with_suffix('')
  if image_dir is None:
    raise errors.UserError(
        f'no images of split {split!r}: expected the folder {image_dirs[0]} or '
        f'{image_dirs[1]}')
  if not label_dir.is_dir():
    raise errors.UserError(
        f'no labels of split {split!r}: expected the folder {label_dir} '
        f'(unpack panoptic_{split}.zip there)')
  content = _read_json(json_path)
  _check_categories(content.get('categories', []), spec, json_path)
  images = {}
  for image in _entries(content, 'images', json_path,
                        ('id', 'file_name', 'height', 'width')):
    if images.setdefault(image['id'], image) is not image:
      raise errors.UserError(
          f'{json_path}: two images have the id {image["id"]}; ids must be '
          f'unique')
  result, annotated = [], set()
  for annotation in _entries(content, 'annotations', json_path,
                             ('image_id', 'file_name', 'segments_info')):
    image = images.get(annotation['image_id'])
    if image is None:
      raise errors.UserError(
          f'{json_path}: the annotation of {annotation["file_name"]!r} refers '
          f'to image {annotation["image_id"]}, which is not among "images"; '
          f'add it there')
    if image['id'] in annotated:
      raise errors.UserError(
          f'{json_path}: image {image["file_name"]!r} has two annotations; '
          f'remove one')
    annotated.add(image['id'])
    result.append(PanopticImage(
        filename=image['file_name'],
        image_path=_inside(image_dir, image['file_name'], json_path),
        label_path=_inside(label_dir, annotation['file_name'], json_path),
        height=image['height'],
        width=image['width'],
        segments=tuple(annotation['segments_info'])))
  if not result:
    raise errors.UserError(f'{json_path}: no annotated images; nothing to do')
  if len(images) > len(annotated):
    logging.warning(
        '%s: left out %d images that have no annotation', json_path,
        len(images) - len(annotated))
  return result


def _read_json(path: pathlib.Path) -> Dict[str, Any]:
  try:
    content = json.loads(path.read_bytes())
  except FileNotFoundError as error:
    raise errors.UserError(
        f'{path}: no such file; expected the panoptic annotations of the '
        f'split') from error
  except (OSError, ValueError) as error:
    raise errors.UserError(
        f'{path}: not a readable JSON file ({error}); copy the data '
        f'again') from error
  if not isinstance(content, dict):
    raise errors.UserError(
        f'{path}: expected a JSON object with "images" and "annotations", got '
        f'a {type(content).__name__}')
  return content


def _entries(content, key: str, path, required) -> List[Dict[str, Any]]:
  """Returns a list of the JSON after checking the keys of its entries."""
  entries = content.get(key)
  if not isinstance(entries, list):
    raise errors.UserError(
        f'{path}: expected a list under {key!r}; is this a COCO panoptic file?')
  types = {'file_name': str, 'height': int, 'width': int, 'segments_info': list}
  for number, entry in enumerate(entries):
    for name in required:
      value = entry.get(name) if isinstance(entry, dict) else None
      if not isinstance(value, types.get(name, (int, str))):
        raise errors.UserError(
            f'{path}: {key}[{number}]: expected {name!r}, got '
            f'{"nothing" if value is None else repr(value)}; this is not the '
            f'COCO panoptic format')
  return entries


def _check_categories(categories, spec, path) -> None:
  """Compares the categories of the JSON, if it lists them, with the spec."""
  for entry in categories:
    category = spec.by_source_id.get(entry.get('id'))
    if category is None:
      continue  # An error only if a segment uses it.
    if bool(entry.get('isthing', category.is_thing)) != category.is_thing:
      raise errors.UserError(
          f'{path}: category {category.id} ({entry.get("name")}) has isthing '
          f'{entry["isthing"]}, but the spec {spec.name!r} says is_thing '
          f'{str(category.is_thing).lower()} ({category.name}); correct one of '
          f'them')
    if entry.get('name', category.name) != category.name:
      logging.warning(
          '%s: category %d is called %r, in the spec %r it is %r', path,
          category.id, entry['name'], spec.name, category.name)


def _inside(folder: pathlib.Path, name: str, json_path) -> str:
  """Returns folder/name, refusing names that lead out of the folder."""
  path = pathlib.PurePath(name)
  if path.is_absolute() or '..' in path.parts:
    raise errors.UserError(
        f'{json_path}: the file name {name!r} leads out of {folder}; use names '
        f'relative to it')
  full = os.path.join(folder, name)
  if not os.path.isfile(full):
    raise errors.UserError(
        f'{full}: no such file, but {json_path} lists it; copy the data again')
  return full
