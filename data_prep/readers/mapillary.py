"""Reads Mapillary Vistas v1.2 and v2.0 in their original layouts.

  {training,validation,testing}/images/*.jpg
  {training,validation}/v1.2/{labels,instances,panoptic}/*.png  and v2.0/...
  {training,validation}/v1.2/panoptic/panoptic_2018.json
  {training,validation}/v2.0/panoptic/panoptic_2020.json
  config_v1.2.json, config_v2.0.json

Or, like the first releases of v1.1 and v1.2, without the folder v1.2 and with
config.json. The panoptic JSON is used if it exists, otherwise instances/ and
config*.json; the labels are the same except for crowds. If labels/ exists, too,
its classes must match instances/.

The testing split has no labels. Train, val and test are aliases of the three
folders.
"""

import dataclasses
import functools
import os
import pathlib
from typing import Any, List, Mapping, Optional, Sequence, Tuple

from axial_tf import errors
from axial_tf.files import images as images_lib
from axial_tf.panoptic import label_png
from axial_tf.specs import dataset_spec
from data_prep.readers import (
  coco_annotations,
  label_records,
  mapillary_classes,
  mapillary_labels,
  partner_files,
  source_images,
  splits,
)

_JSON = {'v1.2': 'panoptic_2018.json', 'v2.0': 'panoptic_2020.json'}
_FOLDERS = {'train': 'training', 'val': 'validation', 'test': 'testing'}
# Pillow's mode for 16 bits depends on its version.
_INSTANCE_MODES = ['I;16', 'I']
_LABEL_MODES = ['P', 'L']


@dataclasses.dataclass(frozen=True)
class VistasImage:
  """One image: its paths and, from a panoptic JSON, its segments.

  Attributes:
    filename: file name of the image, without folders.
    image_path: path of the image.
    label_path: path of its panoptic or instances PNG; None without label.
    check_path: path of its PNG in labels/, if the label is of instances/.
    segments: its segments_info, if the label is a panoptic PNG.
    size: (width, height) from the JSON, if there is one.
  """

  filename: str
  image_path: str
  label_path: Optional[str] = None
  check_path: Optional[str] = None
  segments: Optional[Tuple[Any, ...]] = None
  size: Optional[Tuple[int, int]] = None


def read_split(input_dir: str, split: str, options: splits.ReadOptions,
               version: str) -> splits.Split:
  """Lists the images of 'training', 'validation' or 'testing'.

  Args:
    input_dir: folder of the data set.
    split: folder of the split, also 'train', 'val' or 'test'.
    options: sizes and crowds.
    version: version of the labels, 'v1.2' or 'v2.0'.

  Raises:
    errors.UserError: the folder has another layout, a file is missing or
      exists twice, a JSON is incomplete or has other classes.
  """
  root = partner_files.root_folder(input_dir, 'Mapillary Vistas', options)
  folder = _split_folder(root, split)
  config_path, labels = _config(root, version)
  spec = mapillary_classes.spec_of(labels, version, str(config_path))
  label_dir = folder / version
  if version == 'v1.2' and not label_dir.is_dir():
    label_dir = folder
  json_path = label_dir / 'panoptic' / _JSON[version]
  categories = None
  if folder.name in ('testing', 'test'):
    images = [VistasImage(os.path.basename(path), path)
              for path in _images(folder).values()]
  elif json_path.is_file():
    content = coco_annotations.read_json(json_path)
    categories = mapillary_classes.categories_by_json_id(
        content, json_path, labels, spec)
    images = [
        VistasImage(
            i.filename, i.image_path, i.label_path, None, i.segments, i.size)
        for i in coco_annotations.annotated_images(
            content, json_path, folder / 'images', json_path.parent)]
  else:
    if labels is None:
      raise errors.UserError(
          f'no labels: expected {json_path}, or {config_path} to read those '
          f'in {label_dir / "instances"}; unpack the data set again')
    categories = mapillary_classes.categories_by_place(labels, spec)
    images = _with_instances(folder, label_dir, json_path)
  return splits.Split(
      name=split,
      spec=spec,
      images=images,
      encode=functools.partial(
          encode, spec=spec, categories=categories, options=options),
      is_training=split.startswith('train'))


