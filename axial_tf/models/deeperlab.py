"""DeeperLab: one decoder, classes, and keypoints of instances with offsets.

No code of the paper has been published; see docs/deeperlab.md for what is
sourced, unconfirmed, or ours.
"""

import dataclasses
from typing import Dict, Tuple

import tensorflow as tf

from axial_tf import settings as settings_lib
from axial_tf.layers import aspp, named, resize
from axial_tf.layers import padding as padding_lib
from axial_tf.models import (
  backbones,
  image_sizes,
  panoptic_decoder,
  panoptic_network,
  space_to_depth_decoder,
  xception,
)
from axial_tf.panoptic.deeperlab import keypoints

_OUTPUT_STRIDE = 16
# Channels of the heads of instances.
_INSTANCE_HEADS = {
    'keypoint_logits': keypoints.COUNT,
    'long_offset': 2 * keypoints.COUNT,
    'short_offset': 2 * keypoints.COUNT,
    'middle_offset': 2 * len(keypoints.EDGES),
}


@dataclasses.dataclass(frozen=True)
class DeeperLabSettings:
  """Settings of the whole model.

  Attributes:
    backbone: settings of the backbone, of output stride 16.
    aspp_channels: channels of ASPP (unconfirmed).
    aspp_rates: dilations of ASPP (unconfirmed).
    low_level_channels: channels to which 'res2' is projected (unconfirmed).
    decoder_channels: channels of the features that all heads share, at stride
      4. The decoder itself has 16 times as many at stride 16: the paper's 4096.
    semantic_channels: channels of the semantic head before its last layer.
    instance_channels: the same of each head of instances.
    kernel_size: side of the kernels of the decoder and the heads.
    offset_scale: pixels of the small map per unit of the last layers of offset
      heads; see `panoptic_deeplab.PanopticDeepLabSettings`.
    padding: padding around images: 'edge' repeats their border, 'gray' is
      DeepLab2's.
  """
  backbone: backbones.BackboneSettings = xception.XceptionSettings()
  aspp_channels: int = 256
  aspp_rates: Tuple[int, ...] = (6, 12, 18)
  low_level_channels: int = 32
  decoder_channels: int = 256
  semantic_channels: int = 256
  instance_channels: int = 64
  kernel_size: int = 7
  offset_scale: float = 1.0
  padding: padding_lib.Padding = 'edge'

  def __post_init__(self):
    settings_lib.check_types(self)
    require = settings_lib.require
    for field in ('aspp_channels', 'low_level_channels', 'decoder_channels',
                  'semantic_channels', 'instance_channels'):
      require(getattr(self, field) >= 1, self, field, 'at least 1')
    require(self.aspp_rates and min(self.aspp_rates) >= 1, self, 'aspp_rates',
            'at least one number, each at least 1')
    require(self.kernel_size >= 1 and self.kernel_size % 2 == 1, self,
            'kernel_size', 'an odd number >= 1')
    require(self.offset_scale > 0, self, 'offset_scale', 'a number > 0')
    require(self.backbone.output_stride == _OUTPUT_STRIDE
            and not backbones.is_for_small_images(self.backbone), self,
            'backbone', 'output_stride = 16 and a stem other than those for '
            'small images: the decoder joins strides 16 and 4')

  @property
  def heads_stride(self) -> int:
    """Pixels of the image between two of the heads'."""
    return space_to_depth_decoder.BLOCK


class DeeperLab(panoptic_network.PanopticNetwork):
  """Images to semantic logits, keypoint heatmaps, and offsets to keypoints."""

  SETTINGS = DeeperLabSettings

  def __init__(self, settings: DeeperLabSettings, num_classes: int, **kwargs):
    """Makes the backbone, ASPP, the decoder and five heads.

    Args:
      settings: settings of all parts.
      num_classes: number of semantic outputs.
      **kwargs: keyword arguments of keras.Model.
    """
    super().__init__(settings, num_classes, **kwargs)
    norm = settings.backbone.norm
    self.aspp = aspp.ASPP(
        settings.aspp_channels, settings.aspp_rates, norm=norm, name='aspp')
    self.decoder = space_to_depth_decoder.SpaceToDepthDecoder(
        settings.low_level_channels, settings.decoder_channels,
        settings.kernel_size, norm, name='decoder')
    self.semantic_head = panoptic_decoder.Head(
        settings.semantic_channels, num_classes, norm, settings.kernel_size,
        name='semantic_head')
    self.instance_heads = [
        panoptic_decoder.Head(
            settings.instance_channels, channels, norm, settings.kernel_size,
            name=f'{name}_head')
        for name, channels in _INSTANCE_HEADS.items()]
    named.keep(self, self.instance_heads)

  def call(self, images, training=False, output_size=None,
           small_logits=False):
    """Segments images of any size.

    Args:
      images: float32 [batch, height, width, 3] in -1..1.
      training: whether batch norm uses the statistics of this batch.
      output_size: (height, width) of the semantic logits, whose corners are
        those of the images; None for the size of the images.
      small_logits: whether to return semantic logits as heads() does, for a
        loss that enlarges them in parts.

    Returns:
      All float32: 'semantic_logits' [batch, height, width, num_classes] at the
      output size, and at stride 4 of the padded images 'keypoint_logits'
      [batch, h, w, 5], 'long_offset' [..., 10], 'short_offset' [..., 10] and
      'middle_offset' [..., 16]: (y, x) in pixels of the images of each keypoint
      or edge, see `axial_tf.panoptic.deeperlab.keypoints`.
    """
    heads = self.heads(images, training=training)
    if small_logits:
      return heads
    return {**heads, 'semantic_logits': image_sizes.enlarge(
        heads['semantic_logits'], self._settings.heads_stride,
        resize.size_of(images), _OUTPUT_STRIDE, output_size)}

  def heads(self, images, training=False) -> Dict[str, tf.Tensor]:
    """As call(), but all at stride 4 of the padded images."""
    endpoints = self.backbone(self.pad(images), training=training)
    features = self.decoder(
        (self.aspp(endpoints['res5'], training=training), endpoints['res2']),
        training=training)
    outputs = {'semantic_logits': self.semantic_head(
        features, training=training)}
    unit = self._settings.heads_stride * self._settings.offset_scale
    for name, head in zip(_INSTANCE_HEADS, self.instance_heads):
      output = head(features, training=training)
      outputs[name] = unit * output if name.endswith('_offset') else output
    return outputs

  def _multiply_adds(self, height: int, width: int) -> int:
    deep = -(-height // _OUTPUT_STRIDE), -(-width // _OUTPUT_STRIDE)
    small = tuple(
        -(-size // self._settings.heads_stride) for size in (height, width))
    return (
        self.aspp.multiply_adds(*deep)
        + self.decoder.multiply_adds(deep, small)
        + sum(head.multiply_adds(*small) for head in (
            self.semantic_head, *self.instance_heads)))
