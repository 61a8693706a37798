"""Values that compilers cannot know before a program runs."""

import tensorflow as tf


def zero(tensor: tf.Tensor) -> tf.Tensor:
  """Returns an int32 zero that no compiler takes for a constant too early.

  A table computed from constants alone is stored in the program, at each use.

  Args:
    tensor: any tensor of numbers that is no constant; it may be empty.
  """
  # tf.zeros_like() would make a constant.
  return tf.cast(tf.raw_ops.ZerosLike(x=_number(tensor)), tf.int32)


def after(tensor: tf.Tensor, earlier: tf.Tensor) -> tf.Tensor:
  """Returns the same numbers, which exist only once `earlier` does.

  What the backward pass computes again is equal to what the forward pass has
  computed. XLA would therefore keep that instead, as it ignores control
  dependencies; it has to take this for other numbers.

  Args:
    tensor: any tensor of floats.
    earlier: any tensor of floats; if it has NaN, so may the result.
  """
  number = _number(earlier)
  none = tf.where(tf.math.is_nan(number), number, tf.zeros_like(number))
  return tensor + tf.cast(none, tensor.dtype)


def _number(tensor):
  """Returns some number that depends on a tensor."""
  # A sum exists without elements, too.
  return tf.reduce_sum(tensor[(slice(1),) * tensor.shape.rank])
