"""The residual bottleneck block, around attention or a convolution."""

import dataclasses
from typing import Literal, Optional

import tensorflow as tf

from axial_tf import settings as settings_lib
from axial_tf.layers import convolution, multiply_adds, normalization
from axial_tf.layers import recompute as recompute_lib
from axial_tf.layers.attention import axial_2d
from axial_tf.layers.attention import settings as attention_settings
from axial_tf.layers.baselines import local_attention_2d
from axial_tf.layers.residual import block

# Section 4.1: the output of an axial block has twice the channels of the
# attention's values. The other two are the bottlenecks of ResNet-50.
_EXPANSIONS = {'axial': 2, 'local': 4, 'convolution': 4}


@dataclasses.dataclass(frozen=True)
class SpatialSettings:
  """Settings of the middle of a bottleneck; the defaults are the paper's.

  Attributes:
    kind: 'axial' for axial attention, 'local' for attention within a square
      window, 'convolution' for 3x3.
    attention: settings of the attention; local attention needs a span.
    average_pooling: whether strided axial attention ends with average pooling.
  """
  kind: Literal['axial', 'local', 'convolution'] = 'axial'
  attention: attention_settings.AttentionSettings = (
      attention_settings.AttentionSettings())
  average_pooling: bool = False

  def __post_init__(self):
    settings_lib.check_types(self)
    require = settings_lib.require
    require(self.kind != 'local' or self.attention.span is not None,
            self.attention, 'span',
            'the side of the window, as local attention has no whole axis')
    require(self.kind == 'axial' or not self.average_pooling, self,
            'average_pooling', 'False unless the attention is axial')

  @property
  def expansion(self) -> int:
    """Channels of a block's output per channel of its middle."""
    return _EXPANSIONS[self.kind]


class Bottleneck(block.ResidualBlock):
  """1x1 conv, attention or 3x3 conv, 1x1 conv, and a shortcut (figure 2).

  The figure's last ReLU is at the start of the next block instead, so that
  input and output are not activated; the network is the same. The last batch
  norm starts at gamma 0, so that a new block equals its shortcut.
  """

  def __init__(
      self,
      filters: int,
      spatial: SpatialSettings = SpatialSettings(),
      *,
      strides: int = 1,
      dilation: int = 1,
      activate_input: bool = True,
      drop_path_rate: float = 0.0,
      recompute: Optional[str] = None,
      norm: normalization.BatchNormSettings = (
          normalization.BatchNormSettings()),  # noqa: B008 (frozen)
      reduced_channels: Optional[int] = None,
      output_channels: Optional[int] = None,
      **kwargs):
    """Makes the layers.

    Args:
      filters: channels of the middle's output.
      spatial: settings of the middle.
      strides: stride of the middle and of the shortcut.
      dilation: dilation of the 3x3 convolution; attention has none.
      activate_input: whether the block starts with a ReLU; False on images.
      drop_path_rate: share of samples that lose the branch in training.
      recompute: part that the backward pass recomputes rather than keeps:
        'axial' for the attention, 'all' for the branch, or None.
      norm: settings of the batch norms outside the attention.
      reduced_channels: channels of the middle's input; None for `filters`.
      output_channels: channels of the block's output; None for
        spatial.expansion * filters.
      **kwargs: keyword arguments of keras.layers.Layer.

    Raises:
      errors.UserError: filters that the heads do not divide.
    """
    super().__init__(
        channels=output_channels or spatial.expansion * filters,
        strides=strides, drop_path_rate=drop_path_rate, recompute=recompute,
        norm=norm, **kwargs)
    self._keep(
        filters=filters, spatial=spatial, strides=strides, dilation=dilation,
        activate_input=activate_input, drop_path_rate=drop_path_rate,
        recompute=recompute, norm=norm, reduced_channels=reduced_channels,
        output_channels=output_channels)
    self._activate_input = activate_input
    self.reduce = convolution.ConvNorm(
        reduced_channels or filters, 1, norm=norm, name='reduce')
    self.attention = self.conv = None
    if spatial.kind == 'convolution':
      self.conv = convolution.ConvNorm(
          filters, 3, strides=strides, dilation=dilation, norm=norm,
          name='conv')
    else:
      self.attention = _attention(filters, spatial, strides)
    self.expand = convolution.ConvNorm(
        self._channels, 1, relu=False, norm=norm,
        gamma_initializer='zeros', name='expand')

  def call(self, inputs, training=False):
    """[batch, height, width, c] -> [.., ceil(h/s), ceil(w/s), expanded]."""
    if self._activate_input:
      inputs = tf.nn.relu(inputs)
    return self._with_shortcut(
        inputs, training, [self.reduce, self._middle, self.expand])

  def attention_inputs(self, inputs: tf.Tensor) -> tf.Tensor:
    """Returns the middle's input in inference for an input of the block."""
    if self._activate_input:
      inputs = tf.nn.relu(inputs)
    return self.reduce(inputs, training=False)

  @property
  def _middle(self):
    return self.conv if self.attention is None else self.attention

  def _branch(self, inputs, training):
    branch = self.reduce(inputs, training=training)
    if self.conv is not None:
      branch = self.conv(branch, training=training)
    else:
      branch = tf.nn.relu(self._attend(branch, training))
    return self.expand(branch, training=training)

  def _attend(self, inputs, training):
    def attend(inputs, training):
      return self.attention(inputs, training=training)

    if self._recompute == 'axial' and training:
      attend = recompute_lib.recomputed(attend, [self.attention])
    return attend(inputs, training)

  def multiply_adds(self, height: int, width: int) -> int:
    """Returns the multiply-adds of a built block for one map of this size.

    Raises:
      errors.UserError: the block is not built.
    """
    multiply_adds.require_built(self)
    total = (self.reduce.multiply_adds(height, width)
             + self._middle.multiply_adds(height, width))
    if self.shortcut is not None:
      total += self.shortcut.multiply_adds(height, width)
    return total + self.expand.multiply_adds(*self.output_size(height, width))


def _attention(filters, spatial, strides):
  if spatial.kind == 'axial':
    return axial_2d.AxialAttention2D(
        filters // 2, filters, spatial.attention, strides=strides,
        average_pooling=spatial.average_pooling, name='attention')
  return local_attention_2d.LocalAttention2D(
      filters, filters, spatial.attention, strides=strides, name='attention')
