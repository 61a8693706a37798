"""Computes all scores of results on disk, by the categories' own ids."""

from typing import Any, Dict

import numpy as np

from axial_tf.evaluation import (
  cityscapes_ap,
  instance_ap,
  mean_iou,
  panoptic_files,
  panoptic_quality,
  parsing_covering,
)
from axial_tf.specs import dataset_spec


class FileScores:
  """Accumulates images; AP only while every predicted thing has a score."""

  def __init__(self, spec: dataset_spec.DatasetSpec, rules: str = 'coco'):
    """Starts without images.

    Args:
      spec: the categories.
      rules: rules of AP and mean IoU: 'coco', 'cityscapes' or 'mapillary',
        which has coco's; PQ and PC are the same in all.
    """
    is_cityscapes = rules == 'cityscapes'
    self._spec = spec
    self._quality = panoptic_quality.PanopticQuality(spec)
    self._iou = mean_iou.MeanIoU(spec, count_crowds=is_cityscapes)
    self._covering = parsing_covering.ParsingCovering(spec)
    self._ap = (cityscapes_ap.CityscapesAP(spec) if is_cityscapes
                else instance_ap.InstanceAP(spec))
    self._image_without_scores = None

  def add(self, image: panoptic_files.ScoredOverlaps) -> None:
    """Adds one image."""
    self._quality.add(image.pairs)
    self._iou.add(image.pairs)
    self._covering.add(image.pairs)
    is_thing = np.isin(
        image.pairs.predicted_segments.classes, self._spec.thing_ids)
    if self._image_without_scores is not None:
      return
    if np.isnan(image.scores[is_thing]).any():
      self._image_without_scores = image.image_id
    else:
      self._ap.add(image.pairs, np.nan_to_num(image.scores))

  def result(self) -> Dict[str, Any]:
    """Returns all scores as fractions; classes go by the categories' ids.

    Returns:
      'pq': {'all', 'things', 'stuff': each {'pq', 'sq', 'rq', 'n'},
      'per_class'}; 'ap': what the metric returns, or None where a predicted
      thing has no score; 'miou': {'miou', 'pixel_accuracy', 'per_class'};
      'pc': {'all', 'things', 'stuff': each {'pc', 'n'}, 'per_class'}.
    """
    return {
        'pq': self._by_source_id(self._quality.result()),
        'ap': (None if self._image_without_scores is not None
               else self._by_source_id(self._ap.result())),
        'miou': self._by_source_id(self._iou.result()),
        'pc': self._by_source_id(self._covering.result())}

  def _by_source_id(self, result: Dict[str, Any]) -> Dict[str, Any]:
    return {**result, 'per_class': {
        self._spec.category(train_id).id: scores
        for train_id, scores in result['per_class'].items()}}

  def format_table(self, per_class: bool = False) -> str:
    """Returns the scores in percent, as lines for people."""
    lines = [panoptic_quality.format_table(
        self._quality.result(), self._spec, per_class)]
    iou = self._iou.result()
    lines.append(f'mIoU {100 * iou["miou"]:.2f}  pixel accuracy '
                 f'{100 * iou["pixel_accuracy"]:.2f}')
    lines.append(parsing_covering.format_line(self._covering.result()))
    if self._image_without_scores is not None:
      lines.append(
          f'AP: none, as there are things without "score" (image '
          f'{self._image_without_scores!r})')
    else:
      lines.append(instance_ap.format_line(self._ap.result()))
    return '\n'.join(lines)
