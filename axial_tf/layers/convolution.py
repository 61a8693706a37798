"""Convolutions followed by batch norm, and optionally ReLU."""

import tensorflow as tf

from axial_tf.keras2 import keras
from axial_tf.layers import configured, multiply_adds, normalization


class ConvNorm(configured.ConfiguredLayer):
  """Convolution without bias, batch norm and optionally ReLU."""

  def __init__(
      self,
      filters: int,
      kernel_size: int,
      *,
      strides: int = 1,
      dilation: int = 1,
      relu: bool = True,
      norm: normalization.BatchNormSettings = (
          normalization.BatchNormSettings()),  # noqa: B008 (frozen)
      gamma_initializer: str = 'ones',
      **kwargs):
    super().__init__(**kwargs)
    self._keep(
        filters=filters, kernel_size=kernel_size, strides=strides,
        dilation=dilation, relu=relu, norm=norm,
        gamma_initializer=gamma_initializer)
    self.strides = strides
    self._relu = relu
    self._margin = dilation * (kernel_size // 2)
    self.conv = keras.layers.Conv2D(
        filters, kernel_size, strides=strides, dilation_rate=dilation,
        padding='valid', use_bias=False,
        kernel_initializer='he_normal', name='conv')
    self.norm = normalization.batch_norm(
        norm, name='norm', gamma_initializer=gamma_initializer)

  def call(self, inputs, training=False):
    """[batch, height, width, channels] -> [.., ceil(h/s), ceil(w/s), filters].

    The margin is the same on all sides, so that output i is centered on input
    strides * i, also at even sizes (where Keras' 'same' would shift by one).
    """
    outputs = self.norm(
        self.conv(_pad(inputs, self._margin)), training=training)
    return tf.nn.relu(outputs) if self._relu else outputs

  def multiply_adds(self, height: int, width: int) -> int:
    """Returns the multiply-adds of a built layer for one map, with padding.

    Raises:
      errors.UserError: the layer is not built.
    """
    multiply_adds.require_built(self)
    return (-(-height // self.strides) * -(-width // self.strides)
            * self.conv.kernel.shape.num_elements())


class SeparableConvNorm(configured.ConfiguredLayer):
  """Depthwise and pointwise convolution, each with batch norm.

  ReLUs follow both convolutions or only the first, or one precedes them.
  """

  def __init__(
      self,
      filters: int,
      kernel_size: int,
      *,
      strides: int = 1,
      dilation: int = 1,
      relu_first: bool = False,
      relu_last: bool = True,
      norm: normalization.BatchNormSettings = (
          normalization.BatchNormSettings()),  # noqa: B008 (frozen)
      **kwargs):
    super().__init__(**kwargs)
    self._keep(
        filters=filters, kernel_size=kernel_size, strides=strides,
        dilation=dilation, relu_first=relu_first, relu_last=relu_last,
        norm=norm)
    self.strides = strides
    self._relu_first = relu_first
    self._margin = dilation * (kernel_size // 2)
    self.depthwise = keras.layers.DepthwiseConv2D(
        kernel_size, strides=strides, dilation_rate=dilation, padding='valid',
        use_bias=False, depthwise_initializer='he_normal', name='depthwise')
    self.depthwise_norm = normalization.batch_norm(norm, name='depthwise_norm')
    self.pointwise = ConvNorm(
        filters, 1, relu=relu_last and not relu_first, norm=norm,
        name='pointwise')

  def call(self, inputs, training=False):
    """[batch, height, width, channels] -> [.., ceil(h/s), ceil(w/s), filters].

    As in `ConvNorm`, output i is centered on input strides * i.
    """
    if self._relu_first:
      inputs = tf.nn.relu(inputs)
    outputs = self.depthwise_norm(
        self.depthwise(_pad(inputs, self._margin)), training=training)
    if not self._relu_first:
      outputs = tf.nn.relu(outputs)
    return self.pointwise(outputs, training=training)

  def multiply_adds(self, height: int, width: int) -> int:
    """Returns the multiply-adds of a built layer for one map, with padding.

    Raises:
      errors.UserError: the layer is not built.
    """
    multiply_adds.require_built(self)
    height, width = -(-height // self.strides), -(-width // self.strides)
    return (height * width
            * self.depthwise.depthwise_kernel.shape.num_elements()
            + self.pointwise.multiply_adds(height, width))


def _pad(images, margin: int):
  """Pads [b, h, w, c] with zeros, by the same number of pixels on all sides."""
  if not margin:
    return images
  return tf.pad(images, [[0, 0], [margin, margin], [margin, margin], [0, 0]])
