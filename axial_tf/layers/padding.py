"""Pads images: crops, batches and legal sizes.

Gray is DeepLab2's padding. Next to a dark image it looks like an object along
the border; the repeated border does not. One setting of the model chooses the
padding of training, validation, exports and prediction.
"""

from typing import Literal, Sequence

import tensorflow as tf

Padding = Literal['edge', 'gray']
_GRAY = 127.5  # 0 in the model's range.


def fill(images: tf.Tensor, inside: tf.Tensor, padding: Padding) -> tf.Tensor:
  """Gives images of a batch their padding.

  Args:
    images: uint8 [batch, height, width, 3], with any values as padding.
    inside: int32 [batch, 4]: top, left, bottom, right of each image, at least
      one pixel.
    padding: 'edge' repeats the image's border, 'gray' is 127.5.

  Returns:
    float32 [batch, height, width, 3] in 0..255.
  """
  top, left, bottom, right = (
      edge[:, tf.newaxis] for edge in tf.unstack(inside, axis=1))
  y, x = (tf.range(tf.shape(images)[axis])[tf.newaxis] for axis in (1, 2))
  if padding == 'edge':
    rows = tf.minimum(tf.maximum(y, top), bottom - 1)  # [batch, height]
    columns = tf.minimum(tf.maximum(x, left), right - 1)
    images = tf.gather(images, rows, axis=1, batch_dims=1)
    return tf.cast(
        tf.gather(images, columns, axis=2, batch_dims=1), tf.float32)
  in_row = (top <= y) & (y < bottom)  # [batch, height]
  in_column = (left <= x) & (x < right)  # [batch, width]
  is_inside = in_row[:, :, tf.newaxis] & in_column[:, tf.newaxis]
  return tf.where(
      is_inside[..., tf.newaxis], tf.cast(images, tf.float32), _GRAY)


def enlarge(images: tf.Tensor, margins: Sequence, padding: Padding
            ) -> tf.Tensor:
  """Pads images at the right and bottom.

  Args:
    images: float [batch, height, width, 3] in -1..1.
    margins: pixels below and to the right; ints or int32 [].
    padding: see `fill`.
  """
  if padding == 'gray':
    return tf.pad(images, [
        [0, 0], *([0, margin] for margin in margins), [0, 0]])
  for axis, margin in enumerate(margins, 1):
    size = images.shape[axis]
    if size is None:
      size = tf.shape(images)[axis]
    images = tf.gather(
        images, tf.minimum(tf.range(size + margin), size - 1), axis=axis)
  return images
