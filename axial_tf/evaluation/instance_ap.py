"""Computes instance AP of panoptic maps, with pycocotools on the things.

The instances of the ground truth are those of its panoptic map, its crowds
count as `iscrowd`; the score of a prediction is its center's heatmap value
times the mean probability of its class (Panoptic-DeepLab, section 4). Void is
unknown to COCO's detection task: predictions there count as false.

Segments of a panoptic map do not overlap, so the shared areas that PQ counts
give every mask IoU; pycocotools matches and averages.
"""

import contextlib
import io
from typing import Any, Dict, List, Mapping, Optional, Tuple

import numpy as np
from pycocotools import coco, cocoeval

from axial_tf import errors
from axial_tf.evaluation import label_maps
from axial_tf.specs import dataset_spec

KEYS = ('ap', 'ap50', 'ap75', 'ap_small', 'ap_medium', 'ap_large')

# Results of pycocotools for one image, by train id and range of areas.
_Found = Dict[Tuple[int, Tuple[float, float]], Dict[str, np.ndarray]]


class InstanceAP:
  """COCO's AP; keeps a few bytes per instance, no masks."""

  def __init__(self, spec: dataset_spec.DatasetSpec):
    self._spec = spec
    self._images: List[Tuple[int, _Found]] = []

  def update(self, ground_truth: np.ndarray, prediction: np.ndarray,
             scores: Mapping[int, float]) -> None:
    """Adds one image.

    Args:
      ground_truth: integers [height, width], panoptic labels.
      prediction: integers [height, width], panoptic labels.
      scores: score of every thing, by predicted label.

    Raises:
      errors.UserError: sizes differ, a label is not legal in the spec or a
        thing has no score.
    """
    pairs = label_maps.overlaps(ground_truth, prediction, self._spec)
    self.add(pairs, thing_scores(pairs, scores, self._spec))

  def add(self, pairs: label_maps.Overlaps, scores: np.ndarray,
          place: Optional[int] = None) -> None:
    """Adds one image whose overlaps have been counted.

    Args:
      pairs: the segments and their overlaps.
      scores: [predicted segments]; those of stuff do not matter.
      place: position of the image in the order of the data; None puts it after
        those that were added before. Among things with equal scores, those of
        earlier images come first.
    """
    self._images.append((
        len(self._images) if place is None else place,
        _ImageEvaluation(pairs, scores, self._spec).found()))

  def merge(self, other: 'InstanceAP') -> None:
    """Adds what another process has seen of other images."""
    self._images += other._images

  def result(self) -> Dict[str, Any]:
    """Returns the scores of all images so far, as fractions.

    Returns:
      'ap' (mean over IoU 0.50:0.05:0.95), 'ap50', 'ap75', and 'ap_small' (below
      32 * 32 pixels), 'ap_medium', 'ap_large' (from 96 * 96); 'per_class': 'ap'
      by train id of the things. None where the ground truth has no instance.
    """
    images = sorted(self._images, key=lambda image: image[0])
    evaluation = _Accumulation([found for _, found in images], self._spec)
    with contextlib.redirect_stdout(io.StringIO()):
      evaluation.evaluate()
      evaluation.accumulate()
      evaluation.summarize()
    # [IoU, recall, class, area range, limit of detections]; the first range is
    # all, the last limit is 100.
    precision = evaluation.eval['precision'][:, :, :, 0, -1]
    per_class = {
        train_id: _score(precision[:, :, index].mean())
        for index, train_id in enumerate(self._spec.thing_ids)}
    return {**dict(zip(KEYS, map(_score, evaluation.stats))),
            'per_class': per_class}


def thing_scores(
    pairs: label_maps.Overlaps, scores: Mapping[int, float],
    spec: dataset_spec.DatasetSpec) -> np.ndarray:
  """Returns the scores [predicted segments] by the segments' ids; stuff: 0.

  Raises:
    errors.UserError: a thing has none.
  """
  result = np.zeros(pairs.predicted_segments.ids.size)
  for index, (label, train_id) in enumerate(zip(
      pairs.predicted_segments.ids.tolist(),
      pairs.predicted_segments.classes.tolist())):
    if train_id in spec.thing_ids:
      if label not in scores:
        raise errors.UserError(
            f'expected a score for every predicted thing, got none for '
            f'segment {label} ({spec.category(train_id).name})')
      result[index] = scores[label]
  return result


