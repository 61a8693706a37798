"""Computes instance AP by the rules of Cityscapes' own evaluator.

It differs from COCO's: predictions on void and on groups are forgiven in
proportion, true instances below 100 pixels do not count, the number of
predictions is unlimited, and the precision-recall curve is integrated without
smoothing. Thresholds are IoU 0.50:0.05:0.95.
"""

from typing import Any, Dict, List, Mapping, Optional

import numpy as np

from axial_tf.evaluation import instance_ap, label_maps
from axial_tf.specs import dataset_spec

# The evaluator's own sums of floats: 0.6 there is 0.6000000000000001.
_THRESHOLDS = np.arange(0.5, 1.0, 0.05)
_MIN_PIXELS = 100


class CityscapesAP:
  """AP and AP50 of the things; keeps a few bytes per instance, no masks."""

  def __init__(self, spec: dataset_spec.DatasetSpec):
    self._spec = spec
    # By train id, rows for each image. True instances: IoU of the best
    # prediction, its score. Predictions: best IoU with anything of the class,
    # ignored share, score.
    self._truth = {i: [np.zeros([0, 2])] for i in spec.thing_ids}
    self._predictions = {i: [np.zeros([0, 3])] for i in spec.thing_ids}

  def update(self, ground_truth: np.ndarray, prediction: np.ndarray,
             scores: Mapping[int, float]) -> None:
    """Adds one image; arguments and errors as `InstanceAP.update`."""
    pairs = label_maps.overlaps(ground_truth, prediction, self._spec)
    self.add(pairs, instance_ap.thing_scores(pairs, scores, self._spec))

  def add(self, pairs: label_maps.Overlaps, scores: np.ndarray) -> None:
    """Adds one image; arguments as `InstanceAP.add`."""
    truth_area, predicted_area = pairs.areas()
    truth_class, predicted_class = pairs.pair_classes(void=-1)
    on_void = (pairs.truth < 0) & (pairs.prediction >= 0)
    same = (truth_class == predicted_class) & (truth_class >= 0)
    truth, predicted = pairs.truth[same], pairs.prediction[same]
    area = pairs.area[same]
    iou = area / (truth_area[truth] + predicted_area[predicted] - area)

    best_of_truth = np.zeros(truth_area.size)
    np.maximum.at(best_of_truth, truth, iou)
    score_of_truth = np.zeros(truth_area.size)
    # Predictions share no pixels, so only one can reach half of the union.
    is_close = iou > 0.5
    score_of_truth[truth[is_close]] = scores[predicted[is_close]]
    best_of_prediction = np.zeros(predicted_area.size)
    np.maximum.at(best_of_prediction, predicted, iou)

    is_crowd = pairs.true_segments.is_crowd
    is_small = truth_area < _MIN_PIXELS
    # A group that is small is counted twice, as in the evaluator.
    ignored = np.bincount(
        predicted, area * (is_crowd[truth].astype(int) + is_small[truth]),
        predicted_area.size)
    ignored += np.bincount(
        pairs.prediction[on_void], pairs.area[on_void], predicted_area.size)
    ignored_share = ignored / predicted_area

    counts = ~is_crowd & ~is_small
    for train_id in self._spec.thing_ids:
      mine = counts & (pairs.true_segments.classes == train_id)
      self._truth[train_id].append(
          np.stack([best_of_truth[mine], score_of_truth[mine]], -1))
      mine = pairs.predicted_segments.classes == train_id
      self._predictions[train_id].append(np.stack([
          best_of_prediction[mine], ignored_share[mine], scores[mine]], -1))

  def merge(self, other: 'CityscapesAP') -> None:
    """Adds what another process has seen of other images."""
    for train_id in self._spec.thing_ids:
      self._truth[train_id] += other._truth[train_id]
      self._predictions[train_id] += other._predictions[train_id]

  def result(self) -> Dict[str, Any]:
    """Returns the scores of all images so far, as fractions.

    Returns:
      'ap' (mean over classes and thresholds), 'ap50'; 'per_class': 'ap' by
      train id of the things. None where the ground truth has no instance.
    """
    curves = {i: self._class_scores(i) for i in self._spec.thing_ids}
    present = np.array([c for c in curves.values() if c is not None])
    return {
        'ap': float(present.mean()) if present.size else None,
        'ap50': float(present[:, 0].mean()) if present.size else None,
        'per_class': {
            train_id: None if curve is None else float(np.mean(curve))
            for train_id, curve in curves.items()}}

  def _class_scores(self, train_id: int) -> Optional[List[float]]:
    """Returns the AP at each threshold, None without true instances."""
    truth = np.concatenate(self._truth[train_id])
    predictions = np.concatenate(self._predictions[train_id])
    if not truth.size:
      return None
    result = []
    for threshold in _THRESHOLDS:
      found = truth[:, 0] > threshold
      false = (predictions[:, 0] <= threshold) & (
          predictions[:, 1] <= threshold)
      result.append(_average_precision(
          truth[found, 1], predictions[false, 2], (~found).sum()))
    return result


def _average_precision(right: np.ndarray, wrong: np.ndarray, missed: int
                       ) -> float:
  """Returns the area under the precision-recall curve.

  Args:
    right: scores of the predictions that found an instance.
    wrong: scores of those that found none.
    missed: number of instances without a prediction.
  """
  scores = np.unique(np.concatenate([right, wrong]))
  # Predictions that score at least as high as each score, ascending.
  tp = right.size - np.searchsorted(np.sort(right), scores)
  fp = wrong.size - np.searchsorted(np.sort(wrong), scores)
  precision = np.append(tp / np.maximum(tp + fp, 1), 1.0)
  recall = np.append(tp / (right.size + missed), 0.0)
  # Each point counts for half the distance to both of its neighbors.
  around = np.concatenate([recall[:1], recall, [0.0]])
  return float(precision @ (around[:-2] - around[2:]) / 2)
