"""SSAP: semantic logits and affinities of pixels at five strides.

A backbone, a decoder that adds features of coarse strides to those of finer
ones, and two branches at each level (SSAP, figure 3). Unknown are the channels,
the layers of decoder and branches, and what makes stride 64: those here are
ours.
"""

import dataclasses
from typing import Dict, List

import tensorflow as tf

from axial_tf import settings as settings_lib
from axial_tf.keras2 import keras
from axial_tf.layers import (
  convolution,
  multiply_adds,
  named,
  resize,
)
from axial_tf.layers import padding as padding_lib
from axial_tf.models import (
  axial_resnet,
  backbones,
  image_sizes,
  panoptic_decoder,
  panoptic_network,
)
from axial_tf.panoptic.ssap import windows

_COARSEST, _FINEST = windows.STRIDES[0], windows.STRIDES[-1]
_KERNEL_SIZE = 3


@dataclasses.dataclass(frozen=True)
class SSAPSettings:
  """Settings of the whole model; the defaults are a ResNet-101.

  Attributes:
    backbone: settings of the backbone. One with output stride 32 is the
      paper's; after one with less, more layers of stride 2 follow.
    decoder_channels: channels of the decoder's features at each level.
    branch_channels: channels in each branch, before its last layer.
    window: side of the window of affinities, odd. 5 is the paper's
      (confirmed by others that built on it).
    padding: padding around images: 'edge' repeats their border,
      'gray' is DeepLab2's.
  """
  backbone: backbones.BackboneSettings = axial_resnet.AxialResNetSettings(
      stem='resnet', stem_width_multiplier=1.0, spatial='convolution',
      span=None, blocks=(3, 4, 23, 3), output_stride=32)
  decoder_channels: int = 256
  branch_channels: int = 256
  window: int = 5
  padding: padding_lib.Padding = 'edge'

  def __post_init__(self):
    settings_lib.check_types(self)
    require = settings_lib.require
    require(not backbones.is_for_small_images(self.backbone), self, 'backbone',
            'a stem other than those for small images')
    for field in ('decoder_channels', 'branch_channels'):
      require(getattr(self, field) >= 1, self, field, 'at least 1')
    require(self.window >= 3 and self.window % 2 == 1, self, 'window',
            'an odd number from 3 on')

  @property
  def heads_stride(self) -> int:
    """Stride of the finest heads."""
    return _FINEST


