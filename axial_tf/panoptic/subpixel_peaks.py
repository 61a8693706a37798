"""Finds the peaks of a heatmap to fractions of a pixel."""

import tensorflow as tf

from axial_tf.panoptic import shapes

# Heads of stride 4 are enlarged linearly, so that values between those of the
# small map tell nothing new, and peaks lie on it.
_STEP = 4


def refined(heatmap: tf.Tensor, centers: tf.Tensor) -> tf.Tensor:
  """Moves peaks to the top of parabolas through values beside them.

  In y and in x, the parabola passes through the peak and the values 4 pixels
  before and behind it. A peak moves by 2 pixels at the most, and stays where
  one of these is higher than itself or lies outside of the image.

  Args:
    heatmap: float32 `[batch, height, width]`.
    centers: int32 `[batch, slots, 2]`, (y, x) of peaks.

  Returns:
    float32 `[batch, slots, 2]`.
  """
  batch, height, width = shapes.sizes(heatmap)
  values = tf.reshape(heatmap, [batch, height * width])

  def value_at(y, x):
    return tf.gather(values, y * width + x, batch_dims=1)

  y, x = tf.unstack(centers, axis=-1)
  here = value_at(y, x)
  moved = []
  for place, size, at in ((y, height, lambda y: value_at(y, x)),
                          (x, width, lambda x: value_at(y, x))):
    before, behind = place - _STEP, place + _STEP
    is_inside = (before >= 0) & (behind < size)
    fall_before = here - at(tf.maximum(before, 0))
    fall_behind = here - at(tf.minimum(behind, size - 1))
    shift = _STEP / 2 * tf.math.divide_no_nan(
        fall_before - fall_behind, fall_before + fall_behind)
    moves = is_inside & (fall_before >= 0.0) & (fall_behind >= 0.0)
    moved.append(tf.cast(place, tf.float32) + tf.where(moves, shift, 0.0))
  return tf.stack(moved, -1)
