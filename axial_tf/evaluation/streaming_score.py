"""Defines what scores of panoptic maps have in common: sums over images."""

import abc

import numpy as np

from axial_tf.evaluation import label_maps
from axial_tf.specs import dataset_spec


class StreamingScore(abc.ABC):
  """Integers that each image adds to; memory does not grow with the images."""

  def __init__(self, spec: dataset_spec.DatasetSpec, columns: int):
    """Starts with no image.

    Args:
      spec: the categories.
      columns: number of sums for each class.
    """
    self._spec = spec
    self._sums = np.zeros([spec.num_classes, columns], np.int64)

  def update(self, ground_truth: np.ndarray, prediction: np.ndarray) -> None:
    """Adds one image.

    Args:
      ground_truth: integers [height, width], panoptic labels; a thing with
        instance 0 is a crowd.
      prediction: integers [height, width], panoptic labels.

    Raises:
      errors.UserError: sizes differ or a label is not legal in the spec.
    """
    self.add(label_maps.overlaps(ground_truth, prediction, self._spec))

  @abc.abstractmethod
  def add(self, pairs: label_maps.Overlaps) -> None:
    """Adds one image whose overlaps have been counted."""

  def merge(self, other: 'StreamingScore') -> None:
    """Adds what another process has counted for other images."""
    self._sums += other._sums
