"""Interpolates maps linearly between pixels, with aligned corners."""

import tensorflow as tf

from axial_tf import devices


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
  rows, columns = (_shares(size[axis], tf.shape(images)[1 + axis])
                   for axis in (0, 1))
  return tf.einsum(
      'jx,bixc->bijc', columns, tf.einsum('iy,byxc->bixc', rows, images))


def _shares(count, source) -> tf.Tensor:
  """[count, source], how much of each source pixel an output pixel has."""
  last = tf.cast(source - 1, tf.float32)
  step = last / tf.maximum(tf.cast(count, tf.float32) - 1, 1)
  places = tf.range(tf.cast(count, tf.float32)) * step
  pixels = tf.range(tf.cast(source, tf.float32))
  return tf.nn.relu(1 - tf.abs(places[:, tf.newaxis] - pixels))
