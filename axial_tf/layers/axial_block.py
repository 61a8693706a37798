"""The residual bottleneck block with axial attention in its middle."""

import dataclasses
from typing import Optional

import tensorflow as tf

from axial_tf.layers import (
  axial_attention_2d,
  convolution,
  drop_path,
  normalization,
)

# Section 4.1: the output of a block has twice, its queries and keys half, the
# channels of the attention's values.
_EXPANSION = 2


class AxialBlock(tf.keras.layers.Layer):
  """1x1 conv, axial attention, 1x1 conv and a shortcut (figure 2, bottom).

  The figure's last ReLU stands at the start of the next block instead, so that
  input and output are not activated; the network is the same. The last batch
  norm starts at gamma 0, so that a new block is its shortcut.
  """

  def __init__(
      self,
      filters: int,
      *,
      strides: int = 1,
      heads: int = 8,
      span: Optional[int] = None,
      drop_path_rate: float = 0.0,
      norm: normalization.BatchNormSettings = (
          normalization.BatchNormSettings()),  # noqa: B008 (frozen)
      **kwargs):
    """Makes the layers.

    Args:
      filters: channels of the values; the block returns twice as many.
      strides: after each axial attention layer and in the shortcut.
      heads: of the attention; divides half of `filters`.
      span: of the attention; None for global.
      drop_path_rate: share of samples that lose the branch in training.
      norm: settings of all batch norms.
      **kwargs: of tf.keras.layers.Layer.
    """
    super().__init__(**kwargs)
    self._filters = filters
    self._strides = strides
    self._norm = norm
    self._drop_path_rate = drop_path_rate
    self.reduce = convolution.ConvNorm(filters, 1, norm=norm, name='reduce')
    self.attention = axial_attention_2d.AxialAttention2D(
        filters // 2, filters, strides=strides, heads=heads, span=span,
        norm=norm, name='attention')
    self.expand = convolution.ConvNorm(
        _EXPANSION * filters, 1, relu=False, norm=norm,
        gamma_initializer='zeros', name='expand')
    self.drop_path = drop_path.DropPath(drop_path_rate, name='drop_path')

  def build(self, input_shape):
    self.shortcut = None
    if input_shape[-1] != _EXPANSION * self._filters:
      self.shortcut = convolution.ConvNorm(
          _EXPANSION * self._filters, 1, strides=self._strides, relu=False,
          norm=self._norm, name='shortcut')
    super().build(input_shape)

  def call(self, inputs, training=False):
    """[batch, height, width, c] -> [.., ceil(h/s), ceil(w/s), 2 * filters]."""
    inputs = tf.nn.relu(inputs)
    if self.shortcut is None:
      shortcut = inputs[:, ::self._strides, ::self._strides]
    else:
      shortcut = self.shortcut(inputs, training=training)
    branch = self.reduce(inputs, training=training)
    branch = tf.nn.relu(self.attention(branch, training=training))
    branch = self.expand(branch, training=training)
    branch = self.drop_path(branch, training=training)
    return shortcut + branch

  def get_config(self):
    attention = self.attention.get_config()
    return {
        **super().get_config(),
        'filters': self._filters,
        'strides': self._strides,
        'heads': attention['heads'],
        'span': attention['span'],
        'drop_path_rate': self._drop_path_rate,
        'norm': dataclasses.asdict(self._norm),
    }

  @classmethod
  def from_config(cls, config):
    norm = normalization.BatchNormSettings(**config['norm'])
    return cls(**{**config, 'norm': norm})
