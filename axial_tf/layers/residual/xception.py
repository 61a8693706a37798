"""The residual module of Xception: three separable convolutions."""

from typing import Literal, Optional, Sequence

from axial_tf import errors
from axial_tf.layers import (
  configured,
  convolution,
  multiply_adds,
  named,
  normalization,
)
from axial_tf.layers.residual import drop_path

_SHORTCUTS = ('conv', 'sum', None)


class XceptionModule(configured.ConfiguredLayer):
  """Three separable convolutions, the last one strided, and a shortcut.

  The stride of a convolution takes the place of Xception's max-pooling, so
  that a dilation can take the place of the stride. Input and output are not
  activated, except in a module without shortcut, which ends with a ReLU.

  Attributes:
    strides: stride of the last convolution.
  """

  def __init__(
      self,
      filters: Sequence[int],
      *,
      strides: int = 1,
      dilation: int = 1,
      shortcut: Optional[Literal['conv', 'sum']] = 'sum',
      drop_path_rate: float = 0.0,
      norm: normalization.BatchNormSettings = (
          normalization.BatchNormSettings()),  # noqa: B008 (frozen)
      **kwargs):
    """Makes the convolutions.

    Args:
      filters: channels of the three convolutions.
      strides: stride of the last convolution and the shortcut.
      dilation: dilation of all three.
      shortcut: 'conv' for a 1x1 convolution, 'sum' for the input itself, None
        for none; ReLUs then follow the convolutions.
      drop_path_rate: share of samples that lose the branch in training; of no
        effect without shortcut.
      norm: settings of all batch norms.
      **kwargs: keyword arguments of keras.layers.Layer.

    Raises:
      errors.UserError: not three filters, or an unknown shortcut.
    """
    super().__init__(**kwargs)
    if len(filters) != 3:
      raise errors.UserError(
          f'XceptionModule: filters: expected three numbers, got {filters}')
    if shortcut not in _SHORTCUTS:
      raise errors.UserError(
          f"XceptionModule: shortcut: expected 'conv', 'sum' or None, got "
          f'{shortcut!r}')
    self._keep(
        filters=tuple(filters), strides=strides, dilation=dilation,
        shortcut=shortcut, drop_path_rate=drop_path_rate, norm=norm)
    self._output_channels = filters[-1]
    self.strides = strides
    self._adds_input = shortcut is not None
    self.convs = [
        convolution.SeparableConvNorm(
            count, 3, strides=strides if index == 2 else 1, dilation=dilation,
            relu_first=shortcut is not None, norm=norm,
            name=f'conv{index + 1}')
        for index, count in enumerate(filters)]
    named.keep(self, self.convs)
    self.shortcut = None
    if shortcut == 'conv':
      self.shortcut = convolution.ConvNorm(
          filters[-1], 1, strides=strides, relu=False, norm=norm,
          name='shortcut')
    self.drop_path = drop_path.DropPath(drop_path_rate, name='drop_path')

  def build(self, input_shape):
    channels = input_shape[-1]
    if self._adds_input and self.shortcut is None and (
        self.strides != 1 or channels != self._output_channels):
      raise errors.UserError(
          f"{self.name}: shortcut 'sum': expected stride 1 and {channels} "
          f'channels as in the input, got stride {self.strides} and '
          f"{self._output_channels} channels; use 'conv'")
    super().build(input_shape)

  def call(self, inputs, training=False, with_detail=False):
    """Computes the features and, if requested, those before the stride.

    Args:
      inputs: [batch, height, width, channels].
      training: whether batch norm uses the statistics of this batch.
      with_detail: whether to return the second result too.

    Returns:
      [batch, ceil(height / strides), ceil(width / strides), filters[2]]; with
      detail also the input of the last convolution before its ReLU [batch,
      height, width, filters[1]], the deepest at the module's own resolution.
    """
    detail = None
    outputs = inputs
    for conv in self.convs:
      detail, outputs = outputs, conv(outputs, training=training)
    if self._adds_input:
      outputs = self.drop_path(outputs, training=training)
      if self.shortcut is not None:
        inputs = self.shortcut(inputs, training=training)
      outputs = inputs + outputs
    return (outputs, detail) if with_detail else outputs

  def multiply_adds(self, height: int, width: int) -> int:
    """Returns the multiply-adds of a built layer for one map of this size.

    Raises:
      errors.UserError: the layer is not built.
    """
    multiply_adds.require_built(self)
    total = sum(conv.multiply_adds(height, width) for conv in self.convs)
    if self.shortcut is not None:
      total += self.shortcut.multiply_adds(height, width)
    return total
