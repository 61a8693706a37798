"""Resizes bilinearly with aligned corners, and samples at any spacing."""

from typing import Tuple, Union

import tensorflow as tf

from axial_tf.panoptic import interpolation

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
  return tf.cast(interpolation.resize(images, size), images.dtype)


def sample(images: tf.Tensor, size: Tuple[Size, Size],
           steps: Tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
  """Samples [batch, h, w, c] on a grid, linearly between the pixels.

  Args:
    images: [batch, h, w, c].
    size: height and width of the result.
    steps: float32 scalars; output pixel (i, j) lies at (i * steps[0], j *
      steps[1]) of the images; past the last pixel, its value is repeated.
  """
  for axis, (count, step) in enumerate(zip(size, steps), 1):
    last = tf.shape(images)[axis] - 1
    place = tf.minimum(
        tf.range(count, dtype=tf.float32) * step, tf.cast(last, tf.float32))
    before = tf.cast(place, tf.int32)
    share = tf.reshape(
        tf.cast(place - tf.cast(before, tf.float32), images.dtype),
        [-1] + [1] * (3 - axis))
    low = tf.gather(images, before, axis=axis)
    high = tf.gather(images, tf.minimum(before + 1, last), axis=axis)
    images = low + share * (high - low)
  return images
