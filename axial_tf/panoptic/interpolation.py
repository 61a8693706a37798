"""Interpolates maps linearly between pixels, with aligned corners."""

import tensorflow as tf

from axial_tf import devices, unfolded


def resize(images: tf.Tensor, size) -> tf.Tensor:
  """Resizes [batch, h, w, c] to float32 [batch, *size, c].

  Output pixel i of n lies at i * (source - 1) / (n - 1) of the source. TPUs
  would gather the neighbors of each pixel one after the other, so for them
  each axis is a product with a matrix of shares.
  """
  if devices.of_programs() != 'tpu':
    resized = tf.compat.v1.image.resize(images, size, align_corners=True)
    return tf.cast(resized, tf.float32)
  images = tf.cast(images, tf.float32)
  zero = tf.cast(unfolded.zero(images), tf.float32)
  rows, columns = (
      _shares(size[axis], images.shape[1 + axis] or tf.shape(images)[1 + axis],
              zero) for axis in (0, 1))
  return tf.einsum(
      'jx,bixc->bijc', columns, tf.einsum('iy,byxc->bixc', rows, images))


def _shares(count, source, zero: tf.Tensor) -> tf.Tensor:
  """[count, source], how much of each source pixel an output pixel has."""
  last, intervals = (tf.cast(n - 1, tf.float32) for n in (source, count))
  places = (zero + tf.range(count, dtype=tf.float32)) * (
      last / tf.maximum(intervals, 1))
  pixels = tf.range(source, dtype=tf.float32)
  return tf.nn.relu(1 - tf.abs(places[:, tf.newaxis] - pixels))
