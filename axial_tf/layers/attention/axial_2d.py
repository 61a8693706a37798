"""Axial attention over an image: along its height, then along its width."""

import tensorflow as tf

from axial_tf import errors
from axial_tf.layers import graph_ops, multiply_adds, shapes
from axial_tf.layers.attention import base
from axial_tf.layers.attention import layer as layer_lib
from axial_tf.layers.attention import settings as settings_lib


class AxialAttention2D(base.AttentionLayer):
  """Two axial attention layers, with nothing in between (section 3.2).

  Each layer sees its axis at full size; a stride keeps every stride-th row
  after the height layer and every stride-th column after the width layer.
  With `average_pooling`, as in the authors' PyTorch code, both layers run at
  full size and the stride is one average pooling after the width layer.

  Attributes:
    strides: stride in both directions.
    average_pooling: whether the stride is an average pooling.
  """

  def __init__(
      self,
      key_channels: int,
      value_channels: int,
      settings: settings_lib.AttentionSettings = (
          settings_lib.AttentionSettings()),  # noqa: B008 (frozen)
      *,
      strides: int = 1,
      average_pooling: bool = False,
      **options):
    """Makes both layers.

    Args:
      key_channels: channels of all queries (and of all keys) of each layer.
      value_channels: channels of all values of each layer, and of the output.
      settings: settings of the attention of both layers.
      strides: stride in both directions.
      average_pooling: whether to average strides x strides pixels at the end
        instead of skipping rows and columns. Sizes that the stride does not
        divide round up, as with skipping: windows at the edges average the
        pixels that they have. (PyTorch's AvgPool2d drops these pixels.)
      **options: fields of AttentionSettings, such as heads=8 or span=65, which
        override `settings`, and arguments of keras.layers.Layer.

    Raises:
      errors.UserError: a stride below 1, a field out of range, or channels
        that the heads do not divide.
    """
    if strides < 1:
      raise errors.UserError(
          f'AxialAttention2D: expected strides of at least 1, got {strides}')
    super().__init__(key_channels, value_channels, settings, options)
    self._keep(strides=strides, average_pooling=average_pooling)
    self.strides = strides
    self.average_pooling = average_pooling
    self.height_axis, self.width_axis = (
        layer_lib.AxialAttention(
            key_channels, value_channels, self.settings, name=name,
            dtype=options.get('dtype'))
        for name in ('height_axis', 'width_axis'))

  def build(self, input_shape):
    self._channels = input_shape[-1]
    super().build(input_shape)

  @property
  def axis_stride(self) -> int:
    """Distance of the queries on each axis."""
    return 1 if self.average_pooling else self.strides

  def call(self, inputs, training=False):
    """[batch, height, width, channels] -> [.., ceil(h/s), ceil(w/s), value]."""
    step = self.axis_stride
    columns = self.height_axis(inputs, training=training, stride=step)
    batch, height, width, channels = shapes.sizes(columns)
    rows = self.width_axis(
        graph_ops.reshape(columns, [batch * height, width, 1, channels]),
        training=training, stride=step)
    rows = graph_ops.reshape(
        rows, [batch, height, -(-width // step), channels])
    if step == self.strides:
      return rows
    # Padding does not count in the average.
    return tf.nn.avg_pool2d(rows, self.strides, self.strides, 'SAME')

  def multiply_adds(self, height: int, width: int) -> int:
    """Returns the multiply-adds of a built layer for one image of this size.

    Raises:
      errors.UserError: the layer is not built.
    """
    multiply_adds.require_built(self)
    terms, span = self.settings.terms, self.settings.span

    def axis(length, other, channels):
      return multiply_adds.attention(
          pixels=length * other, queries=length * other,
          keys=length if span is None else min(span, length),
          channels=channels, key_channels=self.key_channels,
          value_channels=self.value_channels,
          logit_terms=terms.num_logit_terms, value_terms=terms.num_value_terms)

    return (axis(height, width, self._channels)
            + axis(width, -(-height // self.axis_stride), self.value_channels))
