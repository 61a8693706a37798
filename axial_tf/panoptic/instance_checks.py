"""Drops centers whose segments are too small or disagree with them.

A peak of noise collects few pixels, or pixels that point elsewhere and merely
have no nearer center. Both are known once pixels are assigned.
"""

from typing import Tuple

import numpy as np
import tensorflow as tf

from axial_tf.panoptic import histogram, shapes
from axial_tf.panoptic.merging_settings import MergingSettings

# A pixel agrees with its center if it points to within this share of the
# segment's radius, which is that of a disk of the segment's area.
_AGREEING_SHARE = 0.5


def passing(
    offset: tf.Tensor, instance: tf.Tensor, centers: tf.Tensor,
    settings: MergingSettings) -> tf.Tensor:
  """Returns which centers pass the checks of `settings`.

  Args:
    offset: float32 `[batch, height, width, 2]`, (y, x) in pixels.
    instance: int32 `[batch, height, width]`, slot of the center + 1, or 0.
    centers: int32 `[batch, slots, 2]`, (y, x).
    settings: see `MergingSettings`.

  Returns:
    bool `[batch, slots]`; false for centers without pixels.
  """
  batch, height, width = shapes.sizes(instance)
  rows = shapes.sizes(centers)[1] + 1
  key = instance + rows * tf.range(batch)[:, tf.newaxis, tf.newaxis]

  def by_center(keys):
    count = histogram.histogram(keys, batch * rows)
    return tf.reshape(count, [batch, rows])[:, 1:]

  area = by_center(key)
  passes = area >= max(settings.min_instance_area, 1)
  if settings.min_agreement > 0.0:
    pixels = tf.stack(tf.meshgrid(
        tf.range(height, dtype=tf.float32), tf.range(width, dtype=tf.float32),
        indexing='ij'), -1)
    slot = tf.maximum(instance - 1, 0)
    center = tf.gather(tf.cast(centers, tf.float32), slot, batch_dims=1)
    distance = tf.reduce_sum(
        tf.math.squared_difference(pixels + offset, center), -1)
    reach = tf.cast(area, tf.float32) * (_AGREEING_SHARE**2 / np.pi)
    agrees = distance <= tf.gather(reach, slot, batch_dims=1)
    agreeing = by_center(tf.where(agrees, key, -1))
    passes &= tf.cast(agreeing, tf.float32) >= (
        settings.min_agreement * tf.cast(area, tf.float32))
  return passes


def keep(
    is_kept: tf.Tensor, instance: tf.Tensor, centers: tf.Tensor,
    scores: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
  """Moves the centers that are kept to the first slots, in their order.

  Args:
    is_kept: bool `[batch, slots]`.
    instance: int32 `[batch, height, width]`, slot of the center + 1, or 0.
    centers: int32 `[batch, slots, 2]`.
    scores: float32 `[batch, slots]`.

  Returns:
    `instance` with the new slots, 0 for pixels of dropped centers; `centers`
    and `scores`; int32 numbers of centers kept `[batch]`.
  """
  order = tf.argsort(tf.where(is_kept, 0, 1), axis=1, stable=True)
  number = tf.cumsum(tf.cast(is_kept, tf.int32), axis=1)
  new = tf.pad(tf.where(is_kept, number, 0), [[0, 0], [1, 0]])
  return (
      tf.gather(new, instance, batch_dims=1),
      tf.gather(centers, order, batch_dims=1),
      tf.gather(scores, order, batch_dims=1), number[:, -1])
