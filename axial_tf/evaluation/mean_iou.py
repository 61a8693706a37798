"""Computes mean intersection over union of the classes of panoptic maps."""

from typing import Any, Dict

import numpy as np

from axial_tf.evaluation import label_maps, streaming_score
from axial_tf.specs import dataset_spec


class MeanIoU(streaming_score.StreamingScore):
  """Streaming mean IoU.

  Pixels that are void in the ground truth do not count at all, nor do crowds,
  unless requested: Cityscapes counts its groups of objects. A pixel predicted
  as void is a miss of its true class; void is not a class.
  """

  def __init__(self, spec: dataset_spec.DatasetSpec,
               count_crowds: bool = False):
    # Row: true class; column: predicted class, the last one for void.
    super().__init__(spec, columns=spec.num_classes + 1)
    self._count_crowds = count_crowds

  def add(self, pairs: label_maps.Overlaps) -> None:
    """Adds one image whose overlaps have been counted."""
    truth, predicted = pairs.pair_classes(void=self._spec.num_classes)
    counted = pairs.truth >= 0
    if not self._count_crowds:
      counted &= ~pairs.on_crowd()
    np.add.at(self._sums, (truth[counted], predicted[counted]),
              pairs.area[counted])

  def result(self) -> Dict[str, Any]:
    """Returns the scores of all images so far, as fractions.

    Returns:
      'miou': mean over the classes that occur in the ground truth or in the
        prediction; 0 when none does.
      'pixel_accuracy': share of the counted pixels whose class is right.
      'per_class': IoU by train id; None for a class that does not occur.
    """
    hits = np.diagonal(self._sums)
    union = (self._sums.sum(axis=1)
             + self._sums[:, :-1].sum(axis=0) - hits)
    per_class = {
        c.train_id: (float(hits[c.train_id] / union[c.train_id])
                     if union[c.train_id] else None)
        for c in self._spec.categories}
    present = [iou for iou in per_class.values() if iou is not None]
    return {
        'miou': sum(present) / max(len(present), 1),
        'pixel_accuracy': float(hits.sum() / max(self._sums.sum(), 1)),
        'per_class': per_class,
    }
