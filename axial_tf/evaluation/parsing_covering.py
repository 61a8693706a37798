"""Computes Parsing Covering, the metric of DeeperLab, by its published code.

For each category, with the true segments of all images,

  PC = sum of area * best IoU / sum of area

where the best IoU of a true segment is that with any predicted segment of its
category, 0 without one. Nothing is matched and there is no threshold, so that
large segments count for what they cover of the image, where in PQ all count the
same. Areas are shares of their image. Pixels that are void in the ground truth,
or of a crowd, count for no segment. The mean is over the categories with true
pixels.
"""

from typing import Any, Dict

import numpy as np

from axial_tf.evaluation import exact_sums, label_maps, streaming_score
from axial_tf.specs import dataset_spec


class ParsingCovering(streaming_score.StreamingScore):
  """Streaming PC."""

  def __init__(self, spec: dataset_spec.DatasetSpec):
    # Area times best IoU, then area (digits of `exact_sums`).
    super().__init__(spec, columns=4)

  def add(self, pairs: label_maps.Overlaps) -> None:
    """Adds one image whose overlaps have been counted."""
    counted = (pairs.truth >= 0) & ~pairs.on_crowd()
    truth, predicted, area = (
        values[counted]
        for values in (pairs.truth, pairs.prediction, pairs.area))
    segments = pairs.true_segments.ids.size
    true_area = np.bincount(truth, area, segments)
    # An extra bin in front counts the -1 of void.
    predicted_area = np.bincount(
        predicted + 1, area, pairs.predicted_segments.ids.size + 1)
    union = true_area[truth] + predicted_area[predicted + 1] - area
    true_class, predicted_class = pairs.pair_classes(void=-1)
    same = true_class[counted] == predicted_class[counted]
    best = np.zeros(segments)
    np.maximum.at(best, truth[same], (area / union)[same])

    share = true_area / max(pairs.area.sum(), 1)
    for column, values in ((0, share * best), (2, share)):
      for digit, numbers in enumerate(exact_sums.split(values)):
        np.add.at(self._sums[:, column + digit],
                  pairs.true_segments.classes, numbers)

  def result(self) -> Dict[str, Any]:
    """Returns the scores of all images so far, as fractions.

    Returns:
      'all', 'things', 'stuff': each a dict of 'pc' and 'n', the number of
        categories in the mean; the score is 0 when n is 0.
      'per_class': PC by train id; None for a class without true pixels.
    """
    per_class = {
        c.train_id: _covering(*self._sums[c.train_id].tolist())
        for c in self._spec.categories}
    result = {'per_class': per_class}
    for group, ids in (('all', tuple(per_class)),
                       ('things', self._spec.thing_ids),
                       ('stuff', self._spec.stuff_ids)):
      present = [per_class[i] for i in ids if per_class[i] is not None]
      result[group] = {
          'pc': sum(present) / max(len(present), 1), 'n': len(present)}
    return result


def _covering(high: int, low: int, area_high: int, area_low: int):
  area = exact_sums.join(area_high, area_low)
  return exact_sums.join(high, low) / area if area else None


def format_line(result: Dict[str, Any]) -> str:
  """Returns PC in percent as one line; '-' where nothing counts."""
  return 'PC ' + '  '.join(
      f'{name}{100 * result[group]["pc"]:.2f}' if result[group]['n']
      else f'{name}-'
      for group, name in (('all', ''), ('things', 'things '),
                          ('stuff', 'stuff ')))
