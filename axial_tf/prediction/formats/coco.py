"""Writes panoptic results in COCO's result formats.

`PanopticWriter` makes a JSON file and a folder of PNGs, the format of COCO,
Cityscapes and Mapillary Vistas for panoptic results; `DetectionWriter` makes
the list of run-length masks for COCO's detection task.
"""

import json
import os
from typing import Any, Dict, List, Union

import numpy as np
from pycocotools import mask as mask_lib

from axial_tf import errors
from axial_tf.files import atomic_files, strips
from axial_tf.panoptic import label_png, label_runs
from axial_tf.prediction import results
from axial_tf.specs import dataset_spec

ImageId = Union[int, str]


class PanopticWriter:
  """Writes X/*.png as images are added, and X.json when closed.

  Categories have the ids of the data set, segment ids count from 1 in each
  image, and 0 is void. Scores, an extension of the format, are under "score".
  """

  def __init__(self, path: str, spec: dataset_spec.DatasetSpec):
    """Nothing is written yet.

    Args:
      path: path of the JSON file.
      spec: meaning of the labels.

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

  def add(self, image_id: ImageId, file_name: str,
          result: results.PanopticResult, is_truth: bool = False) -> None:
    """Writes the PNG of one image.

    Args:
      image_id: COCO's number; in other data sets the name without ending.
      file_name: name of the PNG, such as '000000139.png'.
      result: segments; the scores of those that have one are written.
      is_truth: whether a thing with instance 0 is a crowd.

    Raises:
      errors.UserError: an image is added twice or the file cannot be written.
    """
    if image_id in self._annotations:
      raise errors.UserError(
          f'{self._path}: image {image_id!r} comes twice; each has one result')
    segments = sorted(result.segments, key=lambda segment: segment.id)
    panoptic = result.panoptic_map
    # The last index is for pixels that belong to no segment.
    labels = np.array([s.id for s in segments] + [np.iinfo(np.int64).max])
    numbers = np.empty(panoptic.shape, np.int32)
    for strip in strips.of(panoptic.shape):
      place = np.searchsorted(labels, panoptic[strip])
      numbers[strip] = np.where(
          labels[place] == panoptic[strip], place + 1, 0)
    atomic_files.write(
        os.path.join(self._path[:-len('.json')], file_name),
        label_png.encode(numbers))
    self._images.append({
        'id': image_id, 'file_name': file_name,
        'height': panoptic.shape[0], 'width': panoptic.shape[1]})
    infos = []
    for number, segment in enumerate(segments, start=1):
      ymin, xmin, ymax, xmax = segment.box
      is_crowd = (
          segment.is_thing and segment.id % result.spec.label_divisor == 0)
      info = {
          'id': number, 'area': segment.area,
          'bbox': [xmin, ymin, xmax - xmin, ymax - ymin],
          'category_id': segment.category,
          'iscrowd': int(is_truth and is_crowd)}
      if segment.score is not None:
        info['score'] = segment.score
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
  """Collects the things of images for COCO's detection task."""

  def __init__(self, path: str):
    """Nothing is written until `close`.

    Args:
      path: path of the JSON file.
    """
    self._path = path
    self._results: List[Dict[str, Any]] = []

  def add(self, image_id: ImageId, result: results.PanopticResult) -> None:
    """Adds the things of one image.

    Args:
      image_id: COCO's number.
      result: segments, of which every thing has a score.

    Raises:
      errors.UserError: a thing has no score.
    """
    size = result.panoptic_map.shape
    for thing in result.things():
      encoded = mask_lib.frPyObjects({
          'size': list(size), 'counts': _run_lengths(
              result.panoptic_map, thing).tolist()}, *size)
      ymin, xmin, ymax, xmax = map(float, thing.box)
      self._results.append({
          'image_id': image_id, 'category_id': thing.category,
          'segmentation': {
              'size': encoded['size'], 'counts': encoded['counts'].decode()},
          'bbox': [xmin, ymin, xmax - xmin, ymax - ymin],
          'score': thing.score})

  def close(self) -> None:
    """Writes the JSON file.

    Raises:
      errors.UserError: it cannot be written.
    """
    atomic_files.write(self._path, (json.dumps(self._results) + '\n').encode())


def _run_lengths(panoptic_map: np.ndarray, segment: results.Segment
                 ) -> np.ndarray:
  """Returns the lengths of runs outside and inside a segment, in turn.

  Runs follow the columns, and the first is outside. Only the box is looked at:
  large images have many things.
  """
  height, width = panoptic_map.shape
  ymin, xmin, ymax, xmax = segment.box
  inside = (panoptic_map[ymin:ymax, xmin:xmax] == segment.id).T
  column = np.broadcast_to(np.arange(xmax - xmin)[:, np.newaxis], inside.shape)
  starts, lengths = label_runs.find(inside, column)
  is_inside = inside.reshape(-1)[starts]
  column, row = np.divmod(starts[is_inside], ymax - ymin)
  begins = (xmin + column) * height + ymin + row
  ends = begins + lengths[is_inside]
  # A run may continue in the next column.
  is_end = ends[:-1] < begins[1:]
  edges = np.stack([begins[np.append(True, is_end)],
                    ends[np.append(is_end, True)]], -1).reshape(-1)
  if edges[-1] < height * width:
    edges = np.append(edges, height * width)
  return np.diff(edges, prepend=0)
