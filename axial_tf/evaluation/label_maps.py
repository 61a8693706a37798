"""Measures segments of maps and their overlaps, the basis of the metrics."""

import dataclasses
from typing import Tuple

import numpy as np

from axial_tf import errors
from axial_tf.files import strips
from axial_tf.panoptic import label_runs
from axial_tf.specs import dataset_spec


@dataclasses.dataclass(frozen=True)
class Segments:
  """The segments of one map, in the order in which they are listed.

  Attributes:
    ids: int64 [segments], values of the map.
    classes: int64 [segments], train ids.
    is_crowd: bool [segments]; never true in a prediction.
  """

  ids: np.ndarray
  classes: np.ndarray
  is_crowd: np.ndarray


@dataclasses.dataclass(frozen=True)
class Overlaps:
  """The pairs of segments that share pixels.

  Attributes:
    truth: int64 [pairs], index into the true segments, -1 for void.
    prediction: int64 [pairs], index into the predicted segments, or -1.
    area: int64 [pairs], pixels that the two share.
    true_segments: segments of the ground truth.
    predicted_segments: segments of the prediction.
  """

  truth: np.ndarray
  prediction: np.ndarray
  area: np.ndarray
  true_segments: Segments
  predicted_segments: Segments

  def areas(self) -> Tuple[np.ndarray, np.ndarray]:
    """Returns the pixels of each true and of each predicted segment."""
    return tuple(
        # An extra bin in front counts the -1 of void.
        np.bincount(index + 1, self.area, segments.ids.size + 1)[1:]
        for index, segments in (
            (self.truth, self.true_segments),
            (self.prediction, self.predicted_segments)))

  def pair_classes(self, void: int) -> Tuple[np.ndarray, np.ndarray]:
    """Returns the train ids [pairs] of both sides, `void` for void."""
    # The index -1 selects the last entry.
    return (np.append(self.true_segments.classes, void)[self.truth],
            np.append(self.predicted_segments.classes, void)[self.prediction])

  def void_areas(self) -> np.ndarray:
    """Returns the void pixels of the ground truth in each prediction."""
    return np.bincount(
        self.prediction + 1, self.area * (self.truth < 0),
        self.predicted_segments.ids.size + 1)[1:]

  def same_class(self) -> Tuple[np.ndarray, np.ndarray, np.ndarray,
                                np.ndarray]:
    """Compares the pairs of a true and a predicted segment of one class.

    Returns:
      [same pairs] each: index of the true segment, of the predicted one, the
      pixels they share, and their IoU; void pixels of the ground truth do not
      count toward the union.
    """
    truth_area, predicted_area = self.areas()
    truth_class, predicted_class = self.pair_classes(void=-1)
    same = (truth_class == predicted_class) & (self.truth >= 0)
    truth, predicted, area = (
        values[same] for values in (self.truth, self.prediction, self.area))
    union = (truth_area[truth] + predicted_area[predicted] - area
             - self.void_areas()[predicted])
    return truth, predicted, area, area / union

  def on_crowd(self) -> np.ndarray:
    """Returns bool [pairs]: whether the true segment is a crowd."""
    return np.append(self.true_segments.is_crowd, False)[self.truth]


def value_pairs(truth: np.ndarray, prediction: np.ndarray
                ) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Counts the pixels of each pair of values that occurs.

  Args:
    truth: integers of any shape, each in 0..2**31 - 1.
    prediction: predicted panoptic map, of the same shape.

  Returns:
    int64 [pairs] each: value in `truth`, value in `prediction`, pixels.
  """
  starts, lengths = label_runs.find(truth, prediction)
  truth, prediction = (
      values.reshape(-1)[starts].astype(np.int64)
      for values in (truth, prediction))
  pairs, index = np.unique(truth << 32 | prediction, return_inverse=True)
  return (pairs >> 32, pairs & 0xffffffff,
          np.bincount(index, lengths, pairs.size).astype(np.int64))


def segments(panoptic: np.ndarray, spec: dataset_spec.DatasetSpec
             ) -> Tuple[Segments, np.ndarray, np.ndarray]:
  """Measures the segments of one map.

  Args:
    panoptic: integers [height, width], panoptic labels.
    spec: spec that defines which labels are legal.

  Returns:
    The segments by ascending label, where things with instance 0 are crowds;
    their pixels, int64 [segments]; their boxes, int64 [segments, 4]: (ymin,
    xmin, ymax, xmax), maxima exclusive.

  Raises:
    errors.UserError: see `overlaps`.
  """
  panoptic = _checked(panoptic, 'panoptic map')
  measured = [_runs(panoptic[:0], 0)] + [
      _united(_runs(panoptic[strip], strip.start))
      for strip in strips.of(panoptic.shape)]
  values, areas, boxes = _united(map(np.concatenate, zip(*measured)))
  labels = _legal(values, spec, 'panoptic map')
  _, found = _segments(labels, spec)
  is_segment = labels != spec.void_label
  return found, areas[is_segment], boxes[is_segment]


def _runs(panoptic: np.ndarray, top: int
          ) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Measures the runs of equal labels in rows, of which `top` is the first.

  Returns:
    int64 [runs] each: label, pixels; box int64 [runs, 4].
  """
  # With its row as second value, no run continues in the next row.
  y = np.broadcast_to(np.arange(panoptic.shape[0])[:, np.newaxis],
                      panoptic.shape)
  starts, lengths = label_runs.find(panoptic, y)
  ymin, xmin = np.divmod(starts, max(panoptic.shape[1], 1))
  return (panoptic.reshape(-1)[starts].astype(np.int64), lengths, np.stack(
      [top + ymin, xmin, top + ymin + 1, xmin + lengths], -1))


