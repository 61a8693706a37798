"""Computes mean intersection over union of the classes of panoptic maps."""

from typing import Any, Dict

import numpy as np

from axial_tf.evaluation import label_maps
from axial_tf.specs import dataset_spec


class MeanIoU:
  """Streaming mean IoU; memory does not grow with the images.

  Pixels that are void in the ground truth do not count at all, nor do crowds,
  unless requested: Cityscapes counts its groups of objects. A pixel predicted
  as void is a miss of its true class; void is not a class.
  """

  def __init__(self, spec: dataset_spec.DatasetSpec,
               count_crowds: bool = False):
    self._spec = spec
    self._count_crowds = count_crowds
    # Row: true class; column: predicted class, the last one for void.
    self._confusion = np.zeros(
        [spec.num_classes, spec.num_classes + 1], np.int64)

  def update(self, ground_truth: np.ndarray, prediction: np.ndarray) -> None:
    """Adds one image.

    Args:
      ground_truth: integers [height, width], panoptic labels.
      prediction: integers [height, width], panoptic labels.

    Raises:
      errors.UserError: sizes differ or a label is not legal in the spec.
    """
    self.add(label_maps.overlaps(ground_truth, prediction, self._spec))

  def add(self, pairs: label_maps.Overlaps) -> None:
    """Adds one image whose overlaps have been counted."""
    truth, predicted = pairs.pair_classes(void=self._spec.num_classes)
    counted = pairs.truth >= 0
    if not self._count_crowds:
      counted &= ~pairs.on_crowd()
    np.add.at(self._confusion, (truth[counted], predicted[counted]),
              pairs.area[counted])

  def merge(self, other: 'MeanIoU') -> None:
    """Adds what another process has counted for other images."""
    self._confusion += other._confusion

  def result(self) -> Dict[str, Any]:
    """Returns the scores of all images so far, as fractions.

    Returns:
      'miou': mean over the classes that occur in the ground truth or in the
        prediction; 0 when none does.
      'pixel_accuracy': share of the counted pixels whose class is right.
      'per_class': IoU by train id; None for a class that does not occur.
    """
    hits = np.diagonal(self._confusion)
    union = (self._confusion.sum(axis=1)
             + self._confusion[:, :-1].sum(axis=0) - hits)
    per_class = {
        c.train_id: (float(hits[c.train_id] / union[c.train_id])
                     if union[c.train_id] else None)
        for c in self._spec.categories}
    present = [iou for iou in per_class.values() if iou is not None]
    return {
        'miou': sum(present) / max(len(present), 1),
        'pixel_accuracy': float(hits.sum() / max(self._confusion.sum(), 1)),
        'per_class': per_class,
    }
