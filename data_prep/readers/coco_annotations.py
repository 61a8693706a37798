"""Reads lists of images and segments in the layout of COCO panoptic."""

import dataclasses
import os
import pathlib
from typing import Any, Dict, List, Optional, Tuple

from absl import logging

from axial_tf import errors
from axial_tf.files import images as images_lib
from axial_tf.files import json_files
from axial_tf.specs import dataset_spec
from data_prep.readers import listed_files, partner_files
from data_prep.readers import selection as selection_lib

# Types of the ids of images and categories.
ID = (int, str)
_IMAGE = {'id': ID, 'file_name': str, 'height': int, 'width': int}
_ANNOTATION = {'image_id': ID, 'file_name': str, 'segments_info': list}


@dataclasses.dataclass(frozen=True)
class PanopticImage:
  """One image: paths, sizes and segments, small and picklable.

  `label_path` is None for an image of a test split; `height` and `width` are
  None if only the image itself defines them.
  """

  filename: str
  image_path: str
  label_path: Optional[str]
  height: Optional[int]
  width: Optional[int]
  segments: Tuple[Dict[str, Any], ...]

  @property
  def size(self) -> Optional[Tuple[int, int]]:
    """(width, height) from the JSON, None if it has none."""
    return None if self.width is None else (self.width, self.height)


def read_split(input_dir: str, split: str,
               spec: dataset_spec.DatasetSpec) -> List[PanopticImage]:
  """Returns the images of a split, in the order of its JSON.

  Raises:
    errors.UserError: the folder has another layout, the JSON is unreadable or
      incomplete, it does not match the spec, a name or id is duplicated, a
      file is outside the folder.
  """
  root = partner_files.existing_folder(input_dir, 'input_dir')
  json_path = annotations_path(input_dir, split)
  image_dir = _first_folder(
      [root / split, root / 'images' / split], f'no images of split {split!r}',
      '')
  if not json_path.exists() and split.startswith('test'):
    return _read_test(root, split, image_dir)
  content = read_json(json_path)
  label_dir = _first_folder(
      [json_path.with_suffix(''), root / json_path.stem],
      f'no labels of split {split!r}', f' (unpack panoptic_{split}.zip there)')
  check_categories(content, spec, json_path)
  return annotated_images(content, json_path, image_dir, label_dir)


def annotated_images(
    content: Dict[str, Any], json_path: pathlib.Path, image_dir: pathlib.Path,
    label_dir: pathlib.Path) -> List[PanopticImage]:
  """Returns the images that a panoptic JSON annotates, in its order.

  Their files may be missing, see `listed_files.require_present`.

  Args:
    content: content of the JSON.
    json_path: its path, for errors.
    image_dir: folder of its images.
    label_dir: folder of its PNGs.

  Raises:
    errors.UserError: an entry is incomplete, a name or id is duplicated, a
      file is outside its folder.
  """
  images = images_by_id(content, json_path)
  folders = listed_files.Folders()
  result, label_names = {}, set()
  for annotation in entries(content, 'annotations', json_path, _ANNOTATION):
    image = images.get(annotation['image_id'])
    if image is None:
      raise errors.UserError(
          f'{json_path}: the annotation of {annotation["file_name"]!r} refers '
          f'to image {annotation["image_id"]}, which is not among "images"; '
          f'add it there')
    if image['id'] in result:
      raise errors.UserError(
          f'{json_path}: image {image["file_name"]!r} has two annotations; '
          f'remove one')
    add_unique(label_names, annotation['file_name'], json_path)
    result[image['id']] = PanopticImage(
        filename=image['file_name'],
        image_path=folders.path(image_dir, image['file_name'], json_path),
        label_path=folders.path(
            label_dir, annotation['file_name'], json_path),
        height=image['height'],
        width=image['width'],
        segments=tuple(annotation['segments_info']))
  if not result:
    raise errors.UserError(f'{json_path}: no annotated images; nothing to do')
  if len(images) > len(result):
    logging.warning(
        '%s: left out %d images that have no annotation', json_path,
        len(images) - len(result))
  return list(result.values())


def source_split(input_dir: str, split: str,
                 selection: selection_lib.Selection) -> str:
  """Returns the split whose JSON has the images of a split.

  That is the split itself or, if a fraction divides the data, the only one.

  Raises:
    errors.UserError: a fraction, and not exactly one JSON.
  """
  if selection.val_fraction is None:
    return split
  found = sorted(
      annotations_path(input_dir, '').parent.glob('panoptic_*.json'))
  if len(found) != 1:
    raise errors.UserError(
        f'--val_fraction: expected one panoptic_*.json in {input_dir}/'
        f'annotations to divide, found {len(found)}; convert its splits '
        f'without --val_fraction, or leave one JSON there')
  return found[0].stem[len('panoptic_'):]


