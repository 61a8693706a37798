"""Reads Cityscapes in its original layout.

  leftImg8bit/{split}/{city}/{name}_leftImg8bit.png
  gtFine/{split}/{city}/{name}_gtFine_instanceIds.png    train, val
  gtCoarse/train_extra/{city}/{name}_gtCoarse_instanceIds.png
  gtFine/cityscapes_panoptic_{split}[_trainId].json      if csCreatePanopticImgs
  gtFine/cityscapes_panoptic_{split}[_trainId]/*.png     has been run

The panoptic JSON is used if it exists; the labels are the same. If there is
also a *_labelIds.png, its classes must match *_instanceIds.png. JPEG images
and those of Foggy and Rain Cityscapes: see `cityscapes_images`.

The test split gets records without labels: its published label files contain
only void.
"""

import dataclasses
import functools
import pathlib
from typing import Any, List, Optional, Tuple

from absl import logging

from axial_tf import errors
from axial_tf.panoptic import label_png
from axial_tf.specs import dataset_spec
from data_prep.readers import (
  cityscapes_images,
  cityscapes_labels,
  coco_annotations,
  label_records,
  listed_files,
  partner_files,
  source_images,
  splits,
)

_PANOPTIC = '_panoptic.png'
# Pillow's mode for 16 bits depends on its version; a label image without any
# instance may have 8.
_ID_MODES = ['I;16', 'I', 'L', 'P']


@dataclasses.dataclass(frozen=True)
class StreetImage:
  """One image: its paths and, from a panoptic JSON, its segments.

  Attributes:
    filename: file name of the image, without folders.
    image_path: path of the image.
    label_path: path of its *_instanceIds.png or *_panoptic.png; None without
      label.
    check_path: path of its *_labelIds.png, if there is one.
    segments: its segments_info, if the label is a *_panoptic.png.
    has_train_ids: whether their category_id is a train id.
  """

  filename: str
  image_path: str
  label_path: Optional[str] = None
  check_path: Optional[str] = None
  segments: Optional[Tuple[Any, ...]] = None
  has_train_ids: bool = False


def read_split(input_dir: str, split: str,
               options: splits.ReadOptions) -> splits.Split:
  """Lists the images of 'train', 'val', 'test' or 'train_extra'.

  Raises:
    errors.UserError: the folder has another layout, an image or a label exists
      twice, or the panoptic JSON is incomplete.
  """
  root = partner_files.root_folder(input_dir, 'Cityscapes', options)
  json_path = _panoptic_json(root, split)
  images = cityscapes_images.find(
      root, split, options, may_be_flat=json_path is not None)
  if split == 'test':
    found = [StreetImage(pathlib.Path(path).name, path)
             for paths in images.by_name.values() for path in paths]
  elif json_path is not None:
    found = _from_json(json_path, images)
  else:
    found = _from_instance_ids(root, split, images)
  spec = dataset_spec.DatasetSpec.load('cityscapes')
  return splits.Split(
      name=split,
      spec=spec,
      images=sorted(found, key=lambda image: image.filename),
      encode=functools.partial(encode, spec=spec, options=options),
      is_training=split.startswith('train'))


def encode(image: StreetImage, spec: dataset_spec.DatasetSpec,
           options: splits.ReadOptions) -> splits.Encoded:
  """Makes the record of one image: a pure function of its files.

  Raises:
    errors.UserError: a file is damaged or too large, or image, label, JSON
      and Cityscapes' classes do not agree.
  """
  panoptic = None
  if image.segments is not None:
    _, label = source_images.read(image.label_path, options.max_pixels)
    panoptic = cityscapes_labels.from_panoptic(
        label_png.from_image(label, image.label_path), image.segments,
        image.has_train_ids, spec, image.label_path, options.crowds)
  elif image.label_path is not None:
    ids = label_records.read_values(
        image.label_path, _ID_MODES, options.max_pixels)
    if image.check_path is not None:
      label_records.check_same_classes(
          cityscapes_labels.class_ids(ids), image.label_path,
          label_records.read_values(
              image.check_path, ['L', 'P'], options.max_pixels),
          image.check_path)
    panoptic = cityscapes_labels.from_instance_ids(
        ids, spec, image.label_path, options.crowds)
  return label_records.encode(
      image.filename, image.image_path, panoptic, image.label_path, spec,
      options)


def _panoptic_json(root: pathlib.Path, split: str) -> Optional[pathlib.Path]:
  paths = (root / 'gtFine' / f'cityscapes_panoptic_{split}{kind}.json'
           for kind in ('_trainId', ''))
  return next((path for path in paths if path.is_file()), None)


def _from_instance_ids(root: pathlib.Path, split: str,
                       images: cityscapes_images.Images) -> List[StreetImage]:
  """Pairs the images with *_instanceIds.png."""
  kind = 'gtCoarse' if split == 'train_extra' else 'gtFine'
  label_dir = root / kind / split
  if not label_dir.is_dir():
    raise errors.UserError(
        f'no labels of split {split!r}: expected the folder {label_dir} '
        f'(unpack {kind}*.zip in {root})')
  ending = f'_{kind}_instanceIds.png'
  labels, checks = (
      partner_files.files_by_name(label_dir, [f'*/*{end}'], [end])
      for end in (ending, f'_{kind}_labelIds.png'))
  for name in images.by_name.keys() - labels.keys():  # They are missing.
    labels[name] = str(label_dir / name.split('_')[0] / f'{name}{ending}')
  images.tell_left_out(labels)
  return [
      StreetImage(pathlib.Path(path).name, path, label, checks.get(name))
      for name, label in labels.items() for path in images.paths(name)]


def _from_json(json_path: pathlib.Path,
               images: cityscapes_images.Images) -> List[StreetImage]:
  """Pairs the images with the panoptic PNGs that a JSON describes."""
  label_dir = json_path.with_suffix('')
  folders, names, found = listed_files.Folders(), set(), []
  for annotation in coco_annotations.entries(
      coco_annotations.read_json(json_path), 'annotations', json_path,
      {'file_name': str, 'segments_info': list}):
    label_name = annotation['file_name']
    name = label_name.replace(_PANOPTIC, '').replace('_gtFine', '')
    label_path = folders.path(label_dir, label_name, json_path)
    if name in names:
      raise errors.UserError(
          f'{json_path}: {label_name!r} is listed twice; remove one')
    names.add(name)
    found += [
        StreetImage(
            pathlib.Path(path).name, path, label_path,
            segments=tuple(annotation['segments_info']),
            has_train_ids=json_path.stem.endswith('_trainId'))
        for path in images.paths(name)]
  if not found:
    raise errors.UserError(
        f'{json_path}: no annotated images in {images.folder}; nothing to do')
  images.tell_left_out(names)
  unlisted = images.by_name.keys() - names
  if unlisted:
    logging.warning('%s: left out %d images that it does not list', json_path,
                    sum(len(images.by_name[name]) for name in unlisted))
  return found