def encode(image: VistasImage, spec: dataset_spec.DatasetSpec,
           categories: Any, options: splits.ReadOptions) -> splits.Encoded:
  """Makes the record of one image: a pure function of its files.

  Args:
    image: one of the images of `read_split`.
    spec: spec of the data set.
    categories: categories of its labels, see
      `mapillary_classes.categories_by_json_id` and `categories_by_place`.
    options: sizes and crowds.

  Raises:
    errors.UserError: a file is damaged or too large, or image, label, JSON
      and classes do not agree.
  """
  panoptic = None
  if image.segments is not None:
    panoptic = _from_panoptic(image, spec, categories, options)
  elif image.label_path is not None:
    panoptic = _from_instances(image, spec, categories, options)
  return label_records.encode(
      image.filename, image.image_path, panoptic, image.label_path, spec,
      options, image.size)


def _from_panoptic(
    image: VistasImage, spec: dataset_spec.DatasetSpec,
    categories: Mapping[int, Optional[int]], options: splits.ReadOptions):
  _, label = source_images.read(image.label_path, options.max_pixels)
  if label.size not in (image.size, image.size[::-1]):
    raise errors.UserError(
        f'{image.label_path}: expected {image.size[0]}x{image.size[1]} pixels '
        f'(width x height) as the JSON says, got {label.width}x{label.height}; '
        f'check that PNG and JSON belong together')
  return mapillary_labels.from_panoptic(
      label_png.from_image(label, image.label_path), image.segments,
      categories, spec, image.label_path, options.crowds)


def _from_instances(
    image: VistasImage, spec: dataset_spec.DatasetSpec,
    categories: Sequence[Optional[int]], options: splits.ReadOptions):
  instances = label_records.read_values(
      image.label_path, _INSTANCE_MODES, options.max_pixels)
  if image.check_path is not None:
    label_records.check_same_classes(
        mapillary_labels.class_places(instances), image.label_path,
        label_records.read_values(
            image.check_path, _LABEL_MODES, options.max_pixels),
        image.check_path)
  return mapillary_labels.from_instances(
      instances, categories, spec, image.label_path, options.crowds)


def _split_folder(root: pathlib.Path, split: str) -> pathlib.Path:
  other = {**_FOLDERS, **{v: k for k, v in _FOLDERS.items()}}.get(split, split)
  for name in (split, other):
    if (root / name / 'images').is_dir():
      return root / name
  raise errors.UserError(
      f'no images of split {split!r}: expected the folder '
      f'{root / split / "images"} (splits are training, validation and '
      f'testing)')


def _config(root: pathlib.Path, version: str):
  """Returns the path of config*.json and its classes, None without it."""
  names = [f'config_{version}.json']
  if version == 'v1.2':
    names.append('config.json')
  for name in names:
    if (root / name).is_file():
      return root / name, mapillary_classes.read_config(root / name)
  return root / names[0], None


def _images(folder: pathlib.Path):
  """Returns the paths of the images by their names without ending."""
  image_dir = folder / 'images'
  images = partner_files.files_by_name(image_dir, ['*'], images_lib.ENDINGS)
  if not images:
    raise errors.UserError(f'{image_dir}: holds no images; unpack them there')
  return images


def _with_instances(folder: pathlib.Path, label_dir: pathlib.Path,
                    json_path: pathlib.Path) -> List[VistasImage]:
  """Pairs the images with the PNGs of instances/ and labels/."""
  instance_dir = label_dir / 'instances'
  if not instance_dir.is_dir():
    raise errors.UserError(
        f'no labels: expected {json_path} or the folder {instance_dir}; unpack '
        f'the data set again')
  images = _images(folder)
  labels, checks = (
      partner_files.files_by_name(label_dir / kind, ['*.png'], ['.png'])
      for kind in ('instances', 'labels'))
  result = []
  for name in sorted(images.keys() | labels.keys()):  # Either may be missing.
    path = images.get(name, str(folder / 'images' / f'{name}.jpg'))
    label_path = labels.get(name, str(instance_dir / f'{name}.png'))
    result.append(VistasImage(
        os.path.basename(path), path, label_path, checks.get(name)))
  return result
