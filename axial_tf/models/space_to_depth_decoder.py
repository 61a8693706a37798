"""The decoder of DeeperLab, which works at stride 16 on many channels.

Instead of enlarging deep features to stride 4, it folds each 4x4 block of the
features at stride 4 into the channels of one pixel at stride 16, where two
convolutions of large kernels are cheap, and unfolds the result to stride 4
(DeeperLab, section 3.2).
"""

from typing import Tuple

import tensorflow as tf

from axial_tf.keras2 import keras
from axial_tf.layers import convolution, multiply_adds, normalization, resize

BLOCK = 4


class SpaceToDepthDecoder(keras.layers.Layer):
  """Fuses features at stride 4 into deep ones of output stride 16."""

  def __init__(self, low_level_channels: int, channels: int, kernel_size: int,
               norm: normalization.BatchNormSettings, **kwargs):
    """Makes the convolutions.

    Args:
      low_level_channels: channels to which the features at stride 4 are
        projected.
      channels: channels of the result at stride 4; at stride 16 there are 16
        times as many.
      kernel_size: side of the kernels of the two convolutions, which are
        separable: dense ones of 4096 channels would have 822M weights.
      norm: settings of all batch norms.
      **kwargs: keyword arguments of keras.layers.Layer.
    """
    super().__init__(**kwargs)
    self.low_level = convolution.ConvNorm(
        low_level_channels, 1, norm=norm, name='low_level')
    self.first, self.second = (
        convolution.SeparableConvNorm(
            BLOCK**2 * channels, kernel_size, norm=norm, name=name)
        for name in ('first', 'second'))

  def call(self, inputs, training=False):
    """Computes the features that all heads share.

    Args:
      inputs: deep features [batch, h, w, c] at stride 16, and those at stride 4
        of size (4 h - 3, 4 w - 3) or (4 h, 4 w), as images of k * 16 + 1 or k *
        16 pixels give them. Zeros complete the last blocks, and the result is
        cut to the size of the second (ours).
      training: whether batch norm uses the statistics of this batch.

    Returns:
      [batch, height, width, channels] at stride 4.
    """
    deep, detail = inputs
    detail = self.low_level(detail, training=training)
    size = resize.size_of(detail)
    detail = tf.pad(detail, [[0, 0], *(
        [0, BLOCK * blocks - pixels]
        for blocks, pixels in zip(resize.size_of(deep), size)), [0, 0]])
    features = tf.concat(
        [deep, tf.nn.space_to_depth(detail, BLOCK)], axis=-1)
    features = self.second(
        self.first(features, training=training), training=training)
    return tf.nn.depth_to_space(features, BLOCK)[:, :size[0], :size[1]]

  def multiply_adds(self, deep: Tuple[int, int], detail: Tuple[int, int]
                    ) -> int:
    """Returns the multiply-adds of a built layer for one image.

    Args:
      deep: height and width of the deep features.
      detail: height and width of those at stride 4.

    Raises:
      errors.UserError: the layer is not built.
    """
    multiply_adds.require_built(self)
    return self.low_level.multiply_adds(*detail) + sum(
        conv.multiply_adds(*deep) for conv in (self.first, self.second))