def _united(parts) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Unites the parts of each label: their labels, pixels, boxes."""
  values, lengths, boxes = parts
  values, index = np.unique(values, return_inverse=True)
  low = np.full([values.size, 2], np.iinfo(np.int64).max)
  high = np.zeros_like(low)
  np.minimum.at(low, index, boxes[:, :2])
  np.maximum.at(high, index, boxes[:, 2:])
  areas = np.bincount(index, lengths, values.size).astype(np.int64)
  return values, areas, np.concatenate([low, high], -1)


def overlaps(ground_truth: np.ndarray, prediction: np.ndarray,
             spec: dataset_spec.DatasetSpec) -> Overlaps:
  """Counts the pixels that each pair of segments shares.

  Args:
    ground_truth: integers [height, width], panoptic labels.
    prediction: predicted panoptic map, of the same shape.
    spec: spec that defines which labels are legal.

  Returns:
    The pairs; the ids of segments are their panoptic labels.

  Raises:
    errors.UserError: the maps are not integer maps of one size, or a label
      belongs to no category or gives stuff an instance number.
  """
  ground_truth = _checked(ground_truth, 'ground truth')
  prediction = _checked(prediction, 'prediction')
  if ground_truth.shape != prediction.shape:
    raise errors.UserError(
        f'expected a prediction of the ground truth\'s size '
        f'{list(ground_truth.shape)}, got {list(prediction.shape)}; '
        f'resize it with nearest-neighbor sampling')
  truth, predicted, area = value_pairs(ground_truth, prediction)
  truth = _legal(truth, spec, 'ground truth')
  predicted = _legal(predicted, spec, 'prediction')
  truth_index, true_segments = _segments(truth, spec)
  predicted_index, predicted_segments = _segments(predicted, spec)
  return Overlaps(
      truth_index, predicted_index, area, true_segments,
      # No prediction claims to be a crowd, whatever its number.
      dataclasses.replace(predicted_segments, is_crowd=np.zeros(
          predicted_segments.ids.size, bool)))


def _segments(labels: np.ndarray, spec: dataset_spec.DatasetSpec
              ) -> Tuple[np.ndarray, Segments]:
  """Returns for each label the index of its segment, and the segments."""
  is_segment = labels != spec.void_label
  ids, found = np.unique(labels[is_segment], return_inverse=True)
  index = np.full(labels.shape, -1, np.int64)
  index[is_segment] = found
  classes = ids // spec.label_divisor
  is_crowd = np.isin(classes, spec.thing_ids) & (ids % spec.label_divisor == 0)
  return index, Segments(ids, classes, is_crowd)


def _checked(label_map, what: str) -> np.ndarray:
  label_map = np.asarray(label_map)
  if label_map.ndim != 2 or label_map.dtype.kind not in 'iu':
    raise errors.UserError(
        f'{what}: expected an integer label map [height, width], got '
        f'{label_map.dtype} with shape {list(label_map.shape)}')
  if label_map.size and not (
      0 <= label_map.min() and label_map.max() < 2**31):
    raise errors.UserError(
        f'{what}: expected labels >= 0, got {label_map.min()} to '
        f'{label_map.max()}; check the data set\'s spec and its '
        f'label_divisor')
  return label_map


def _legal(labels: np.ndarray, spec: dataset_spec.DatasetSpec, what: str
           ) -> np.ndarray:
  """Returns int64 labels with one value for void, or raises a UserError."""
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
