"""Overlap of two panoptic label maps: what both metrics start from."""

import dataclasses

import numpy as np

from axial_tf import errors
from axial_tf.data import dataset_spec


@dataclasses.dataclass(frozen=True)
class Overlaps:
  """The pairs of labels that occur, each array int64 [pairs].

  Attributes:
    truth: panoptic labels of the ground truth.
    prediction: panoptic labels of the prediction.
    area: pixels that carry this pair of labels.
  """

  truth: np.ndarray
  prediction: np.ndarray
  area: np.ndarray


def overlaps(ground_truth: np.ndarray, prediction: np.ndarray,
             spec: dataset_spec.DatasetSpec) -> Overlaps:
  """Counts the pixels of each pair of labels that occurs.

  Label maps are piecewise constant, so counting runs of equal pairs instead
  of pixels is many times faster than sorting the pixels.

  Args:
    ground_truth: integers [height, width], panoptic labels.
    prediction: likewise, of the same size.
    spec: tells which labels are legal.

  Returns:
    The pairs; a label of void is always `spec.void_label` there.

  Raises:
    errors.UserError: the maps are no integer maps of one size, or a label
      belongs to no category or gives stuff an instance number.
  """
  truth = _flat(ground_truth, 'ground truth')
  predicted = _flat(prediction, 'prediction')
  if np.shape(ground_truth) != np.shape(prediction):
    raise errors.UserError(
        f'expected a prediction of the ground truth\'s size '
        f'{list(np.shape(ground_truth))}, got {list(np.shape(prediction))}; '
        f'resize it with nearest-neighbor sampling')
  changes = (truth[1:] != truth[:-1]) | (predicted[1:] != predicted[:-1])
  starts = np.concatenate([
      np.zeros([min(truth.size, 1)], np.int64), np.flatnonzero(changes) + 1])
  run_lengths = np.diff(starts, append=truth.size)
  truth = _legal(truth[starts], spec, 'ground truth')
  predicted = _legal(predicted[starts], spec, 'prediction')
  # Legal labels fit into 24 bits, so a pair fits into an int64.
  pairs, index = np.unique((truth << 32) | predicted, return_inverse=True)
  return Overlaps(
      pairs >> 32, pairs & 0xffffffff,
      np.bincount(index, run_lengths, pairs.size).astype(np.int64))


def _flat(label_map, what: str) -> np.ndarray:
  label_map = np.asarray(label_map)
  if label_map.ndim != 2 or label_map.dtype.kind not in 'iu':
    raise errors.UserError(
        f'{what}: expected an integer label map [height, width], got '
        f'{label_map.dtype} with shape {list(label_map.shape)}')
  return label_map.reshape(-1)


def _legal(labels: np.ndarray, spec: dataset_spec.DatasetSpec, what: str
           ) -> np.ndarray:
  """Returns int64 labels with one value for void, or raises a UserError."""
  labels = labels.astype(np.int64)
  classes = labels // spec.label_divisor
  is_void = classes == spec.ignore_label
  known = is_void | np.isin(classes, spec.thing_ids + spec.stuff_ids)
  if not known.all():
    label = int(labels[~known][0])
    raise errors.UserError(
        f'{what}: expected labels of the categories of {spec.name!r} (train '
        f'id * {spec.label_divisor} + instance, void {spec.void_label}), got '
        f'{label}, which would be train id {label // spec.label_divisor}; '
        f'check the data set\'s spec and its label_divisor')
  divided = (labels != classes * spec.label_divisor) & ~is_void & np.isin(
      classes, spec.stuff_ids)
  if divided.any():
    label = int(labels[divided][0])
    raise errors.UserError(
        f'{what}: expected instance 0 for stuff, got label {label}: '
        f'{spec.category(label // spec.label_divisor).name!r} with instance '
        f'{label % spec.label_divisor}; stuff has one segment per image')
  return np.where(is_void, spec.void_label, labels)
