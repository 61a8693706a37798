"""Panoptic-DeepLab on an Axial-ResNet: Axial-DeepLab (paper, section 3.2)."""

import dataclasses
from typing import Dict, Literal

import tensorflow as tf

from axial_tf import settings as settings_lib
from axial_tf.layers import padding as padding_lib
from axial_tf.layers import resize
from axial_tf.models import (
  axial_resnet,
  backbones,
  image_sizes,
  panoptic_decoder,
  panoptic_network,
)


@dataclasses.dataclass(frozen=True)
class PanopticDeepLabSettings:
  """Settings of the whole model; the defaults are DeepLab2's Axial-DeepLab-L.

  Attributes:
    backbone: settings of the backbone.
    semantic: channels of the semantic decoder and head.
    instance: channels of the instance decoder and its two heads.
    offset_scale: pixels of the small map per unit of the offset head's last
      layer. Published implementations have 1; in a few hundred training steps
      its weights do not grow enough for the offsets of large instances, which
      a larger unit makes up for.
    decoder: settings of the layers of the two decoders.
    padding: padding around images: 'edge' repeats their border,
      'gray' is DeepLab2's.
    heads_stride: stride of the heads. 4 is the paper's; 2 adds the stem's
      features before any pooling to both decoders, for instances of a few
      pixels. The heads then see half the decoder's channels.
  """
  backbone: backbones.BackboneSettings = axial_resnet.AxialResNetSettings()
  semantic: panoptic_decoder.BranchSettings = (
      panoptic_decoder.BranchSettings())
  instance: panoptic_decoder.BranchSettings = panoptic_decoder.BranchSettings(
      res3_channels=32, res2_channels=16, decoder_channels=128,
      head_channels=32)
  offset_scale: float = 1.0
  decoder: panoptic_decoder.DecoderSettings = (
      panoptic_decoder.DecoderSettings())
  padding: padding_lib.Padding = 'edge'
  heads_stride: Literal[4, 2] = 4

  def __post_init__(self):
    settings_lib.check_types(self)
    require = settings_lib.require
    require(self.offset_scale > 0, self, 'offset_scale', 'a number > 0')
    # The decoders rely on strides 4 and 8.
    require(not backbones.is_for_small_images(self.backbone), self, 'backbone',
            "a stem other than those for small images")
    for field in ('semantic', 'instance'):
      branch = getattr(self, field)
      require(
          self.decoder.fusion != 'axial'
          or branch.decoder_channels % (4 * self.decoder.heads) == 0, self,
          field, f'decoder_channels of a multiple of {4 * self.decoder.heads} '
          f'with axial fusion, so that each head has a whole number of '
          f'channels')


class PanopticDeepLab(panoptic_network.PanopticNetwork):
  """Images to semantic logits, a heatmap of centers, and offsets to them."""

  SETTINGS = PanopticDeepLabSettings

  def __init__(self, settings: PanopticDeepLabSettings, num_classes: int,
               **kwargs):
    """Makes the backbone, two decoders and three heads.

    Args:
      settings: settings of all parts.
      num_classes: number of semantic outputs.
      **kwargs: keyword arguments of keras.Model.
    """
    super().__init__(settings, num_classes, **kwargs)
    norm = settings.backbone.norm
    semantic, instance = settings.semantic, settings.instance
    self.semantic_decoder = panoptic_decoder.Decoder(
        semantic, settings.decoder, norm, settings.heads_stride,
        name='semantic_decoder')
    self.instance_decoder = panoptic_decoder.Decoder(
        instance, settings.decoder, norm, settings.heads_stride,
        name='instance_decoder')
    self.semantic_head = panoptic_decoder.Head(
        semantic.head_channels, num_classes, norm, name='semantic_head')
    self.center_head = panoptic_decoder.Head(
        instance.head_channels, 1, norm, name='center_head')
    self.offset_head = panoptic_decoder.Head(
        instance.head_channels, 2, norm, name='offset_head')

  def call(self, images, training=False, output_size=None,
           small_logits=False):
    """Segments images of any size.

    Args:
      images: float32 [batch, height, width, 3] in -1..1.
      training: whether batch norm uses the statistics of this batch.
      output_size: (height, width) of the outputs, whose corners are those of
        the images; None for the size of the images.
      small_logits: whether to return semantic logits as heads() does, for a
        loss that enlarges them in parts.

    Returns:
      At the output size, all float32: 'semantic_logits' [batch, height, width,
      num_classes], 'center_heatmap' [batch, height, width] (linear) and
      'offset' [batch, height, width, 2], (y, x) in pixels of the images to the
      center.
    """
    size = resize.size_of(images)
    heads = self.heads(images, training=training)
    outputs = {
        key: image_sizes.enlarge(
            value, self._settings.heads_stride, size,
            self._settings.backbone.output_stride, output_size)
        for key, value in heads.items()
        if not (small_logits and key == 'semantic_logits')}
    return {
        **heads, **outputs,
        'center_heatmap': outputs['center_heatmap'][..., 0],
        # Offsets count pixels, which a larger map has more of.
        'offset': self._settings.heads_stride * outputs['offset'],
    }

  def heads(self, images, training=False) -> Dict[str, tf.Tensor]:
    """As call(), but at `heads_stride` of the padded images.

    The heatmap keeps its last axis, of size 1; offsets count pixels of the
    small map.
    """
    endpoints = self.backbone(
        self.pad(images), training=training,
        with_detail=self._settings.heads_stride == 2)
    semantic = self.semantic_decoder(endpoints, training=training)
    instance = self.instance_decoder(endpoints, training=training)
    return {
        'semantic_logits': self.semantic_head(semantic, training=training),
        'center_heatmap': self.center_head(instance, training=training),
        'offset': self._settings.offset_scale * self.offset_head(
            instance, training=training),
    }

  def _multiply_adds(self, height: int, width: int) -> int:
    stride = self._settings.backbone.output_stride
    small = tuple(
        -(-size // self._settings.heads_stride) for size in (height, width))
    return (
        sum(decoder.multiply_adds(height, width, stride) for decoder in (
            self.semantic_decoder, self.instance_decoder))
        + sum(head.multiply_adds(*small) for head in (
            self.semantic_head, self.center_head, self.offset_head)))
