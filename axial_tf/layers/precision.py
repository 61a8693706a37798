"""Types of sums and statistics under a policy of mixed precision."""

from typing import Optional

import tensorflow as tf


def wide(dtype: tf.DType) -> tf.DType:
  """Returns the type of sums and statistics: float64 stays, else float32."""
  return tf.float64 if dtype == tf.float64 else tf.float32


def widen(tensor: tf.Tensor) -> tf.Tensor:
  """Casts to the type of sums."""
  return tf.cast(tensor, wide(tensor.dtype))


def scaled(values: tf.Tensor, factor: Optional[tf.Tensor],
           offset: Optional[tf.Tensor] = None) -> tf.Tensor:
  """Returns values * factor + offset, rounded once to the type of `values`.

  Args:
    values: tensor of any type.
    factor: tensor of the type of sums; None for 1.
    offset: tensor of the type of sums; None for 0.
  """
  total = widen(values)
  if factor is not None:
    total *= factor
  if offset is not None:
    total += offset
  return tf.cast(total, values.dtype)
