"""Axial attention over an image: along its height, then along its width."""

import tensorflow as tf

from axial_tf import errors
from axial_tf.layers import axial_attention


class AxialAttention2D(tf.keras.layers.Layer):
  """Two axial attention layers, with nothing in between (section 3.2).

  Each layer sees its axis at full size; a stride keeps every stride-th row
  after the height layer and every stride-th column after the width layer.
  """

  def __init__(self, key_channels: int, value_channels: int, *,
               strides: int = 1, name=None, dtype=None, trainable=True,
               **attention):
    """Makes both layers.

    Args:
      key_channels: of each layer.
      value_channels: of each layer, and of the output.
      strides: in both directions.
      name: of the layer.
      dtype: or precision policy of the layer.
      trainable: as in tf.keras.layers.Layer.
      **attention: options of AxialAttention.

    Raises:
      errors.UserError: a stride below 1, or as AxialAttention.
    """
    super().__init__(name=name, dtype=dtype, trainable=trainable)
    if strides < 1:
      raise errors.UserError(
          f'AxialAttention2D: expected strides of at least 1, got {strides}')
    self._strides = strides
    self.height_axis = axial_attention.AxialAttention(
        key_channels, value_channels, name='height_axis', dtype=dtype,
        **attention)
    self.width_axis = axial_attention.AxialAttention(
        key_channels, value_channels, name='width_axis', dtype=dtype,
        **attention)

  def call(self, inputs, training=False):
    """[batch, height, width, channels] -> [.., ceil(h/s), ceil(w/s), value]."""
    columns = tf.transpose(inputs, [0, 2, 1, 3])  # [b, w, h, c]
    columns = _attend(self.height_axis, columns, training)
    columns = columns[:, :, ::self._strides]
    rows = tf.transpose(columns, [0, 2, 1, 3])  # [b, h/s, w, value]
    rows = _attend(self.width_axis, rows, training)
    return rows[:, :, ::self._strides]

  def get_config(self):
    attention = self.height_axis.get_config()
    for key in ('name', 'dtype', 'trainable'):
      attention.pop(key)
    return {**super().get_config(), 'strides': self._strides, **attention}

  @classmethod
  def from_config(cls, config):
    return cls(**axial_attention.AxialAttention.decode_config(config))


def _attend(layer, inputs, training):
  """Applies `layer` along the third axis of [b, other, axis, c]."""
  sizes = [tf.shape(inputs)[i] if size is None else size
           for i, size in enumerate(inputs.shape)]
  batch, other, length, channels = sizes
  outputs = layer(
      tf.reshape(inputs, [batch * other, length, channels]), training=training)
  return tf.reshape(outputs, [batch, other, length, outputs.shape[-1]])
