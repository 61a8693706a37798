"""Atrous spatial pyramid pooling: context of several sizes around each pixel.

Axial-DeepLab omits it (its attention sees far enough), its convolutional
baselines use it: table 6 of the paper has both.
"""

from typing import Sequence

import tensorflow as tf

from axial_tf import errors
from axial_tf.layers import (
  configured,
  convolution,
  multiply_adds,
  named,
  normalization,
  precision,
  resize,
)

_KERNEL_SIZE = 3


class ASPP(configured.ConfiguredLayer):
  """A 1x1 convolution, atrous ones and pooling side by side, then projected.

  Every convolution is followed by batch norm and ReLU, as in DeepLabv3+. With
  separable atrous convolutions, one ASPP in each decoder and no projection of
  'res5' in the model without ASPP, the difference between the two models is
  that of table 6: 5.2M parameters and 15.2B multiply-adds (ordinary atrous
  convolutions would add 30M parameters).
  """

  def __init__(
      self,
      filters: int,
      rates: Sequence[int] = (6, 12, 18),
      *,
      separable: bool = True,
      norm: normalization.BatchNormSettings = (
          normalization.BatchNormSettings()),  # noqa: B008 (frozen)
      **kwargs):
    """Makes the convolutions.

    Args:
      filters: channels of every branch and of the output.
      rates: dilations of the atrous 3x3 convolutions; the default is for
        output stride 16, twice as much for output stride 8.
      separable: whether the atrous convolutions are depthwise separable.
      norm: settings of all batch norms.
      **kwargs: keyword arguments of keras.layers.Layer.

    Raises:
      errors.UserError: a value out of range.
    """
    super().__init__(**kwargs)
    _require(filters >= 1, 'filters', 'at least 1', filters)
    _require(len(set(rates)) == len(rates) and all(r >= 1 for r in rates),
             'rates', 'different numbers, each at least 1', rates)
    self._keep(filters=filters, rates=tuple(rates), separable=separable,
               norm=norm)
    atrous = (convolution.SeparableConvNorm if separable
              else convolution.ConvNorm)
    self.pixel = convolution.ConvNorm(filters, 1, norm=norm, name='pixel')
    self.atrous = [
        atrous(filters, _KERNEL_SIZE, dilation=rate, norm=norm,
               name=f'atrous{index + 1}') for index, rate in enumerate(rates)]
    named.keep(self, self.atrous)
    self.pooled = convolution.ConvNorm(filters, 1, norm=norm, name='pooled')
    self.projection = convolution.ConvNorm(
        filters, 1, norm=norm, name='projection')

  def call(self, inputs, training=False):
    """[batch, height, width, channels] -> [batch, height, width, filters]."""
    branches = [self.pixel(inputs, training=training)]
    branches += [atrous(inputs, training=training) for atrous in self.atrous]
    mean = tf.reduce_mean(precision.widen(inputs), [1, 2], keepdims=True)
    pooled = self.pooled(tf.cast(mean, inputs.dtype), training=training)
    branches.append(resize.resize(pooled, resize.size_of(inputs)))
    return self.projection(tf.concat(branches, -1), training=training)

  def multiply_adds(self, height: int, width: int) -> int:
    """Returns the multiply-adds of a built layer for one map of this size.

    Raises:
      errors.UserError: the layer is not built.
    """
    multiply_adds.require_built(self)
    return self.pooled.multiply_adds(1, 1) + sum(
        conv.multiply_adds(height, width)
        for conv in (self.pixel, *self.atrous, self.projection))


def _require(condition, argument, expected, got):
  if not condition:
    raise errors.UserError(f'ASPP: {argument}: expected {expected}; got {got}')
