"""Reads maps between their pixels."""

import tensorflow as tf

from axial_tf.panoptic import shapes


def sample(maps: tf.Tensor, points: tf.Tensor) -> tf.Tensor:
  """Samples each map at its own points, bilinearly.

  Points outside are moved to the border. Values at points that are NaN are NaN.

  Args:
    maps: float32 [height, width, n, channels].
    points: float32 [..., n, 2], (y, x) in pixels of the maps.

  Returns:
    float32 [..., n, channels].
  """
  height, width, count, channels = shapes.sizes(maps)
  values = tf.reshape(maps, [height * width * count, channels])
  low, high, share = [], [], []
  for axis, size in enumerate((height, width)):
    place = tf.clip_by_value(
        points[..., axis], 0.0, tf.cast(size - 1, tf.float32))
    # NaN may become any integer, so the integers are clipped, too.
    before = tf.clip_by_value(
        tf.cast(tf.floor(place), tf.int32), 0, size - 1)
    low.append(before)
    high.append(tf.minimum(before + 1, size - 1))
    share.append((place - tf.cast(before, tf.float32))[..., tf.newaxis])

  def value_at(y, x):
    return tf.gather(values, (y * width + x) * count + tf.range(count))

  above, below = (
      value_at(y, low[1]) * (1.0 - share[1]) + value_at(y, high[1]) * share[1]
      for y in (low[0], high[0]))
  return above * (1.0 - share[0]) + below * share[0]


def coordinates(height, width) -> tf.Tensor:
  """float32 [height, width, 2]: (y, x) of each pixel."""
  return tf.stack(tf.meshgrid(
      tf.range(height, dtype=tf.float32), tf.range(width, dtype=tf.float32),
      indexing='ij'), -1)
