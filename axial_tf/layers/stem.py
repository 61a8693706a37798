"""Stems: the first layers of a network, up to stride 1, 2 or 4."""

import tensorflow as tf

from axial_tf import errors
from axial_tf.layers import (
  configured,
  convolution,
  multiply_adds,
  named,
  normalization,
)
from axial_tf.layers.residual import basic, bottleneck

# Mean and deviation of ImageNet RGB in 0..1.
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)

KINDS = ('resnet', 'inception', 'axial', 'small', 'small_inception', 'wide')
# For images of a few dozen pixels.
SMALL = ('small', 'small_inception')


def stride(kind: str, pooling: bool) -> int:
  """Returns the stride of a stem's output."""
  return (1 if kind in SMALL else 2) * (2 if pooling else 1)


class Stem(configured.ConfiguredLayer):
  """A stem of stride 2 (of 1 if of SMALL kinds), twice that with max-pooling.

  The last batch norm is not activated: blocks start with a ReLU.
  """

  def __init__(
      self,
      kind: str,
      filters: int = 64,
      *,
      pooling: bool = False,
      spatial: bottleneck.SpatialSettings = (
          bottleneck.SpatialSettings()),  # noqa: B008 (frozen)
      norm: normalization.BatchNormSettings = (
          normalization.BatchNormSettings()),  # noqa: B008 (frozen)
      standardize: bool = False,
      **kwargs):
    """Makes the layers.

    Args:
      kind: 'resnet' for one 7x7 convolution; 'inception' for three of 3x3, the
        last with twice the filters, as in Panoptic-DeepLab (section 3.2);
        'axial' for the three bottlenecks of the stand-alone model; for images
        of a few dozen pixels, 'small' for one 3x3 convolution of stride 1 and
        'small_inception' for those of 'inception' with stride 1;
        'wide' for one 3x3 convolution and three basic blocks of twice the
        filters, as in Wider ResNets.
      filters: channels of the first convolution, or of the middle of each
        bottleneck.
      pooling: whether a 3x3 max-pool of stride 2 follows, as in ResNet.
      spatial: settings of the bottlenecks' middles.
      norm: settings of the batch norms.
      standardize: whether images are standardized by ImageNet's mean and
        deviation, as in PyTorch's networks, rather than kept in -1..1.
      **kwargs: keyword arguments of keras.layers.Layer.

    Raises:
      errors.UserError: an unknown kind.
    """
    super().__init__(**kwargs)
    if kind not in KINDS:
      raise errors.UserError(
          f'Stem: expected kind {", ".join(map(repr, KINDS))}, got {kind!r}')
    self._keep(kind=kind, filters=filters, pooling=pooling, spatial=spatial,
               norm=norm, standardize=standardize)
    self._standardize = standardize
    if kind == 'resnet':
      self.convs = [convolution.ConvNorm(
          filters, 7, strides=2, relu=False, norm=norm, name='conv1')]
    elif kind == 'small':
      self.convs = [convolution.ConvNorm(
          filters, 3, relu=False, norm=norm, name='conv1')]
    elif kind in ('inception', 'small_inception'):
      self.convs = [
          convolution.ConvNorm(
              filters, 3, strides=stride(kind, pooling=False), norm=norm,
              name='conv1'),
          convolution.ConvNorm(filters, 3, norm=norm, name='conv2'),
          convolution.ConvNorm(
              2 * filters, 3, relu=False, norm=norm, name='conv3')]
    elif kind == 'wide':
      self.convs = [
          convolution.ConvNorm(
              filters, 3, strides=2, relu=False, norm=norm, name='conv1'),
          *(basic.BasicBlock(
              2 * filters, norm=norm, name=f'block{i + 1}') for i in range(3))]
    else:
      self.convs = [
          bottleneck.Bottleneck(
              filters, spatial, strides=2 if i == 0 else 1,
              activate_input=i > 0, norm=norm, name=f'block{i + 1}')
          for i in range(3)]
    named.keep(self, self.convs)
    self._pooling = pooling
    self._first_stride = stride(kind, pooling=False)

  def call(self, inputs, training=False, with_detail=False):
    """[batch, height, width, 3] -> [.., ceil(h/s), ceil(w/s), channels].

    Args:
      inputs: images.
      training: whether batch norm uses the statistics of this batch.
      with_detail: whether to return the features before max-pooling, too.
    """
    outputs = _standardized(inputs) if self._standardize else inputs
    for conv in self.convs:
      outputs = conv(outputs, training=training)
    detail = outputs
    if self._pooling:
      # XLA has no pooling with explicit padding.
      outputs = tf.pad(outputs, [[0, 0], [1, 1], [1, 1], [0, 0]],
                       constant_values=outputs.dtype.min)
      outputs = tf.nn.max_pool2d(outputs, 3, 2, padding='VALID')
    return (outputs, detail) if with_detail else outputs

  def multiply_adds(self, height: int, width: int) -> int:
    """Returns the multiply-adds of a built stem for one image of this size.

    Raises:
      errors.UserError: the stem is not built.
    """
    multiply_adds.require_built(self)
    first, *others = self.convs
    total = first.multiply_adds(height, width)
    height, width = (
        -(-size // self._first_stride) for size in (height, width))
    return total + sum(conv.multiply_adds(height, width) for conv in others)


def _standardized(images):
  """-1..1 -> mean 0 and deviation 1, over all images of ImageNet.

  Folded into the weights it would not be the same at the borders, where the
  convolution sees zeros.
  """
  mean, deviation = (tf.constant(x, images.dtype) for x in (
      _IMAGENET_MEAN, _IMAGENET_DEVIATION))
  return ((images + 1) / 2 - mean) / deviation
