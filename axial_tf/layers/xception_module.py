"""The residual module of Xception: three separable convolutions."""

import dataclasses
from typing import Literal, Optional, Sequence

import tensorflow as tf

from axial_tf import errors
from axial_tf.layers import (
  convolution,
  drop_path,
  multiply_adds,
  normalization,
)

_KERNEL_SIZE = 3
_SHORTCUTS = ('conv', 'sum', None)


class SeparableConv(tf.keras.layers.Layer):
  """Depthwise 3x3 and pointwise convolution, each with batch norm.

  The ReLU stands either at the input, or behind each of the two convolutions.
  """

  def __init__(
      self,
      filters: int,
      *,
      strides: int = 1,
      dilation: int = 1,
      relu_first: bool = True,
      norm: normalization.BatchNormSettings = (
          normalization.BatchNormSettings()),  # noqa: B008 (frozen)
      **kwargs):
    super().__init__(**kwargs)
    self._config = dict(
        filters=filters, strides=strides, dilation=dilation,
        relu_first=relu_first, norm=dataclasses.asdict(norm))
    self._relu_first = relu_first
    self._margin = dilation * (_KERNEL_SIZE // 2)
    self.depthwise = tf.keras.layers.DepthwiseConv2D(
        _KERNEL_SIZE, strides=strides, dilation_rate=dilation, padding='valid',
        use_bias=False, depthwise_initializer='he_normal', name='depthwise')
    self.depthwise_norm = normalization.batch_norm(norm, name='depthwise_norm')
    self.pointwise = convolution.ConvNorm(
        filters, 1, relu=not relu_first, norm=norm, name='pointwise')

  def call(self, inputs, training=False):
    """[batch, height, width, channels] -> [.., ceil(h/s), ceil(w/s), filters].

    As in `convolution.ConvNorm`, output i is centered on input strides * i.
    """
    if self._relu_first:
      inputs = tf.nn.relu(inputs)
    margin = [self._margin, self._margin]
    inputs = tf.pad(inputs, [[0, 0], margin, margin, [0, 0]])
    outputs = self.depthwise_norm(self.depthwise(inputs), training=training)
    if not self._relu_first:
      outputs = tf.nn.relu(outputs)
    return self.pointwise(outputs, training=training)

  def get_config(self):
    return {**super().get_config(), **self._config}

  @classmethod
  def from_config(cls, config):
    norm = normalization.BatchNormSettings(**config['norm'])
    return cls(**{**config, 'norm': norm})


class XceptionModule(tf.keras.layers.Layer):
  """Three separable convolutions, the last one strided, and a shortcut.

  The stride of a convolution takes the place of Xception's max-pooling, so
  that a dilation can take the place of the stride. Input and output are not
  activated, except in a module without shortcut, which ends with a ReLU.
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
      filters: of the three convolutions.
      strides: of the last convolution and the shortcut.
      dilation: of all three.
      shortcut: 'conv' for a 1x1 convolution, 'sum' for the input itself, None
        for none; the convolutions then have their ReLUs behind them.
      drop_path_rate: share of samples that lose the branch in training; of no
        effect without shortcut.
      norm: settings of all batch norms.
      **kwargs: of tf.keras.layers.Layer.

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
    self._config = dict(
        filters=tuple(filters), strides=strides, dilation=dilation,
        shortcut=shortcut, drop_path_rate=drop_path_rate,
        norm=dataclasses.asdict(norm))
    self._filters = tuple(filters)
    self.convs = [
        SeparableConv(
            count, strides=strides if index == 2 else 1, dilation=dilation,
            relu_first=shortcut is not None, norm=norm,
            name=f'conv{index + 1}')
        for index, count in enumerate(filters)]
    self.shortcut = None
    if shortcut == 'conv':
      self.shortcut = convolution.ConvNorm(
          filters[-1], 1, strides=strides, relu=False, norm=norm,
          name='shortcut')
    self.drop_path = drop_path.DropPath(drop_path_rate, name='drop_path')

  def build(self, input_shape):
    self._channels = input_shape[-1]
    strides = self._config['strides']
    if self._config['shortcut'] == 'sum' and (
        strides != 1 or self._channels != self._filters[-1]):
      raise errors.UserError(
          f"{self.name}: shortcut 'sum': expected stride 1 and "
          f'{self._channels} channels as in the input, got stride {strides} '
          f"and {self._filters[-1]} channels; use 'conv'")
    super().build(input_shape)

  def call(self, inputs, training=False, with_detail=False):
    """Computes the features and, if asked, those ahead of the stride.

    Args:
      inputs: [batch, height, width, channels].
      training: whether batch norm uses the statistics of this batch.
      with_detail: whether to return the second result too.

    Returns:
      [batch, ceil(height / strides), ceil(width / strides), filters[2]]; with
      detail also the input of the last convolution ahead of its ReLU [batch,
      height, width, filters[1]], the deepest at the module's own resolution.
    """
    detail = None
    outputs = inputs
    for conv in self.convs:
      detail, outputs = outputs, conv(outputs, training=training)
    if self._config['shortcut'] is not None:
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
    strides = self._config['strides']
    outputs = -(-height // strides) * -(-width // strides)
    total, channels = 0, self._channels
    for filters, pixels in zip(
        self._filters, (height * width, height * width, outputs)):
      total += pixels * channels * (_KERNEL_SIZE ** 2 + filters)
      channels = filters
    if self.shortcut is not None:
      total += outputs * self._channels * channels
    return total

  def get_config(self):
    return {**super().get_config(), **self._config}

  @classmethod
  def from_config(cls, config):
    norm = normalization.BatchNormSettings(**config['norm'])
    return cls(**{**config, 'norm': norm})
