"""A table of the segments of one panoptic map: id, class, score, area, box."""

from typing import Dict

import tensorflow as tf

from axial_tf.panoptic import histogram, label_ids


def segment_table(
    panoptic_map: tf.Tensor,
    score_map: tf.Tensor,
    semantic_probabilities: tf.Tensor,
    *,
    label_divisor: int,
    void_label: int,
    max_segments: int,
) -> Dict[str, tf.Tensor]:
  """Lists the segments of a panoptic map, without void, by ascending label.

  The score is that of Panoptic-DeepLab for instance AP: how sure the center
  is, times how sure the pixels are of the class.

  Args:
    panoptic_map: int32 `[height, width]`.
    score_map: float32 `[height, width]`, from `merging.merge`.
    semantic_probabilities: `[height, width, classes]`.
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
  height, width = (
      tf.shape(panoptic_map)[i] if n is None else n
      for i, n in enumerate(panoptic_map.shape))
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
  row = tf.gather(row_of_label, tf.clip_by_value(panoptic_map, 0, labels))
  row = tf.where(tf.equal(panoptic_map, void_label), max_segments, row)

  category, _ = label_ids.decode(panoptic_map, label_divisor)
  probability = tf.gather(
      semantic_probabilities, tf.clip_by_value(category, 0, classes - 1),
      batch_dims=2)

  # Per segment and image row first: short sums keep float32 precise, and the
  # same bins give the areas and the boxes.
  y, x = tf.meshgrid(tf.range(height), tf.range(width), indexing='ij')

  def by_row(values=None):
    bins = histogram.histogram(row * height + y, max_segments * height, values)
    return tf.reshape(bins, [max_segments, height])

  in_rows = by_row()
  in_columns = tf.reshape(
      histogram.histogram(row * width + x, max_segments * width),
      [max_segments, width])
  areas = tf.reduce_sum(in_rows, 1)
  pixels = tf.cast(areas, tf.float32)
  mean_score, mean_probability = (
      tf.math.divide_no_nan(
          tf.reduce_sum(by_row(tf.cast(values, tf.float32)), 1), pixels)
      for values in (score_map, probability))
  ymin, ymax = _extent(in_rows > 0)
  xmin, xmax = _extent(in_columns > 0)
  ids = tf.where(is_used, ids, 0)
  return {
      'segment_ids': ids,
      'segment_classes': ids // label_divisor,
      'segment_scores': mean_score * mean_probability,
      'segment_areas': areas,
      'segment_boxes': tf.stack([ymin, xmin, ymax, xmax], -1),
      'num_segments': num_segments,
  }


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
