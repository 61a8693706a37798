"""Sizes of tensors, static where they are known."""

import tensorflow as tf


def sizes(tensor: tf.Tensor) -> list:
  """Returns the sizes of all axes, as ints where they are known."""
  dynamic = tf.shape(tensor)
  return [dynamic[i] if size is None else size
          for i, size in enumerate(tensor.shape)]
