"""A table of the segments of one panoptic map: id, class, score, area, box."""

from typing import Dict, Optional

import tensorflow as tf

from axial_tf.panoptic import histogram, shapes


def segment_table(
    panoptic_map: tf.Tensor,
    score_map: tf.Tensor,
    semantic_probabilities: tf.Tensor,
    final_map: Optional[tf.Tensor] = None,
    *,
    label_divisor: int,
    void_label: int,
    max_segments: int,
) -> Dict[str, tf.Tensor]:
  """Lists the segments of a panoptic map, without void, by ascending label.

  The score is that of Panoptic-DeepLab for instance AP: the confidence of the
  center times the mean confidence of the pixels in the class.

  Args:
    panoptic_map: int32 `[height, width]`.
    score_map: float32 `[height, width]`, from `merging.merge`.
    semantic_probabilities: `[height, width, classes]`.
    final_map: int32 `[other height, other width]`, the map resized, on which
      areas and boxes are measured in place of `panoptic_map`; segments missing
      from it are not listed.
    label_divisor: see `label_ids`.
    void_label: label of the pixels that belong to no segment.
    max_segments: rows of the table; of more segments, the largest are listed.

  Returns:
    With n = max_segments and zeros in the rows past `num_segments`:
      segment_ids: int32 `[n]`, values of `panoptic_map`.
      segment_classes: int32 `[n]`, train ids.
      segment_scores: float32 `[n]` in [0, 1], mean of the score map times mean
        probability of the segment's class.
      segment_areas: int32 `[n]`, pixels.
      segment_boxes: int32 `[n, 4]`, (ymin, xmin, ymax, xmax), maxima exclusive.
      num_segments: int32 scalar, rows in use.
  """
  classes = semantic_probabilities.shape[-1]
  labels = classes * label_divisor
  ids, num_segments = _largest_segments(
      tf.where(tf.equal(panoptic_map, void_label), labels, panoptic_map),
      labels, max_segments)
  is_used = tf.range(max_segments) < num_segments
  # Row of the table for each label; labels that are not listed have none.
  row_of_label = tf.tensor_scatter_nd_update(
      tf.fill([labels + 1], max_segments), ids[:, tf.newaxis],
      tf.where(is_used, tf.range(max_segments), max_segments))

  def rows_of(label_map):
    row = tf.gather(row_of_label, tf.clip_by_value(label_map, 0, labels))
    return tf.where(tf.equal(label_map, void_label), max_segments, row)

  seen = _Pixels(rows_of(panoptic_map), max_segments)
  measured = seen if final_map is None else _Pixels(
      rows_of(final_map), max_segments)
  probability = tf.gather(
      semantic_probabilities,
      tf.clip_by_value(panoptic_map // label_divisor, 0, classes - 1),
      batch_dims=2)
  ids = tf.where(is_used, ids, 0)
  table = {
      'segment_ids': ids,
      'segment_classes': ids // label_divisor,
      'segment_scores': seen.mean(score_map) * seen.mean(probability),
      'segment_areas': measured.areas,
      'segment_boxes': measured.boxes(),
      'num_segments': num_segments,
  }
  return table if final_map is None else _without_lost(table)


class _Pixels:
  """The pixels of a map, grouped by segment, which is a row of the table."""

  def __init__(self, row: tf.Tensor, max_segments: int):
    self._max_segments = max_segments
    self._row = row
    self._size = shapes.sizes(row)
    self._y, self._x = tf.meshgrid(*map(tf.range, self._size), indexing='ij')
    self._in_rows = self._by(0)
    self.areas = tf.reduce_sum(self._in_rows, 1)

  def mean(self, values: tf.Tensor) -> tf.Tensor:
    """Returns float32 [segments], the mean of values [height, width]."""
    # Per segment and image row first: short sums keep float32 precise.
    return tf.math.divide_no_nan(
        tf.reduce_sum(self._by(0, tf.cast(values, tf.float32)), 1),
        tf.cast(self.areas, tf.float32))

  def boxes(self) -> tf.Tensor:
    """Returns int32 [segments, 4], zeros for segments without pixels."""
    ymin, ymax = _extent(self._in_rows > 0)
    xmin, xmax = _extent(self._by(1) > 0)
    return tf.stack([ymin, xmin, ymax, xmax], -1)

  def _by(self, axis: int, values=None) -> tf.Tensor:
    """Counts pixels, or sums values, by segment and place along an axis."""
    size = self._size[axis]
    bins = histogram.histogram(
        self._row * size + (self._y, self._x)[axis],
        self._max_segments * size, values)
    return tf.reshape(bins, [self._max_segments, size])


def _without_lost(table: Dict[str, tf.Tensor]) -> Dict[str, tf.Tensor]:
  """Moves the rows of segments without pixels to the end, and clears them."""
  remains = table['segment_areas'] > 0
  order = tf.argsort(tf.cast(~remains, tf.int32), stable=True)
  count = tf.math.count_nonzero(remains, dtype=tf.int32)
  is_used = tf.range(tf.size(remains)) < count

  def compact(values):
    used = is_used if values.shape.rank == 1 else is_used[:, tf.newaxis]
    return tf.where(used, tf.gather(values, order), 0)

  return {key: count if key == 'num_segments' else compact(values)
          for key, values in table.items()}


def _largest_segments(panoptic_map, labels: int, max_segments: int):
  """int32 labels [max_segments], ascending, then `labels`; and their number."""
  areas = histogram.histogram(panoptic_map, labels)
  rows = min(max_segments, labels)
  area, label = tf.math.top_k(areas, rows)
  ids = tf.sort(tf.where(area > 0, label, labels))
  ids = tf.pad(ids, [[0, max_segments - rows]], constant_values=labels)
  return ids, tf.math.count_nonzero(area, dtype=tf.int32)


def _extent(is_covered: tf.Tensor):
  """First covered index and last + 1 along axis 1; zeros where none is."""
  size = tf.shape(is_covered)[1]
  index = tf.range(size)
  first = tf.reduce_min(tf.where(is_covered, index, size), 1)
  end = tf.reduce_max(tf.where(is_covered, index + 1, 0), 1)
  return tf.where(end > 0, first, 0), end
