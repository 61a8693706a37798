"""Drops instances that are too small or disagree with their centers.

A peak of noise collects few pixels, or pixels that point elsewhere and merely
have no nearer center. Both are known once pixels are assigned.
"""

import numpy as np
import tensorflow as tf

from axial_tf.panoptic import histogram, shapes
from axial_tf.panoptic.merging_settings import MergingSettings

# A pixel agrees with its center if it points to within this share of the
# instance's radius, which is that of a disk of the instance's area.
_AGREEING_SHARE = 0.5


def checked(
    offset: tf.Tensor, instance: tf.Tensor, centers: tf.Tensor,
    found: tf.Tensor, settings: MergingSettings) -> tf.Tensor:
  """Clears the instances that do not pass the checks of `settings`.

  Args:
    offset: float32 `[batch, height, width, 2]`, (y, x) in pixels.
    instance: int32 `[batch, height, width]`, slot of the center + 1, or 0.
    centers: int32 `[batch, slots, 2]`, (y, x).
    found: int32 `[batch]`, number of centers; without any, there is no center
      to agree with.
    settings: see `MergingSettings`.

  Returns:
    `instance`, with 0 in the pixels of instances that are dropped.
  """
  batch, height, width = shapes.sizes(instance)
  rows = shapes.sizes(centers)[1] + 1
  key = instance + rows * tf.range(batch)[:, tf.newaxis, tf.newaxis]

  def by_instance(keys):
    counts = histogram.histogram(keys, batch * rows)
    return tf.reshape(counts, [batch, rows])[:, 1:]

  area = by_instance(key)
  is_kept = area >= settings.min_instance_area
  if settings.min_agreement > 0.0:
    y = tf.range(height, dtype=tf.float32)[:, tf.newaxis] + offset[..., 0]
    x = tf.range(width, dtype=tf.float32) + offset[..., 1]
    slot = tf.maximum(instance - 1, 0)
    center = tf.gather(tf.cast(centers, tf.float32), slot, batch_dims=1)
    distance = (tf.math.squared_difference(y, center[..., 0])
                + tf.math.squared_difference(x, center[..., 1]))
    area = tf.cast(area, tf.float32)
    reach = tf.gather(
        area * (_AGREEING_SHARE**2 / np.pi), slot, batch_dims=1)
    agreeing = by_instance(tf.where(distance <= reach, key, -1))
    is_kept &= tf.equal(found, 0)[:, tf.newaxis] | (
        tf.cast(agreeing, tf.float32) >= settings.min_agreement * area)
  return tf.where(tf.gather(
      tf.pad(is_kept, [[0, 0], [1, 0]]), instance, batch_dims=1), instance, 0)
