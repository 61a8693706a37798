"""Axial attention over an image: along its height, then along its width."""

import tensorflow as tf

from axial_tf import errors
from axial_tf.layers import attention_maps as maps
from axial_tf.layers import axial_attention, multiply_adds


class AxialAttention2D(tf.keras.layers.Layer):
  """Two axial attention layers, with nothing in between (section 3.2).

  Each layer sees its axis at full size; a stride keeps every stride-th row
  after the height layer and every stride-th column after the width layer.
  With `average_pooling`, as in the authors' PyTorch code, both layers run at
  full size and the stride is one average pooling after the width layer.
  """

  def __init__(self, key_channels: int, value_channels: int, *,
               strides: int = 1, average_pooling: bool = False, name=None,
               dtype=None, trainable=True, **attention):
    """Makes both layers.

    Args:
      key_channels: key channels of each layer.
      value_channels: value channels of each layer, and of the output.
      strides: in both directions.
      average_pooling: whether to average strides x strides pixels at the end
        instead of skipping rows and columns. Sizes that the stride does not
        divide round up, as with skipping: windows at the edges average the
        pixels that they have. (PyTorch's AvgPool2d drops these pixels.)
      name: name of the layer.
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
    self._average_pooling = average_pooling
    self.height_axis = axial_attention.AxialAttention(
        key_channels, value_channels, name='height_axis', dtype=dtype,
        **attention)
    self.width_axis = axial_attention.AxialAttention(
        key_channels, value_channels, name='width_axis', dtype=dtype,
        **attention)

  def build(self, input_shape):
    self._channels = input_shape[-1]
    super().build(input_shape)

  def call(self, inputs, training=False):
    """[batch, height, width, channels] -> [.., ceil(h/s), ceil(w/s), value]."""
    step = 1 if self._average_pooling else self._strides
    columns = self.height_axis(inputs, training=training, stride=step)
    batch, height, width, channels = maps.sizes(columns)
    rows = self.width_axis(
        tf.reshape(columns, [batch * height, width, channels]),
        training=training, stride=step)
    rows = tf.reshape(rows, [batch, height, -(-width // step), channels])
    if step == self._strides:
      return rows
    # Padding does not count in the average.
    return tf.nn.avg_pool2d(rows, self._strides, self._strides, 'SAME')

  def multiply_adds(self, height: int, width: int) -> int:
    """Returns the multiply-adds of a built layer for one image of this size.

    Raises:
      errors.UserError: the layer is not built.
    """
    multiply_adds.require_built(self)
    options = self.height_axis.get_config()
    terms = axial_attention.AttentionTerms(**options['terms'])

    def axis(length, other, channels):
      return multiply_adds.attention(
          pixels=length * other, queries=length * other,
          keys=min(options['span'] or length, length), channels=channels,
          key_channels=options['key_channels'],
          value_channels=options['value_channels'],
          logit_terms=terms.num_logit_terms, value_terms=terms.num_value_terms)

    step = 1 if self._average_pooling else self._strides
    return (axis(height, width, self._channels)
            + axis(width, -(-height // step), options['value_channels']))

  def get_config(self):
    attention = self.height_axis.get_config()
    for key in ('name', 'dtype', 'trainable'):
      attention.pop(key)
    return {**super().get_config(), 'strides': self._strides,
            'average_pooling': self._average_pooling, **attention}

  @classmethod
  def from_config(cls, config):
    return cls(**axial_attention.AxialAttention.arguments_from(config))
