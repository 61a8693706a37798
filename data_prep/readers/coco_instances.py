"""Reads COCO instance annotations: polygons and run lengths of things.

The layouts are those of `instance_layouts`, the rules for overlaps those of
`instance_masks`. What no instance covers has the class of a semantic PNG, is
one background class, or void.
"""

import dataclasses
import functools
import os
import pathlib
from typing import Any, Dict, List, Optional, Tuple

from axial_tf import errors
from axial_tf.files import json_files
from axial_tf.specs import dataset_spec
from data_prep.readers import (
  coco_annotations,
  instance_layouts,
  instance_masks,
  label_records,
  label_segments,
  listed_files,
  partner_files,
  semantic_masks,
  splits,
)

_ANNOTATION = {'image_id': coco_annotations.ID,
               'category_id': coco_annotations.ID}
_ADVICE = "this is not COCO's format of instances"
_HIDDEN = ('instances that others cover completely, or that have no pixel, '
           'were left out')


@dataclasses.dataclass(frozen=True)
class InstanceImage:
  """One image: its paths, size and annotations, small and picklable.

  Attributes:
    filename: name of the image in its folder.
    image_path: path of the image.
    semantic_path: path of its PNG of classes, if there is one.
    size: (width, height) from the JSON.
    annotations: dicts with 'id', 'category_id', 'iscrowd', 'segmentation' and
      'above', see `instance_masks.draw`.
  """

  filename: str
  image_path: str
  semantic_path: Optional[str]
  size: Tuple[int, int]
  annotations: Tuple[Dict[str, Any], ...]


def read_split(input_dir: str, split: str,
               options: splits.ReadOptions) -> splits.Split:
  """Lists the images of a split, with and without annotations.

  Raises:
    errors.UserError: no spec is given, no JSON or no image is found, an entry
      of the JSON is incomplete or does not match the spec, a name is
      duplicated or leads out of the folder.
  """
  spec = options.load_spec('coco_instances')
  background = _background(spec, options.background)
  found = instance_layouts.find(input_dir, split, options)
  content, listed = read(found.json_path)
  coco_annotations.check_categories(content, spec, found.json_path)
  by_image = _annotations_by_image(
      content, listed, spec, options.overlap, found.json_path)
  folder, names = instance_layouts.locate(listed, found)
  semantic_dir = semantic_folder(input_dir, options)
  files = listed_files.Folders()
  images = [
      InstanceImage(
          filename=names[key],
          image_path=files.path(folder, names[key], found.json_path),
          semantic_path=semantic_dir and semantic_path(
              semantic_dir, names[key], files),
          size=(image['width'], image['height']),
          annotations=tuple(by_image.get(key, ())))
      for key, image in listed.items()]
  return splits.Split(
      name=split,
      spec=spec,
      images=options.selection.select(
          images, split, found.json_path if found.is_undivided else None),
      encode=functools.partial(
          encode, spec=spec, background=background, options=options,
          source=str(found.json_path)),
      is_training=split.startswith('train'))


def read(json_path: pathlib.Path) -> Tuple[Dict[str, Any], Dict[Any, Any]]:
  """Returns the content of an instance JSON, and its images by their ids.

  The annotations are complete but for their masks.

  Raises:
    errors.UserError: an entry is incomplete, an image has no pixels, a name
      or id is duplicated, an annotation refers to no image.
  """
  content = coco_annotations.read_json(json_path)
  listed = coco_annotations.images_by_id(content, json_path)
  if not listed:
    raise errors.UserError(f'{json_path}: lists no images; nothing to do')
  for image in listed.values():
    if image['width'] < 1 or image['height'] < 1:
      raise errors.UserError(
          f'{json_path}: image {image["file_name"]!r}: expected width and '
          f'height of at least 1 pixel, got {image["width"]} and '
          f'{image["height"]}; correct it')
  for place, annotation in enumerate(json_files.entries(
      content, 'annotations', str(json_path), _ANNOTATION, _ADVICE)):
    annotation['id'] = f'{annotation.get("id", f"#{place}")!s:.40}'
    if annotation['image_id'] not in listed:
      raise errors.UserError(
          f'{json_path}: annotation {annotation["id"]} refers to image '
          f'{annotation["image_id"]!s:.40}, which is not among "images"; add '
          f'it there or remove the annotation')
  return content, listed


