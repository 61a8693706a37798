"""Lets pixels vote for keypoints, and joins the votes to one map of each.

  h_k(x) = 1 / (pi r^2) sum_i p_k(x_i) B(x_i + S_k(x_i) - x)

with the bilinear kernel B: each vote is shared among the four pixels around the
point it is for (PersonLab; DeeperLab's votes by long offsets have weight 1, and
the weights of the two maps in their sum are unconfirmed).
"""

import math

import tensorflow as tf

from axial_tf.panoptic import histogram, shapes
from axial_tf.panoptic.deeperlab import sampling

# Pixels around the maps that take votes for places outside of them.
_MARGIN = 2


def votes(points: tf.Tensor, weights: tf.Tensor, height, width) -> tf.Tensor:
  """Sums the weights of the votes for each pixel.

  Args:
    points: float32 [..., n, 2], (y, x) of the place that each vote is for, in
      one of n maps.
    weights: float32 [..., n].
    height: height of the maps.
    width: width of the maps.

  Returns:
    float32 [height, width, n]. Shares of votes for pixels outside of the map
    are dropped, as are votes for NaN.
  """
  count = weights.shape[-1]
  low, share = [], []
  for axis, size in enumerate((height, width)):
    place = points[..., axis]
    place = tf.where(tf.math.is_finite(place), place, -float(_MARGIN))
    place = tf.clip_by_value(
        place, -float(_MARGIN), tf.cast(size - 1 + _MARGIN, tf.float32))
    before = tf.floor(place)
    low.append(tf.cast(before, tf.int32) + _MARGIN)
    share.append(place - before)
  # One more, as a vote also falls on the pixel after.
  rows, columns = (size + 2 * _MARGIN + 1 for size in (height, width))
  first = (low[0] * columns + low[1]) * count + tf.range(count)
  total = 0.0
  for down in (0, 1):
    for right in (0, 1):
      part = weights
      for step, along in ((down, share[0]), (right, share[1])):
        part *= along if step else 1.0 - along
      total += histogram.histogram(
          first + (down * columns + right) * count, rows * columns * count,
          part)
  total = tf.reshape(total, [rows, columns, count])
  return total[_MARGIN:_MARGIN + height, _MARGIN:_MARGIN + width]


def fused_votes(
    heatmap: tf.Tensor, short_offset: tf.Tensor, long_offset: tf.Tensor,
    is_thing: tf.Tensor, radius: float, long_weight: float) -> tf.Tensor:
  """Votes by short and by long offsets, in one map of each keypoint.

  Votes by long offsets are limited to what a full disk of votes would sum to:
  without limit (ours), one large object would outvote all others.

  Args:
    heatmap: float32 [height, width, 5], probabilities.
    short_offset: float32 [height, width, 5, 2], in pixels of this map.
    long_offset: float32 of this shape.
    is_thing: bool [height, width]: the pixels whose long offsets vote. The
      head learns on things only.
    radius: radius of the keypoints' disks, in pixels of this map.
    long_weight: weight of the votes by long offsets; 0 for none.

  Returns:
    float32 [height, width, 5], in 0..1 + long_weight but for overlaps.
  """
  height, width = shapes.sizes(heatmap)[:2]
  pixel = sampling.coordinates(height, width)[:, :, tf.newaxis]
  area = max(math.pi * radius**2, 1.0)
  fused = votes(pixel + short_offset, heatmap, height, width) / area
  if long_weight > 0.0:
    weights = tf.broadcast_to(
        tf.cast(is_thing, tf.float32)[..., tf.newaxis], tf.shape(heatmap))
    weights = tf.ensure_shape(weights, heatmap.shape)
    by_long = votes(pixel + long_offset, weights, height, width) / area
    fused += long_weight * tf.minimum(by_long, 1.0)
  return fused
