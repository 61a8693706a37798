"""The residual block of wide networks: two 3x3 convolutions."""

from typing import Optional

import tensorflow as tf

from axial_tf.layers import convolution, multiply_adds, normalization
from axial_tf.layers.residual import block


class BasicBlock(block.ResidualBlock):
  """Two 3x3 convolutions and a shortcut, as in Wider ResNets.

  Like the bottleneck, it starts with a ReLU and does not end with one, and its
  last batch norm starts at gamma 0.
  """

  # Only bottlenecks may have it.
  attention = None

  def __init__(
      self,
      filters: int,
      *,
      strides: int = 1,
      dilation: int = 1,
      last_dilation: Optional[int] = None,
      drop_path_rate: float = 0.0,
      recompute: Optional[str] = None,
      norm: normalization.BatchNormSettings = (
          normalization.BatchNormSettings()),  # noqa: B008 (frozen)
      **kwargs):
    """Makes the layers.

    Args:
      filters: channels of both convolutions.
      strides: stride of the first convolution and of the shortcut.
      dilation: dilation of the first convolution.
      last_dilation: dilation of the second; None for that of the first. It is
        larger where the block would have had a stride: the second convolution
        then sees pixels at twice the distance.
      drop_path_rate: share of samples that lose the branch in training.
      recompute: 'all' to recompute the branch in the backward pass rather than
        to keep it, or None.
      norm: settings of all batch norms.
      **kwargs: keyword arguments of keras.layers.Layer.
    """
    super().__init__(
        channels=filters, strides=strides, drop_path_rate=drop_path_rate,
        recompute=recompute, norm=norm, **kwargs)
    self._keep(
        filters=filters, strides=strides, dilation=dilation,
        last_dilation=last_dilation, drop_path_rate=drop_path_rate,
        recompute=recompute, norm=norm)
    self.first = convolution.ConvNorm(
        filters, 3, strides=strides, dilation=dilation, norm=norm,
        name='first')
    self.second = convolution.ConvNorm(
        filters, 3, dilation=last_dilation or dilation, relu=False, norm=norm,
        gamma_initializer='zeros', name='second')

  def call(self, inputs, training=False):
    """[batch, height, width, c] -> [.., ceil(h/s), ceil(w/s), filters]."""
    return self._with_shortcut(
        tf.nn.relu(inputs), training, [self.first, self.second])

  def _branch(self, inputs, training):
    return self.second(self.first(inputs, training=training),
                       training=training)

  def multiply_adds(self, height: int, width: int) -> int:
    """Returns the multiply-adds of a built block for one map of this size.

    Raises:
      errors.UserError: the block is not built.
    """
    multiply_adds.require_built(self)
    total = self.first.multiply_adds(height, width)
    if self.shortcut is not None:
      total += self.shortcut.multiply_adds(height, width)
    return total + self.second.multiply_adds(*self.output_size(height, width))
