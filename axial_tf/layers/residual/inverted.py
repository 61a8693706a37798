"""The residual block of MobileNetV2, wide between two narrow ends."""

from axial_tf.layers import (
  configured,
  convolution,
  multiply_adds,
  normalization,
)


class InvertedResidual(configured.ConfiguredLayer):
  """Expands channels, convolves each by itself, and projects them.

  The result is not activated. The input is added where it has the same shape.

  Attributes:
    strides: stride of the depthwise convolution.
  """

  def __init__(
      self,
      filters: int,
      kernel_size: int,
      *,
      expansion: int = 6,
      strides: int = 1,
      dilation: int = 1,
      norm: normalization.BatchNormSettings = (
          normalization.BatchNormSettings()),  # noqa: B008 (frozen)
      **kwargs):
    """Makes the convolutions.

    Args:
      filters: channels of the result.
      kernel_size: side of the depthwise kernel.
      expansion: channels in between, in those of the input; with 1 there is no
        expanding convolution.
      strides: stride of the depthwise convolution.
      dilation: its dilation.
      norm: settings of all batch norms.
      **kwargs: keyword arguments of keras.layers.Layer.
    """
    super().__init__(**kwargs)
    self._keep(
        filters=filters, kernel_size=kernel_size, expansion=expansion,
        strides=strides, dilation=dilation, norm=norm)
    self.strides = strides
    self._filters, self._expansion, self._norm = filters, expansion, norm
    self.expand = None
    self.separable = convolution.SeparableConvNorm(
        filters, kernel_size, strides=strides, dilation=dilation,
        relu_last=False, norm=norm, name='separable')

  def build(self, input_shape):
    channels = input_shape[-1]
    if self._expansion != 1:
      self.expand = convolution.ConvNorm(
          self._expansion * channels, 1, norm=self._norm, name='expand')
    self._adds_input = self.strides == 1 and channels == self._filters
    super().build(input_shape)

  def call(self, inputs, training=False):
    """[batch, height, width, channels] -> [.., ceil(h/s), ceil(w/s), filters].
    """
    outputs = inputs
    if self.expand is not None:
      outputs = self.expand(outputs, training=training)
    outputs = self.separable(outputs, training=training)
    return inputs + outputs if self._adds_input else outputs

  def multiply_adds(self, height: int, width: int) -> int:
    """Returns the multiply-adds of a built layer for one map of this size.

    Raises:
      errors.UserError: the layer is not built.
    """
    multiply_adds.require_built(self)
    total = self.separable.multiply_adds(height, width)
    if self.expand is not None:
      total += self.expand.multiply_adds(height, width)
    return total
