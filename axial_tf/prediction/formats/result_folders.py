"""Writes result folders for the evaluators of the public data sets."""

import os
from typing import Dict, List, Optional, Sequence

from axial_tf import errors
from axial_tf.files import json_files, paths
from axial_tf.prediction import results
from axial_tf.prediction.formats import cityscapes as cityscapes_results
from axial_tf.prediction.formats import coco as coco_results
from axial_tf.prediction.formats import mapillary as mapillary_results
from axial_tf.specs import dataset_spec

_CITYSCAPES_ENDING = '_leftImg8bit'


class CocoFolder:
  """panoptic.json with panoptic/*.png, and detections.json of the things."""

  def __init__(self, folder: str, spec: dataset_spec.DatasetSpec,
               image_list: Optional[str] = None):
    """Nothing is written yet.

    Args:
      folder: folder of the files.
      spec: meaning of the labels.
      image_list: path of a JSON whose "images" have "id" and "file_name", such
        as COCO's annotation files; None takes ids from the images' names.

    Raises:
      errors.UserError: the list cannot be read.
    """
    self._image_list = image_list
    self._ids = None if image_list is None else _ids_by_name(image_list)
    self._panoptic = coco_results.PanopticWriter(
        os.path.join(folder, 'panoptic.json'), spec)
    self._detections = coco_results.DetectionWriter(
        os.path.join(folder, 'detections.json'))

  def image_id(self, path: str) -> coco_results.ImageId:
    """Returns COCO's number of an image.

    Raises:
      errors.UserError: the list lacks the image, or its name is not a number.
    """
    name = os.path.basename(path)
    if self._ids is not None:
      if name not in self._ids:
        raise errors.UserError(
            f'{path}: is not in {self._image_list}; expected a "file_name" '
            f'{name!r} among its "images"')
      return self._ids[name]
    if not _stem(path).isdecimal():
      raise errors.UserError(
          f'{path}: expected a number for a name, such as 000000000139.jpg, '
          f'which is the image\'s id in COCO\'s format; give a JSON with '
          f'"images" of "id" and "file_name" as --image_list')
    return int(_stem(path))

  def add(self, path: str, result: results.PanopticResult) -> None:
    """Writes the PNG of an image; see `PanopticWriter.add`."""
    image_id = self.image_id(path)
    self._panoptic.add(image_id, f'{_stem(path)}.png', result)
    self._detections.add(image_id, result)

  def close(self) -> None:
    """Writes the JSON files."""
    self._panoptic.close()
    self._detections.close()


class CityscapesFolder:
  """panoptic.json with panoptic/, labelIds in semantic/, and instances/.

  Names are <city>_<sequence>_<frame>, the beginning of an image's name.
  """

  def __init__(self, folder: str, spec: dataset_spec.DatasetSpec):
    """Nothing is written yet."""
    self._folder = folder
    self._panoptic = coco_results.PanopticWriter(
        os.path.join(folder, 'panoptic.json'), spec)

  def image_id(self, path: str) -> str:
    """Returns the name up to '_leftImg8bit'."""
    return _stem(path).partition(_CITYSCAPES_ENDING)[0]

  def add(self, path: str, result: results.PanopticResult) -> None:
    """Writes the files of an image; see `PanopticWriter.add`."""
    name = self.image_id(path)
    self._panoptic.add(name, f'{name}_panoptic.png', result)
    cityscapes_results.write_label_ids(
        os.path.join(self._folder, 'semantic'), name, result)
    cityscapes_results.write_instances(
        os.path.join(self._folder, 'instances'), name, result)

  def close(self) -> None:
    """Writes the JSON file."""
    self._panoptic.close()


class MapillaryFolder:
  """panoptic.json with panoptic/*.png and, with config.json, instances/."""

  def __init__(self, folder: str, spec: dataset_spec.DatasetSpec,
               class_names: Optional[Sequence[str]] = None):
    """Nothing is written yet.

    Args:
      folder: folder of the files.
      spec: meaning of the labels.
      class_names: the "name" of each label of config.json; None omits the
        older format in instances/.
    """
    self._folder, self._names = folder, class_names
    self._panoptic = coco_results.PanopticWriter(
        os.path.join(folder, 'panoptic.json'), spec)

  def image_id(self, path: str) -> str:
    """Returns the image's name."""
    return _stem(path)

  def add(self, path: str, result: results.PanopticResult) -> None:
    """Writes the files of an image; see `PanopticWriter.add`."""
    name = self.image_id(path)
    self._panoptic.add(name, f'{name}.png', result)
    if self._names is not None:
      mapillary_results.write_instances(
          os.path.join(self._folder, 'instances'), name, result, self._names)

  def close(self) -> None:
    """Writes the JSON file."""
    self._panoptic.close()


def require_different_ids(folder, paths: Sequence[str]) -> None:
  """Checks the ids of all images before any of them is segmented.

  Args:
    folder: one of the classes above.
    paths: paths of the images.

  Raises:
    errors.UserError: two images have the same id, or one has none.
  """
  seen: Dict[coco_results.ImageId, str] = {}
  for path in paths:
    image_id = folder.image_id(path)
    if image_id in seen:
      raise errors.UserError(
          f'{path} and {seen[image_id]}: both are image {image_id!r}; each id '
          f'has one result: give the folder of one of them')
    seen[image_id] = path


def read_class_names(path: str) -> List[str]:
  """Returns the class names of a Mapillary Vistas config.json.

  Raises:
    errors.UserError: it cannot be read or has none.
  """
  return [label['name'] for label in json_files.entries(
      json_files.read(path), 'labels', path, {'name': str})]


def _ids_by_name(path: str) -> Dict[str, int]:
  return {
      os.path.basename(image['file_name']): image['id']
      for image in json_files.entries(
          json_files.read(path), 'images', path, {'file_name': str, 'id': int})}


def _stem(path: str) -> str:
  # Written to JSON and text files, which must be UTF-8.
  return paths.printable(os.path.splitext(os.path.basename(path))[0])
