"""Drop path: drops residual branches for some samples of a batch."""

import tensorflow as tf

from axial_tf import errors
from axial_tf.keras2 import keras


class DropPath(keras.layers.Layer):
  """In training, zeroes whole samples and scales the rest by 1 / (1 - rate)."""

  def __init__(self, rate: float, **kwargs):
    """Keeps the rate.

    Args:
      rate: share of the samples that lose the branch.
      **kwargs: keyword arguments of keras.layers.Layer.

    Raises:
      errors.UserError: a rate outside of 0 <= rate < 1.
    """
    super().__init__(**kwargs)
    if not 0 <= rate < 1:
      raise errors.UserError(
          f'DropPath: expected 0 <= rate < 1, got {rate}')
    self._rate = rate

  def call(self, inputs, training=False):
    """[batch, ...] -> the same shape."""
    if not training or not self._rate:
      return inputs
    keep = 1 - self._rate
    shape = [tf.shape(inputs)[0]] + [1] * (inputs.shape.rank - 1)
    kept = tf.random.uniform(shape) < keep
    return inputs * tf.cast(kept, inputs.dtype) / keep

  def get_config(self):
    return {**super().get_config(), 'rate': self._rate}