def format_line(result: Dict[str, Any]) -> str:
  """Returns one line of the scores in percent; '-' where nothing counts.

  Args:
    result: what `result` of this metric or of `CityscapesAP` returned.
  """
  return '  '.join(
      f'{key.replace("ap", "AP", 1).replace("_", " ")} '
      f'{"-" if value is None else format(100 * value, ".2f")}'
      for key, value in result.items() if key != 'per_class')


def _score(value: float):
  """Returns a score, None for the -1 that means no instances."""
  return None if value < 0 else float(value)


class _ImageEvaluation(cocoeval.COCOeval):
  """Matches the things of one image; IoU comes from the shared areas."""

  def __init__(self, pairs: label_maps.Overlaps, scores: np.ndarray,
               spec: dataset_spec.DatasetSpec):
    truth_area, predicted_area = pairs.areas()
    things = [
        _annotations(pairs.true_segments, truth_area, spec),
        _annotations(pairs.predicted_segments, predicted_area, spec)]
    for annotation in things[1]:
      annotation['score'] = float(scores[annotation['id'] - 1])
    # Boxes are not looked at; with masks, pycocotools would encode them.
    super().__init__(*map(_coco, things), iouType='bbox')
    self.params.imgIds = [0]
    self.params.catIds = sorted(
        {a['category_id'] for annotations in things for a in annotations})
    self._shared = dict(zip(
        zip(pairs.truth.tolist(), pairs.prediction.tolist()),
        pairs.area.tolist()))

  def computeIoU(self, imgId, catId):  # pylint: disable=invalid-name
    """Returns the IoU [predictions by falling score, true instances]."""
    truth, predicted = (
        data.loadAnns(data.getAnnIds(imgIds=[imgId], catIds=[catId]))
        for data in (self.cocoGt, self.cocoDt))
    predicted = sorted(predicted, key=lambda p: -p['score'])
    result = np.zeros(
        [min(len(predicted), self.params.maxDets[-1]), len(truth)])
    for row, p in enumerate(predicted[:result.shape[0]]):
      for column, t in enumerate(truth):
        shared = self._shared.get((t['id'] - 1, p['id'] - 1), 0)
        # A crowd may hold many predictions: the union is the prediction.
        union = p['area'] + (0 if t['iscrowd'] else t['area'] - shared)
        result[row, column] = shared / union
    return result

  def found(self) -> _Found:
    """Returns matches and scores, without the data used to find them."""
    with contextlib.redirect_stdout(io.StringIO()):
      self.evaluate()
    return {
        (found['category_id'], tuple(found['aRng'])): {
            'dtMatches': np.asarray(found['dtMatches']) > 0,
            'dtIgnore': np.asarray(found['dtIgnore'], bool),
            'dtScores': np.asarray(found['dtScores']),
            'gtIgnore': np.asarray(found['gtIgnore'])}
        for found in self.evalImgs if found is not None}


class _Accumulation(cocoeval.COCOeval):
  """Averages results that were found image by image."""

  def __init__(self, images: List[_Found], spec: dataset_spec.DatasetSpec):
    super().__init__(_coco([]), _coco([]), iouType='segm')
    self._images = images
    self.params.imgIds = list(range(len(images)))
    self.params.catIds = list(spec.thing_ids)

  def computeIoU(self, imgId, catId):  # pylint: disable=invalid-name
    """Does nothing, as all images have been matched."""

  def evaluateImg(self, imgId, catId, aRng, maxDet):  # pylint: disable=invalid-name
    """Returns the earlier result; None if neither side has instances."""
    return self._images[imgId].get((catId, tuple(aRng)))


def _annotations(segments: label_maps.Segments, areas: np.ndarray,
                 spec: dataset_spec.DatasetSpec) -> List[Dict[str, Any]]:
  # pycocotools takes the id 0 for "not matched".
  return [
      {'id': index + 1, 'image_id': 0, 'category_id': int(train_id),
       'area': float(areas[index]), 'iscrowd': int(segments.is_crowd[index])}
      for index, train_id in enumerate(segments.classes)
      if train_id in spec.thing_ids]


def _coco(annotations: List[Dict[str, Any]]) -> coco.COCO:
  data = coco.COCO()
  data.dataset = {
      'images': [{'id': 0}], 'annotations': annotations,
      'categories': [{'id': i}
                     for i in {a['category_id'] for a in annotations}]}
  with contextlib.redirect_stdout(io.StringIO()):
    data.createIndex()
  return data
