"""Makes a zero that stays out of constants, to compute tables in a program.

A table computed from constants alone is stored in the program, at each use.
"""

import tensorflow as tf


def zero(tensor: tf.Tensor) -> tf.Tensor:
  """Returns an int32 zero that no compiler takes for a constant too early.

  Args:
    tensor: any tensor of numbers that is no constant; it may be empty.
  """
  # tf.zeros_like() would make a constant. A sum exists without elements, too.
  first = tensor[(slice(1),) * tensor.shape.rank]
  return tf.cast(tf.raw_ops.ZerosLike(x=tf.reduce_sum(first)), tf.int32)
