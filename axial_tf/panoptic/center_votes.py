"""Adds votes to a heatmap of centers: where the offsets of pixels point.

The pixels of an instance point to one place even where the heatmap is low or
has two peaks. Each pixel of a thing votes for the pixel that it points to;
votes within about a pixel and a half count together; n of them become
n / (n + 16), so that an instance of a few pixels counts, and a large one not
for more than 1.
"""

import numpy as np
import tensorflow as tf

from axial_tf.panoptic import shapes

_SIGMA = 1.5  # in pixels
_REACH = 4
_HALF = 16.0  # votes that are worth half of the most


def mixed(heatmap: tf.Tensor, offset: tf.Tensor, is_thing: tf.Tensor,
          weight: float) -> tf.Tensor:
  """Returns (heatmap + weight * votes) / (1 + weight).

  Args:
    heatmap: float32 `[batch, height, width]`.
    offset: float32 `[batch, height, width, 2]`, (y, x) in pixels.
    is_thing: bool `[batch, height, width]`; other pixels do not vote.
    weight: weight of the votes, the heatmap's being 1.

  Returns:
    float32 `[batch, height, width]`, in 0..1 if the heatmap is.
  """
  return (heatmap + weight * votes(offset, is_thing)) / (1.0 + weight)


def votes(offset: tf.Tensor, is_thing: tf.Tensor) -> tf.Tensor:
  """Votes for each pixel, float32 `[batch, height, width]` in 0..1.

  Votes for places outside of the image, or for none (NaN), do not count.
  """
  batch, height, width = shapes.sizes(is_thing)
  y = tf.round(
      tf.range(height, dtype=tf.float32)[:, tf.newaxis] + offset[..., 0])
  x = tf.round(tf.range(width, dtype=tf.float32) + offset[..., 1])
  counts = (is_thing & (y >= 0.0) & (y < tf.cast(height, tf.float32))
            & (x >= 0.0) & (x < tf.cast(width, tf.float32)))
  y, x = (tf.cast(tf.where(counts, place, 0.0), tf.int32) for place in (y, x))
  image = tf.range(batch)[:, tf.newaxis, tf.newaxis]
  # Not `histogram`, of which each thread would hold a whole map.
  sums = tf.math.unsorted_segment_sum(
      tf.cast(counts, tf.float32), (image * height + y) * width + x,
      batch * height * width)
  sums = tf.reshape(sums, [batch, height, width, 1])
  kernel = np.exp(
      -np.arange(-_REACH, _REACH + 1, dtype=np.float32)**2 / (2 * _SIGMA**2))
  for shape in ([-1, 1, 1, 1], [1, -1, 1, 1]):
    sums = tf.nn.conv2d(sums, kernel.reshape(shape), 1, 'SAME')
  return sums[..., 0] / (sums[..., 0] + _HALF)
