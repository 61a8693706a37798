"""Decoders and heads: from a backbone's endpoints to maps at stride 4 or 2."""

import dataclasses
from typing import Literal, Optional, Tuple

import tensorflow as tf

from axial_tf import settings as settings_lib
from axial_tf.keras2 import keras
from axial_tf.layers import (
  aspp,
  convolution,
  multiply_adds,
  named,
  normalization,
  resize,
)
from axial_tf.layers.attention import settings as attention_settings
from axial_tf.layers.residual import bottleneck

_KERNEL_SIZE = 5


@dataclasses.dataclass(frozen=True)
class BranchSettings:
  """Channels of one decoder and its heads; defaults: the semantic branch.

  Attributes:
    projection_channels: channels of 'res5' after the decoder's
      context, see DecoderSettings.
    res3_channels: channels to which 'res3' is projected.
    res2_channels: channels to which 'res2' is projected.
    decoder_channels: channels after each fusion.
    head_channels: channels in each head, before its last layer.
    res4_channels: channels to which 'res4' is projected; None to leave it out,
      as all models with output stride 16 do.
  """
  projection_channels: int = 256
  res3_channels: int = 64
  res2_channels: int = 32
  decoder_channels: int = 256
  head_channels: int = 256
  res4_channels: Optional[int] = None

  def __post_init__(self):
    settings_lib.check_types(self)
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      settings_lib.require(
          value is None or value >= 1, self, field.name, 'at least 1')


@dataclasses.dataclass(frozen=True)
class DecoderSettings:
  """Settings of the layers of both decoders.

  Attributes:
    context: layer that is applied to 'res5' first: 'projection' for a 1x1
      convolution, 'aspp', or 'none', which fits the parameters and
      multiply-adds of the paper's models without ASPP.
    aspp_rates: dilations of ASPP.
    separable_aspp: whether its atrous convolutions are separable, which fits
      the paper's counts; those of DeepLab2 are not.
    fusion: layer that fuses two strides: a 'separable' 5x5 convolution,
      or an 'axial' bottleneck (our reading of the appendix's axial decoder,
      see docs/fidelity.md).
    heads: number of heads of axial bottlenecks.
    span: span of axial bottlenecks; None for the whole axis.
  """
  context: Literal['none', 'projection', 'aspp'] = 'projection'
  aspp_rates: Tuple[int, ...] = (6, 12, 18)
  separable_aspp: bool = True
  fusion: Literal['separable', 'axial'] = 'separable'
  heads: int = 8
  span: Optional[int] = 65

  def __post_init__(self):
    settings_lib.check_types(self)
    settings_lib.require(
        self.aspp_rates and min(self.aspp_rates) >= 1, self, 'aspp_rates',
        'at least one number, each at least 1')
    _ = self.attention  # Checks heads and span.

  @property
  def attention(self) -> attention_settings.AttentionSettings:
    return attention_settings.AttentionSettings(
        heads=self.heads, span=self.span)


class Decoder(keras.layers.Layer):
  """Upsamples 'res5' to stride 4 or 2 with the help of finer endpoints."""

  def __init__(self, branch: BranchSettings, decoder: DecoderSettings,
               norm: normalization.BatchNormSettings, stride: int = 4,
               **kwargs):
    super().__init__(**kwargs)
    self.projection = None
    if decoder.context == 'projection':
      self.projection = convolution.ConvNorm(
          branch.projection_channels, 1, norm=norm, name='projection')
    elif decoder.context == 'aspp':
      # Checkpoints use the first of two equally short paths.
      self.aspp = aspp.ASPP(
          branch.projection_channels, decoder.aspp_rates,
          separable=decoder.separable_aspp, norm=norm, name='aspp')
      self.projection = self.aspp
    self.low_levels, self.fusions = {}, {}
    for level, channels in (('res4', branch.res4_channels),
                            ('res3', branch.res3_channels),
                            ('res2', branch.res2_channels)):
      if channels is not None:
        self.low_levels[level] = convolution.ConvNorm(
            channels, 1, norm=norm, name=f'{level}_projection')
        self.fusions[level] = _fusion(
            branch.decoder_channels, decoder, norm, name=f'{level}_fusion')
    if stride == 2:
      # Half the channels: each costs four times what it does at stride 4.
      self.low_levels['detail'] = convolution.ConvNorm(
          -(-branch.res2_channels // 2), 1, norm=norm,
          name='detail_projection')
      self.fusions['detail'] = convolution.SeparableConvNorm(
          -(-branch.decoder_channels // 2), _KERNEL_SIZE, norm=norm,
          name='detail_fusion')
    named.keep(self, (*self.low_levels.values(), *self.fusions.values()))

  def call(self, endpoints, training=False):
    """Endpoints of the backbone -> [batch, h / 4, w / 4, decoder_channels].

    At stride 2, half as many channels of twice the size.
    """
    features = endpoints['res5']
    if self.projection is not None:
      features = self.projection(features, training=training)
    for level, low_level in self.low_levels.items():
      detail = low_level(endpoints[level], training=training)
      features = resize.resize(features, resize.size_of(detail))
      # A bottleneck does not activate its output; for others this is a no-op.
      features = tf.nn.relu(self.fusions[level](
          tf.concat([features, detail], axis=-1), training=training))
    return features

  def multiply_adds(self, height: int, width: int, output_stride: int) -> int:
    """Returns the multiply-adds of a built decoder for an image of this size.

    Raises:
      errors.UserError: the decoder is not built.
    """
    multiply_adds.require_built(self)
    total = 0
    if self.projection is not None:
      total += self.projection.multiply_adds(
          -(-height // output_stride), -(-width // output_stride))
    for level, stride in (
        ('res4', 16), ('res3', 8), ('res2', 4), ('detail', 2)):
      if level in self.low_levels:
        stride = min(stride, output_stride)
        size = -(-height // stride), -(-width // stride)
        total += self.low_levels[level].multiply_adds(*size)
        total += self.fusions[level].multiply_adds(*size)
    return total


def _fusion(channels, decoder, norm, name):
  if decoder.fusion == 'separable':
    return convolution.SeparableConvNorm(
        channels, _KERNEL_SIZE, norm=norm, name=name)
  spatial = bottleneck.SpatialSettings(
      attention=dataclasses.replace(decoder.attention, norm=norm))
  return bottleneck.Bottleneck(
      channels // spatial.expansion, spatial, norm=norm, name=name)


class Head(keras.layers.Layer):
  """A convolution, separable and 5x5 unless told, and a linear 1x1 one."""

  def __init__(self, hidden_channels: int, output_channels: int,
               norm: normalization.BatchNormSettings,
               kernel_size: int = _KERNEL_SIZE, separable: bool = True,
               **kwargs):
    super().__init__(**kwargs)
    layer = (convolution.SeparableConvNorm if separable
             else convolution.ConvNorm)
    self.hidden = layer(
        hidden_channels, kernel_size, norm=norm, name='hidden')
    self.last = keras.layers.Conv2D(
        output_channels, 1, name='last',
        kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.01))

  def call(self, features, training=False):
    """[batch, height, width, c] -> float32 [.., output_channels]."""
    outputs = self.last(self.hidden(features, training=training))
    return outputs if outputs.dtype == tf.float64 else tf.cast(
        outputs, tf.float32)

  def multiply_adds(self, height: int, width: int) -> int:
    """Returns the multiply-adds of a built head for one map of this size.

    Raises:
      errors.UserError: the head is not built.
    """
    multiply_adds.require_built(self)
    return (self.hidden.multiply_adds(height, width)
            + height * width * self.last.kernel.shape.num_elements())
