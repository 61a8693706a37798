"""Panoptic quality, by the rules of the official panopticapi.

For each category, with the segments of all images,

  PQ = sum of IoU over matches / (TP + FP / 2 + FN / 2) = SQ * RQ

Predicted and true segment match (TP) when they have the same category, the
true one is no crowd and IoU > 0.5, where pixels that are void in the ground
truth do not count into the union. An unmatched true segment is a FN unless it
is a crowd; an unmatched predicted one is a FP unless more than half of it
lies on void or on the crowd of its own category. The mean is over the
categories with any TP, FP or FN.
"""

from typing import Any, Dict

import numpy as np

from axial_tf.data import dataset_spec
from axial_tf.evaluation import label_maps

_GROUPS = ('all', 'things', 'stuff')


class PanopticQuality:
  """Streaming PQ, SQ and RQ; memory does not grow with the images."""

  def __init__(self, spec: dataset_spec.DatasetSpec):
    self._spec = spec
    # Columns: sum of IoU, TP, FP, FN.
    self._sums = np.zeros([spec.num_classes, 4], np.float64)

  def update(self, ground_truth: np.ndarray, prediction: np.ndarray) -> None:
    """Adds one image.

    Args:
      ground_truth: integers [height, width], panoptic labels; a thing with
        instance 0 is a crowd.
      prediction: integers [height, width], panoptic labels.

    Raises:
      errors.UserError: sizes differ or a label is not legal in the spec.
    """
    spec = self._spec
    pairs = label_maps.overlaps(ground_truth, prediction, spec)
    truth_ids, truth_index = np.unique(pairs.truth, return_inverse=True)
    predicted_ids, predicted_index = np.unique(
        pairs.prediction, return_inverse=True)
    truth_area = np.bincount(truth_index, pairs.area)
    predicted_area = np.bincount(predicted_index, pairs.area)
    truth_class = truth_ids // spec.label_divisor
    predicted_class = predicted_ids // spec.label_divisor
    is_crowd = np.isin(truth_class, spec.thing_ids) & (
        truth_ids % spec.label_divisor == 0)

    same_class = truth_class[truth_index] == predicted_class[predicted_index]
    on_void = pairs.truth == spec.void_label
    void_area = np.bincount(
        predicted_index, pairs.area * on_void, predicted_ids.size)
    union = (truth_area[truth_index] + predicted_area[predicted_index]
             - pairs.area - void_area[predicted_index])
    candidate = same_class & ~on_void & ~is_crowd[truth_index]
    iou = np.where(candidate, pairs.area, 0) / np.maximum(union, 1)
    matched = iou > 0.5

    unmatched = np.ones(truth_ids.size, bool)
    unmatched[truth_index[matched]] = False
    missed = unmatched & ~is_crowd & (truth_ids != spec.void_label)

    unmatched = np.ones(predicted_ids.size, bool)
    unmatched[predicted_index[matched]] = False
    on_own_crowd = np.bincount(
        predicted_index,
        pairs.area * (is_crowd[truth_index] & same_class), predicted_ids.size)
    false = unmatched & (predicted_ids != spec.void_label) & (
        (void_area + on_own_crowd) / predicted_area <= 0.5)

    matched_class = truth_class[truth_index[matched]]
    for column, classes, weights in (
        (0, matched_class, iou[matched]), (1, matched_class, None),
        (2, predicted_class[false], None), (3, truth_class[missed], None)):
      self._sums[:, column] += np.bincount(
          classes, weights, minlength=spec.num_classes)

  def state(self) -> np.ndarray:
    """Returns float64 [classes, 4]: sum of IoU, TP, FP, FN per train id."""
    return self._sums.copy()

  def merge(self, other: 'PanopticQuality') -> None:
    """Adds what another replica or process has counted for other images."""
    self._sums += other.state()

  def result(self) -> Dict[str, Any]:
    """Returns the scores of all images so far, as fractions.

    Returns:
      'all', 'things', 'stuff': each a dict of 'pq', 'sq', 'rq' and 'n', the
        number of categories in the mean; scores are 0 when n is 0.
      'per_class': by train id, dicts of 'pq', 'sq', 'rq', 'iou' (sum over the
        matches), 'tp', 'fp', 'fn'.
    """
    per_class = {
        c.train_id: _class_scores(*self._sums[c.train_id].tolist())
        for c in self._spec.categories}
    result = {'per_class': per_class}
    for group, ids in zip(_GROUPS, (
        tuple(per_class), self._spec.thing_ids, self._spec.stuff_ids)):
      present = [s for s in (per_class[i] for i in ids)
                 if s['tp'] + s['fp'] + s['fn']]
      result[group] = {
          key: sum(s[key] for s in present) / max(len(present), 1)
          for key in ('pq', 'sq', 'rq')}
      result[group]['n'] = len(present)
    return result


def _class_scores(iou: float, tp: float, fp: float, fn: float
                  ) -> Dict[str, float]:
  matches = tp + 0.5 * fp + 0.5 * fn
  return {
      'pq': iou / matches if matches else 0.0,
      'sq': iou / tp if tp else 0.0,
      'rq': tp / matches if matches else 0.0,
      'iou': iou, 'tp': int(tp), 'fp': int(fp), 'fn': int(fn),
  }


def format_table(result: Dict[str, Any], spec: dataset_spec.DatasetSpec,
                 per_class: bool = False) -> str:
  """Returns PQ, SQ and RQ in percent as a table; '-' where nothing counts.

  Args:
    result: what `PanopticQuality.result` returned.
    spec: the data set's categories.
    per_class: whether to add a line for each category.
  """
  names = list(_GROUPS)
  if per_class:
    names += [c.name for c in spec.categories]
  width = max(len(name) for name in names)
  lines = [f'{"":{width}}     PQ     SQ     RQ  categories']
  for group in _GROUPS:
    scores = result[group]
    lines.append(_table_line(group, width, scores, scores['n'] > 0)
                 + f'  {scores["n"]:10d}')
  if per_class:
    lines.append(f'{"":{width}}     PQ     SQ     RQ      TP      FP      FN')
    for category in spec.categories:
      scores = result['per_class'][category.train_id]
      counts = [scores[key] for key in ('tp', 'fp', 'fn')]
      lines.append(
          _table_line(category.name, width, scores, sum(counts) > 0)
          + ''.join(f' {count:7d}' for count in counts))
  return '\n'.join(lines)


def _table_line(name: str, width: int, scores, is_present: bool) -> str:
  return f'{name:{width}}' + ''.join(
      f' {100 * scores[key]:6.2f}' if is_present else f' {"-":>6}'
      for key in ('pq', 'sq', 'rq'))