def semantic_folder(input_dir: str, options: splits.ReadOptions
                    ) -> Optional[pathlib.Path]:
  """Returns the folder of --semantic_dir, if it is given.

  Raises:
    errors.UserError: there is no such folder.
  """
  if options.paths.semantic_dir is None:
    return None
  return partner_files.given_folder(
      pathlib.Path(input_dir), options.paths.semantic_dir, 'semantic_dir')


def semantic_path(folder: pathlib.Path, name: str,
                  files: listed_files.Folders) -> str:
  """Returns the path of an image's PNG, with its folders if it exists there."""
  stem = os.path.splitext(name)[0]
  full = str(folder / f'{stem}.png')
  bare = str(folder / f'{os.path.basename(stem)}.png')
  return bare if files.has(bare) and not files.has(full) else full


def encode(image: InstanceImage, spec: dataset_spec.DatasetSpec,
           background: Optional[int], options: splits.ReadOptions, source: str
           ) -> splits.Encoded:
  """Makes the record of one image: a pure function of its files.

  Args:
    image: one of the images of `read_split`.
    spec: spec of the data set.
    background: train id of what has no annotation; None for void.
    options: sizes, crowds and the rule for overlaps.
    source: path of the JSON, for errors.

  Raises:
    errors.UserError: a file or mask is damaged or too large, image, masks and
      semantic PNG do not agree.
  """
  width, height = image.size
  where = f'{source}: image {image.filename!r}'
  if width * height > options.max_pixels:
    raise errors.UserError(
        f'{where}: has {width}x{height} pixels (width x height), more than the '
        f'limit of {options.max_pixels}; correct it or raise --max_pixels')
  drawing = instance_masks.draw(
      image.annotations, (height, width), options.overlap, where)
  notices = [_HIDDEN] if drawing.hidden else []
  classes = None
  if image.semantic_path is not None:
    classes, notice = semantic_masks.read(
        image.semantic_path, spec, options.max_pixels)
    label_records.check_same_size(
        drawing.id_map, where, classes, image.semantic_path)
    notices += [notice] if notice else []
  panoptic = label_segments.panoptic_label(
      drawing.id_map,
      [{'id': place + 1, 'category_id': annotation['category_id'],
        'iscrowd': annotation['iscrowd']}
       for place, annotation in enumerate(image.annotations)
       if place not in drawing.hidden],
      classes, background, spec, where, options.crowds)
  encoded = label_records.encode(
      image.filename, image.image_path, panoptic, where, spec, options)
  return dataclasses.replace(encoded, notice='; '.join(notices) or None)


def _annotations_by_image(
    content, images, spec: dataset_spec.DatasetSpec, overlap: str,
    json_path: pathlib.Path) -> Dict[Any, List[Dict[str, Any]]]:
  """Returns what `encode` needs of the annotations, by image id."""
  result: Dict[Any, List[Dict[str, Any]]] = {}
  for annotation in content['annotations']:
    name = images[annotation['image_id']]['file_name']
    where = f'{json_path}: image {name!r:.200}: annotation {annotation["id"]}'
    category = spec.by_source_id.get(annotation['category_id'])
    if category is None:
      raise errors.UserError(
          f'{where}: has the category_id {annotation["category_id"]!s:.40}, '
          f'which is not in the spec {spec.name!r}; add it to the spec or '
          f'correct the JSON')
    crowd = json_files.number(annotation.get('iscrowd', 0))
    if crowd not in (0, 1) or crowd and not category.is_thing:
      raise errors.UserError(
          f'{where}: expected iscrowd '
          f'{"0 or 1" if category.is_thing else "0 for stuff"}, got '
          f'{crowd!r:.40}; correct it')
    result.setdefault(annotation['image_id'], []).append({
        'id': annotation['id'], 'category_id': category.id,
        'iscrowd': int(crowd), 'segmentation': annotation.get('segmentation'),
        'above': instance_masks.number_above(annotation, overlap, where)})
  return result


def _background(spec: dataset_spec.DatasetSpec, name: Optional[str]
                ) -> Optional[int]:
  """Returns the train id of the class of --background."""
  if name is None:
    return None
  stuff = {c.name: c.train_id for c in spec.categories if not c.is_thing}
  if name not in stuff:
    raise errors.UserError(
        f'--background={name}: expected a stuff class of the spec '
        f'{spec.name!r} ({", ".join(stuff) or "it has none"}); add it there')
  return stuff[name]
