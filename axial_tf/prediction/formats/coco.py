"""Writes panoptic maps in COCO's formats of results.

`PanopticWriter` makes a JSON file and a folder of PNGs, the format of COCO,
Cityscapes and Mapillary Vistas for panoptic results; `DetectionWriter` the
list of run-length masks that COCO's detection task takes.
"""

import json
import os
from typing import Any, Dict, List, Mapping, Optional, Union

import numpy as np
from pycocotools import mask as mask_lib

from axial_tf import errors
from axial_tf.evaluation import label_maps
from axial_tf.files import atomic_files
from axial_tf.panoptic import label_png
from axial_tf.specs import dataset_spec

ImageId = Union[int, str]


class PanopticWriter:
  """Writes X/*.png as images come, and X.json when closed.

  Categories go by their own ids, segment ids count from 1 in each image, and 0
  is void. Scores, which the format leaves open, stand as "score".
  """

  def __init__(self, path: str, spec: dataset_spec.DatasetSpec):
    """Nothing is written yet.

    Args:
      path: path of the JSON file.
      spec: what the labels mean.

    Raises:
      errors.UserError: the path does not end in .json.
    """
    if not path.endswith('.json'):
      raise errors.UserError(
          f'{path}: expected a file name that ends in .json; its PNGs go into '
          f'the folder of the same name')
    self._path, self._spec = path, spec
    self._images: List[Dict[str, Any]] = []
    self._annotations: Dict[ImageId, Dict[str, Any]] = {}

  def add(self, image_id: ImageId, file_name: str, panoptic: np.ndarray,
          scores: Optional[Mapping[int, float]] = None,
          is_truth: bool = False) -> None:
    """Writes the PNG of one image.

    Args:
      image_id: COCO's number; the name without its ending elsewhere.
      file_name: file name of the PNG, such as '000000139.png'.
      panoptic: integers [height, width], panoptic labels.
      scores: by label; those that are missing are left out.
      is_truth: whether a thing with instance 0 is a crowd.

    Raises:
      errors.UserError: an image comes twice, a label is not legal, or the file
        cannot be written.
    """
    if image_id in self._annotations:
      raise errors.UserError(
          f'{self._path}: image {image_id!r} comes twice; each has one result')
    index, segments, areas = _segments(panoptic, self._spec)
    ids = index + 1
    atomic_files.write(
        os.path.join(self._path[:-len('.json')], file_name),
        label_png.encode(ids))
    self._images.append({
        'id': image_id, 'file_name': file_name,
        'height': ids.shape[0], 'width': ids.shape[1]})
    boxes = _boxes(ids, segments.ids.size)
    infos = []
    for place, label in enumerate(segments.ids.tolist()):
      info = {
          'id': place + 1, 'area': int(areas[place]), 'bbox': boxes[place],
          'category_id': self._spec.category(segments.classes[place]).id,
          'iscrowd': int(is_truth and segments.is_crowd[place])}
      if scores and label in scores:
        info['score'] = float(scores[label])
      infos.append(info)
    self._annotations[image_id] = {
        'image_id': image_id, 'file_name': file_name, 'segments_info': infos}

  def close(self) -> None:
    """Writes the JSON file.

    Raises:
      errors.UserError: it cannot be written.
    """
    content = {
        'images': self._images,
        'annotations': list(self._annotations.values()),
        'categories': [
            {'id': c.id, 'name': c.name, 'isthing': int(c.is_thing),
             'color': list(c.color)} for c in self._spec.categories]}
    atomic_files.write(self._path, (json.dumps(content) + '\n').encode())


class DetectionWriter:
  """Gathers the things of images for COCO's detection task."""

  def __init__(self, path: str, spec: dataset_spec.DatasetSpec):
    """Nothing is written until `close`.

    Args:
      path: path of the JSON file.
      spec: what the labels mean.
    """
    self._path, self._spec = path, spec
    self._results: List[Dict[str, Any]] = []

  def add(self, image_id: ImageId, panoptic: np.ndarray,
          scores: Mapping[int, float]) -> None:
    """Adds the things of one image.

    Args:
      image_id: COCO's number.
      panoptic: integers [height, width], panoptic labels.
      scores: by label, that of every thing.

    Raises:
      errors.UserError: a label is not legal or a thing has no score.
    """
    index, segments, _ = _segments(panoptic, self._spec)
    for place, label, train_id in things(segments, scores, self._spec):
      encoded = mask_lib.encode(np.asfortranarray(index == place, np.uint8))
      self._results.append({
          'image_id': image_id,
          'category_id': self._spec.category(train_id).id,
          'segmentation': {
              'size': encoded['size'], 'counts': encoded['counts'].decode()},
          'bbox': mask_lib.toBbox(encoded).tolist(),
          'score': float(scores[label])})

  def close(self) -> None:
    """Writes the JSON file.

    Raises:
      errors.UserError: it cannot be written.
    """
    atomic_files.write(self._path, (json.dumps(self._results) + '\n').encode())


def things(segments: label_maps.Segments, scores: Mapping[int, float],
           spec: dataset_spec.DatasetSpec):
  """Returns (place, label, train id) of the things among segments.

  Raises:
    errors.UserError: one has no score.
  """
  result = [
      (place, label, train_id) for place, (label, train_id) in enumerate(
          zip(segments.ids.tolist(), segments.classes.tolist()))
      if train_id in spec.thing_ids]
  for _, label, train_id in result:
    if label not in scores:
      raise errors.UserError(
          f'expected a score for every thing, got none for segment {label} '
          f'({spec.category(train_id).name})')
  return result


def _segments(panoptic: np.ndarray, spec: dataset_spec.DatasetSpec):
  """Returns each pixel's place among the segments, the segments, areas."""
  pairs = label_maps.overlaps(panoptic, panoptic, spec)
  segments = pairs.true_segments
  panoptic = np.asarray(panoptic)
  index = np.searchsorted(segments.ids, panoptic).astype(np.int32)
  is_void = panoptic // spec.label_divisor == spec.ignore_label
  return np.where(is_void, -1, index), segments, pairs.areas()[0]


def _boxes(ids: np.ndarray, count: int) -> List[List[int]]:
  """Returns [x, y, width, height] of the segments 1 ... count of a map."""
  low = np.full([2, count + 1], max(ids.shape) + 1)
  high = np.full([2, count + 1], -1)
  for axis, line in enumerate((ids, ids.T)):
    for position, row in enumerate(line):
      present = np.unique(row)
      low[axis, present] = np.minimum(low[axis, present], position)
      high[axis, present] = position
  (top, left), (bottom, right) = low, high
  return [[int(left[i]), int(top[i]), int(right[i] - left[i] + 1),
           int(bottom[i] - top[i] + 1)] for i in range(1, count + 1)]
