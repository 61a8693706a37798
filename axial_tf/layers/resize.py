"""Bilinear resizing with aligned corners."""

from typing import Tuple, Union

import tensorflow as tf

Size = Union[int, tf.Tensor]


def size_of(images: tf.Tensor) -> Tuple[Size, Size]:
  """Returns height and width of [b, h, w, c], as ints where known."""
  dynamic = tf.shape(images)
  height, width = images.shape[1], images.shape[2]
  return (dynamic[1] if height is None else height,
          dynamic[2] if width is None else width)


def resize(images: tf.Tensor, size: Tuple[Size, Size]) -> tf.Tensor:
  """Resizes [batch, h, w, c] so that corner pixels stay corner pixels.

  Output pixel i of n lies at i * (source - 1) / (n - 1) of the source.
  """
  resized = tf.compat.v1.image.resize(images, size, align_corners=True)
  return tf.cast(resized, images.dtype)  # TensorFlow returns float32.