class SSAP(panoptic_network.PanopticNetwork):
  """Images to semantic logits and affinities at strides 4 to 64."""

  SETTINGS = SSAPSettings

  def __init__(self, settings: SSAPSettings, num_classes: int, **kwargs):
    """Makes the backbone and the levels.

    Args:
      settings: settings of all parts.
      num_classes: number of semantic outputs.
      **kwargs: keyword arguments of keras.Model.
    """
    super().__init__(settings, num_classes, **kwargs)
    self.downsampling = [
        convolution.ConvNorm(
            settings.decoder_channels, 3, strides=2,
            norm=settings.backbone.norm, name=f'downsampling_{stride}')
        for stride in self._missing_strides()]
    self.levels = [
        Level(settings, num_classes, name=f'level_{stride}')
        for stride in windows.STRIDES]
    named.keep(self, self.downsampling + self.levels)

  def call(self, images, training=False, output_size=None,
           small_logits=False):
    """Computes the maps of images of any size.

    Args:
      images: float32 [batch, height, width, 3] in -1..1.
      training: whether batch norm uses the statistics of this batch.
      output_size: (height, width) of 'semantic_logits', whose corners are those
        of the images; None for the size of the images.
      small_logits: whether to return 'semantic_logits' of stride 4, for a loss
        that enlarges them in parts.

    Returns:
      float32 'semantic_logits' [batch, height, width, num_classes] and, for
      each stride S of 64, 32, 16, 8 and 4, of the padded images (see `pad`),
      'semantic_logits_S' [batch, h, w, num_classes] and 'affinity_logits_S'
      [batch, h, w, window * window], whose channels are in the order of
      `panoptic.ssap.windows`.
    """
    heads = self.heads(images, training=training)
    logits = heads[f'semantic_logits_{_FINEST}']
    if not small_logits:
      logits = image_sizes.enlarge(
          logits, _FINEST, resize.size_of(images), _COARSEST, output_size)
    return {'semantic_logits': logits, **heads}

  def heads(self, images, training=False) -> Dict[str, tf.Tensor]:
    """Returns the outputs of call() that have strides of their own."""
    endpoints = self._endpoints(images, training)
    outputs, features = {}, None
    for stride, level in zip(windows.STRIDES, self.levels):
      features, semantic, affinity = level(
          endpoints[stride], features, training=training)
      outputs[f'semantic_logits_{stride}'] = semantic
      outputs[f'affinity_logits_{stride}'] = affinity
    return outputs

  @property
  def _largest_stride(self) -> int:
    return _COARSEST

  def _missing_strides(self) -> List[int]:
    """Lists the strides that the backbone does not have, ascending."""
    return [stride for stride in reversed(windows.STRIDES)
            if stride > self._settings.backbone.output_stride]

  def _endpoints(self, images, training) -> Dict[int, tf.Tensor]:
    """Returns the encoder's features by their stride, 4 to 64."""
    endpoints = self.backbone(self.pad(images), training=training)
    # The deepest features of a stride remain.
    found = {
        min(2**stage, self._settings.backbone.output_stride):
            endpoints[f'res{stage}'] for stage in range(2, 6)}
    features = endpoints['res5']
    for stride, layer in zip(self._missing_strides(), self.downsampling):
      features = found[stride] = layer(features, training=training)
    return found

  def _multiply_adds(self, height: int, width: int) -> int:
    def size(stride):
      return -(-height // stride), -(-width // stride)

    total = 0
    for stride, layer in zip(self._missing_strides(), self.downsampling):
      total += layer.multiply_adds(*size(stride // 2))
    for stride, level in zip(windows.STRIDES, self.levels):
      total += level.multiply_adds(*size(stride))
    return total


class Level(keras.layers.Layer):
  """The decoder and both branches at one stride."""

  def __init__(self, settings: SSAPSettings, num_classes: int, **kwargs):
    super().__init__(**kwargs)
    norm = settings.backbone.norm
    self.lateral = convolution.ConvNorm(
        settings.decoder_channels, 1, relu=False, norm=norm, name='lateral')
    self.fusion = convolution.ConvNorm(
        settings.decoder_channels, 3, norm=norm, name='fusion')
    self.semantic = panoptic_decoder.Head(
        settings.branch_channels, num_classes, norm, _KERNEL_SIZE,
        separable=False, name='semantic')
    self.affinity = panoptic_decoder.Head(
        settings.branch_channels, windows.channels(settings.window), norm,
        _KERNEL_SIZE, separable=False, name='affinity')

  def call(self, endpoint, coarser=None, training=False):
    """Adds the features of the next coarser level, enlarged.

    Args:
      endpoint: [batch, h, w, c], the encoder's features of this stride.
      coarser: the first result of the next coarser level; None for none.
      training: whether batch norm uses the statistics of this batch.

    Returns:
      Features [batch, h, w, decoder_channels], float32 semantic logits
      [batch, h, w, num_classes] and affinity logits [batch, h, w,
      window * window].
    """
    features = self.lateral(endpoint, training=training)
    if coarser is not None:
      features += resize.resize(coarser, resize.size_of(features))
    features = self.fusion(tf.nn.relu(features), training=training)
    return (features, self.semantic(features, training=training),
            self.affinity(features, training=training))

  def multiply_adds(self, height: int, width: int) -> int:
    """Returns the multiply-adds of a built level for one map of this size.

    Raises:
      errors.UserError: the level is not built.
    """
    multiply_adds.require_built(self)
    return sum(layer.multiply_adds(height, width) for layer in (
        self.lateral, self.fusion, self.semantic, self.affinity))
