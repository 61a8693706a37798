"""Sizes of tensors, static where they are known."""

from typing import Union

import numpy as np
import tensorflow as tf

from axial_tf.layers import graph_ops


def sizes(tensor: Union[tf.Tensor, np.ndarray]) -> list:
  """Returns the sizes of all axes, as ints where they are known."""
  if None not in tuple(tensor.shape):
    return list(tensor.shape)
  dynamic = graph_ops.once(
      ('sizes', tensor.ref()), lambda: tf.unstack(tf.shape(tensor)))
  return [dynamic[i] if size is None else size
          for i, size in enumerate(tensor.shape)]
