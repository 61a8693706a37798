"""Computes panoptic quality by the rules of the official panopticapi.

For each category, with the segments of all images,

  PQ = sum of IoU over matches / (TP + FP / 2 + FN / 2) = SQ * RQ

A predicted and a true segment match (TP) if they have the same category, the
true one is no crowd and IoU > 0.5, where pixels that are void in the ground
truth do not count toward the union. An unmatched true segment is a FN unless it
is a crowd; an unmatched predicted one is a FP unless more than half of it
lies on void or on the crowd of its own category (the one listed last, where an
image has several). The mean is over the categories with any TP, FP or FN.
"""

from typing import Any, Dict

import numpy as np

from axial_tf.evaluation import exact_sums, label_maps, streaming_score
from axial_tf.specs import dataset_spec

_GROUPS = ('all', 'things', 'stuff')


class PanopticQuality(streaming_score.StreamingScore):
  """Streaming PQ, SQ and RQ."""

  def __init__(self, spec: dataset_spec.DatasetSpec):
    # Sum of IoU (digits of `exact_sums`), TP, FP, FN.
    super().__init__(spec, columns=5)

  def add(self, pairs: label_maps.Overlaps) -> None:
    """Adds one image whose overlaps have been counted."""
    _, predicted_area = pairs.areas()
    void_area = pairs.void_areas()
    truth, predicted, area, iou = pairs.same_class()
    is_crowd = pairs.true_segments.is_crowd
    matched = ~is_crowd[truth] & (iou > 0.5)
    missed = ~is_crowd
    missed[truth[matched]] = False
    own_crowd = np.bincount(
        predicted, area * _forgives(pairs.true_segments)[truth],
        predicted_area.size)
    false = (void_area + own_crowd) / predicted_area <= 0.5
    false[predicted[matched]] = False

    true_classes = pairs.true_segments.classes
    matched_classes = true_classes[truth[matched]]
    high, low = exact_sums.split(iou[matched])
    for column, classes, counts in (
        (0, matched_classes, high),
        (1, matched_classes, low),
        (2, matched_classes, 1),
        (3, pairs.predicted_segments.classes[false], 1),
        (4, true_classes[missed], 1)):
      np.add.at(self._sums[:, column], classes, counts)

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


def _forgives(segments: label_maps.Segments) -> np.ndarray:
  """Returns bool [segments]: the crowds on which predictions are forgiven.

  Of several crowds of a class, panopticapi considers only the one listed last.
  """
  last = {
      segments.classes[index]: index
      for index in np.flatnonzero(segments.is_crowd)}
  result = np.zeros(segments.ids.size, bool)
  result[list(last.values())] = True
  return result


def _class_scores(high: int, low: int, tp: int, fp: int, fn: int
                  ) -> Dict[str, float]:
  iou = exact_sums.join(high, low)
  matches = tp + 0.5 * fp + 0.5 * fn
  return {
      'pq': iou / matches if matches else 0.0,
      'sq': iou / tp if tp else 0.0,
      'rq': tp / matches if matches else 0.0,
      'iou': iou, 'tp': tp, 'fp': fp, 'fn': fn,
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
