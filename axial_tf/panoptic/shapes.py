"""Sizes of tensors for functions that keep static shapes."""

from typing import List, Union

import tensorflow as tf


def sizes(tensor: tf.Tensor) -> List[Union[int, tf.Tensor]]:
  """Returns the sizes, as ints where they are known."""
  dynamic = tf.shape(tensor)
  return [dynamic[axis] if size is None else size
          for axis, size in enumerate(tensor.shape)]


def smaller(size: Union[int, tf.Tensor], other: Union[int, tf.Tensor]
            ) -> Union[int, tf.Tensor]:
  """Returns the smaller of two sizes, as an int where both are known."""
  if isinstance(size, int) and isinstance(other, int):
    return min(size, other)
  return tf.minimum(size, other)
