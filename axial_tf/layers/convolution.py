"""Convolutions followed by batch norm, and optionally ReLU."""

import dataclasses

import tensorflow as tf

from axial_tf.layers import multiply_adds, normalization


class ConvNorm(tf.keras.layers.Layer):
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
    self._config = dict(
        filters=filters, kernel_size=kernel_size, strides=strides,
        dilation=dilation, relu=relu,
        norm=dataclasses.asdict(norm), gamma_initializer=gamma_initializer)
    self._relu = relu
    self._margin = dilation * (kernel_size // 2)
    self.conv = tf.keras.layers.Conv2D(
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
    if self._margin:
      margin = [self._margin, self._margin]
      inputs = tf.pad(inputs, [[0, 0], margin, margin, [0, 0]])
    outputs = self.norm(self.conv(inputs), training=training)
    return tf.nn.relu(outputs) if self._relu else outputs

  def multiply_adds(self, height: int, width: int) -> int:
    """Returns those of a built layer for one map of this size; padding counts.

    Raises:
      errors.UserError: the layer is not built.
    """
    multiply_adds.require_built(self)
    strides = self._config['strides']
    return (-(-height // strides) * -(-width // strides)
            * self.conv.kernel.shape.num_elements())

  def get_config(self):
    return {**super().get_config(), **self._config}

  @classmethod
  def from_config(cls, config):
    norm = normalization.BatchNormSettings(**config['norm'])
    return cls(**{**config, 'norm': norm})


class SeparableConvNorm(tf.keras.layers.Layer):
  """Depthwise and pointwise convolution, each with batch norm and ReLU."""

  def __init__(
      self,
      filters: int,
      kernel_size: int,
      *,
      dilation: int = 1,
      norm: normalization.BatchNormSettings = (
          normalization.BatchNormSettings()),  # noqa: B008 (frozen)
      **kwargs):
    super().__init__(**kwargs)
    self._config = dict(filters=filters, kernel_size=kernel_size,
                        dilation=dilation, norm=dataclasses.asdict(norm))
    self.depthwise = tf.keras.layers.DepthwiseConv2D(
        kernel_size, dilation_rate=dilation, padding='same', use_bias=False,
        depthwise_initializer='he_normal', name='depthwise')
    self.depthwise_norm = normalization.batch_norm(norm, name='depthwise_norm')
    self.pointwise = ConvNorm(filters, 1, norm=norm, name='pointwise')

  def call(self, inputs, training=False):
    """[batch, height, width, channels] -> [batch, height, width, filters]."""
    outputs = self.depthwise_norm(self.depthwise(inputs), training=training)
    return self.pointwise(tf.nn.relu(outputs), training=training)

  def multiply_adds(self, height: int, width: int) -> int:
    """Returns those of a built layer for one map of this size; padding counts.

    Raises:
      errors.UserError: the layer is not built.
    """
    multiply_adds.require_built(self)
    kernel = self.depthwise.depthwise_kernel.shape.num_elements()
    return (height * width * kernel
            + self.pointwise.multiply_adds(height, width))

  def get_config(self):
    return {**super().get_config(), **self._config}

  @classmethod
  def from_config(cls, config):
    norm = normalization.BatchNormSettings(**config['norm'])
    return cls(**{**config, 'norm': norm})
