"""Stems: the first convolutions of a network, up to stride 2 or 4."""

import dataclasses

import tensorflow as tf

from axial_tf import errors
from axial_tf.layers import convolution, normalization


class Stem(tf.keras.layers.Layer):
  """A convolutional stem of stride 2, or 4 with max-pooling.

  The last batch norm is not activated: blocks start with a ReLU.
  """

  def __init__(
      self,
      kind: str,
      filters: int = 64,
      *,
      pooling: bool = False,
      norm: normalization.BatchNormSettings = (
          normalization.BatchNormSettings()),  # noqa: B008 (frozen)
      **kwargs):
    """Makes the convolutions.

    Args:
      kind: 'resnet' for one 7x7 convolution; 'inception' for three of 3x3, the
        last with twice the filters, as in Panoptic-DeepLab (section 3.2).
      filters: of the first convolution.
      pooling: whether a 3x3 max-pool of stride 2 follows, as in ResNet.
      norm: settings of the batch norms.
      **kwargs: of tf.keras.layers.Layer.

    Raises:
      errors.UserError: an unknown kind.
    """
    super().__init__(**kwargs)
    if kind not in ('resnet', 'inception'):
      raise errors.UserError(
          f"Stem: expected kind 'resnet' or 'inception', got {kind!r}")
    self._config = dict(kind=kind, filters=filters, pooling=pooling,
                        norm=dataclasses.asdict(norm))
    if kind == 'resnet':
      self.convs = [convolution.ConvNorm(
          filters, 7, strides=2, relu=False, norm=norm, name='conv1')]
    else:
      self.convs = [
          convolution.ConvNorm(filters, 3, strides=2, norm=norm, name='conv1'),
          convolution.ConvNorm(filters, 3, norm=norm, name='conv2'),
          convolution.ConvNorm(
              2 * filters, 3, relu=False, norm=norm, name='conv3')]
    self._pooling = pooling

  def call(self, inputs, training=False):
    """[batch, height, width, 3] -> [.., ceil(h/2), ceil(w/2), channels]."""
    outputs = inputs
    for conv in self.convs:
      outputs = conv(outputs, training=training)
    if self._pooling:
      # XLA has no pooling with explicit padding.
      outputs = tf.pad(outputs, [[0, 0], [1, 1], [1, 1], [0, 0]],
                       constant_values=outputs.dtype.min)
      outputs = tf.nn.max_pool2d(outputs, 3, 2, padding='VALID')
    return outputs

  def get_config(self):
    return {**super().get_config(), **self._config}

  @classmethod
  def from_config(cls, config):
    norm = normalization.BatchNormSettings(**config['norm'])
    return cls(**{**config, 'norm': norm})