def annotations_path(input_dir: str, split: str) -> pathlib.Path:
  """Returns the path of a split's JSON."""
  return pathlib.Path(input_dir) / 'annotations' / f'panoptic_{split}.json'


def _read_test(root: pathlib.Path, split: str,
               image_dir: pathlib.Path) -> List[PanopticImage]:
  """Returns the images of a split without annotations."""
  json_path = root / 'annotations' / f'image_info_{split}.json'
  if json_path.exists():
    listed = images_by_id(read_json(json_path), json_path).values()
    named = [(i['file_name'], i['height'], i['width']) for i in listed]
  else:
    json_path = image_dir
    named = [(name, None, None) for name in sorted(os.listdir(image_dir))
             if name.lower().endswith(images_lib.ENDINGS)]
  if not named:
    raise errors.UserError(f'{json_path}: no images; nothing to do')
  folders = listed_files.Folders()
  return [
      PanopticImage(
          filename=name, label_path=None, height=height, width=width,
          image_path=folders.path(image_dir, name, json_path),
          segments=())
      for name, height, width in named]


def _first_folder(folders: List[pathlib.Path], problem: str,
                  advice: str) -> pathlib.Path:
  """Returns the first of two folders that exists."""
  for folder in folders:
    if folder.is_dir():
      return folder
  raise errors.UserError(
      f'{problem}: expected the folder {folders[0]} or {folders[1]}{advice}')


def images_by_id(content: Dict[str, Any], path: pathlib.Path
                 ) -> Dict[Any, Dict[str, Any]]:
  """Returns the images of a JSON by their ids.

  Raises:
    errors.UserError: an entry is incomplete, a name or id is duplicated.
  """
  images, names = {}, set()
  for image in json_files.entries(
      content, 'images', str(path), _IMAGE, 'this is not the COCO format'):
    if images.setdefault(image['id'], image) is not image:
      raise errors.UserError(
          f'{path}: two images have the id {image["id"]}; ids must be unique '
          f'(1, "1" and "01" are the same id)')
    add_unique(names, image['file_name'], path)
  return images


def add_unique(names: set, name: str, path: pathlib.Path) -> None:
  """Adds a file name; other spellings of it count as the same.

  Raises:
    errors.UserError: it is there already; `path` is the file that lists it.
  """
  normal = os.path.normpath(name)
  if normal in names:
    raise errors.UserError(
        f'{path}: the file name {name!r} is listed twice; remove one')
  names.add(normal)


def read_json(path: pathlib.Path) -> Dict[str, Any]:
  """Returns the content of a JSON in one of COCO's formats.

  Raises:
    errors.UserError: no such file, or it is not a JSON object.
  """
  content = json_files.read(
      path, 'the annotations of the split', 'copy the data again')
  if not isinstance(content, dict):
    raise errors.UserError(
        f'{path}: expected a JSON object with "images" and "annotations", got '
        f'a {type(content).__name__}')
  return content


def entries(content: Dict[str, Any], key: str, path: pathlib.Path,
            fields: Dict[str, Any]) -> List[Dict[str, Any]]:
  """Returns a list of the JSON, see `json_files.entries`."""
  return json_files.entries(
      content, key, str(path), fields, 'this is not the COCO panoptic format')


def check_categories(content: Dict[str, Any], spec: dataset_spec.DatasetSpec,
                     path: pathlib.Path) -> None:
  """Compares the categories of the JSON, if it lists them, with the spec.

  Other names are only warned about.

  Raises:
    errors.UserError: a category is a thing in one of them and stuff in the
      other.
  """
  if 'categories' not in content:
    return
  for entry in entries(content, 'categories', path, {'id': ID}):
    category = spec.by_source_id.get(entry['id'])
    if category is None:
      continue  # An error only if a segment uses it.
    is_thing = json_files.number(entry.get('isthing', category.is_thing))
    if is_thing != category.is_thing:
      raise errors.UserError(
          f'{path}: category {category.id} ({entry.get("name")}) has isthing '
          f'{is_thing!r:.40}, but the spec {spec.name!r} says is_thing '
          f'{str(category.is_thing).lower()} ({category.name}); correct one of '
          f'them')
    if entry.get('name', category.name) != category.name:
      logging.warning(
          '%s: category %d is called %.80r, in the spec %r it is %r', path,
          category.id, entry['name'], spec.name, category.name)
