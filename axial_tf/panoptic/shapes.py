"""Sizes of tensors for functions that keep static shapes."""

from typing import List, Union

import tensorflow as tf


def sizes(tensor: tf.Tensor) -> List[Union[int, tf.Tensor]]:
  """Returns the sizes, as ints where they are known."""
  dynamic = tf.shape(tensor)
  return [dynamic[axis] if size is None else size
          for axis, size in enumerate(tensor.shape)]
