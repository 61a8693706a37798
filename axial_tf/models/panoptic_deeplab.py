"""Panoptic-DeepLab on an Axial-ResNet: Axial-DeepLab (paper, section 3.2)."""

import dataclasses
from typing import Dict

import tensorflow as tf

from axial_tf import settings as settings_lib
from axial_tf.layers import convolution, normalization, resize
from axial_tf.models import axial_resnet

_KERNEL_SIZE = 5
_HEADS_STRIDE = 4


@dataclasses.dataclass(frozen=True)
class BranchSettings:
  """Channels of one decoder and its heads; defaults: the semantic branch.

  Attributes:
    projection_channels: after the 1x1 convolution that stands for ASPP.
    res3_channels: to which 'res3' is projected.
    res2_channels: to which 'res2' is projected.
    decoder_channels: after each fusion.
    head_channels: in each head, ahead of its last layer.
  """
  projection_channels: int = 256
  res3_channels: int = 64
  res2_channels: int = 32
  decoder_channels: int = 256
  head_channels: int = 256

  def __post_init__(self):
    settings_lib.check_types(self)
    for field in dataclasses.fields(self):
      settings_lib.require(
          getattr(self, field.name) >= 1, self, field.name, 'at least 1')


@dataclasses.dataclass(frozen=True)
class PanopticDeepLabSettings:
  """Settings of the whole model; the defaults are Axial-DeepLab-L.

  Attributes:
    backbone: settings of the Axial-ResNet.
    semantic: channels of the semantic decoder and head.
    instance: channels of the instance decoder and its two heads.
    offset_scale: pixels of the small map per unit of the offset head's last
      layer. The published codes have 1; in trainings of a few hundred steps
      its weights do not grow to the offsets of large instances, and a larger
      unit takes the place of that growth.
  """
  backbone: axial_resnet.AxialResNetSettings = (
      axial_resnet.AxialResNetSettings())
  semantic: BranchSettings = BranchSettings()
  instance: BranchSettings = BranchSettings(
      res3_channels=32, res2_channels=16, decoder_channels=128,
      head_channels=32)
  offset_scale: float = 1.0

  def __post_init__(self):
    settings_lib.check_types(self)
    settings_lib.require(
        self.offset_scale > 0, self, 'offset_scale', 'a number > 0')


class Decoder(tf.keras.layers.Layer):
  """Brings 'res5' to stride 4 with the help of 'res3' and 'res2'."""

  def __init__(self, branch: BranchSettings,
               norm: normalization.BatchNormSettings, **kwargs):
    super().__init__(**kwargs)
    self.projection = convolution.ConvNorm(
        branch.projection_channels, 1, norm=norm, name='projection')
    self.low_levels, self.fusions = {}, {}
    for level, channels in (('res3', branch.res3_channels),
                            ('res2', branch.res2_channels)):
      self.low_levels[level] = convolution.ConvNorm(
          channels, 1, norm=norm, name=f'{level}_projection')
      self.fusions[level] = convolution.SeparableConvNorm(
          branch.decoder_channels, _KERNEL_SIZE, norm=norm,
          name=f'{level}_fusion')

  def call(self, endpoints, training=False):
    """Endpoints of the backbone -> [batch, h / 4, w / 4, decoder_channels]."""
    features = self.projection(endpoints['res5'], training=training)
    for level, low_level in self.low_levels.items():
      detail = low_level(endpoints[level], training=training)
      features = resize.resize(features, resize.size_of(detail))
      features = self.fusions[level](
          tf.concat([features, detail], axis=-1), training=training)
    return features


class Head(tf.keras.layers.Layer):
  """A 5x5 separable convolution and a linear 1x1 convolution."""

  def __init__(self, hidden_channels: int, output_channels: int,
               norm: normalization.BatchNormSettings, **kwargs):
    super().__init__(**kwargs)
    self.hidden = convolution.SeparableConvNorm(
        hidden_channels, _KERNEL_SIZE, norm=norm, name='hidden')
    self.last = tf.keras.layers.Conv2D(
        output_channels, 1, name='last',
        kernel_initializer=tf.keras.initializers.TruncatedNormal(stddev=0.01))

  def call(self, features, training=False):
    """[batch, height, width, c] -> float32 [.., output_channels]."""
    outputs = self.last(self.hidden(features, training=training))
    return outputs if outputs.dtype == tf.float64 else tf.cast(
        outputs, tf.float32)


class PanopticDeepLab(tf.keras.Model):
  """Images to semantic logits, a heatmap of centers, and offsets to them."""

  def __init__(self, settings: PanopticDeepLabSettings, num_classes: int,
               **kwargs):
    """Makes the backbone, two decoders and three heads.

    Args:
      settings: of all parts.
      num_classes: number of semantic outputs.
      **kwargs: of tf.keras.Model.
    """
    super().__init__(**kwargs)
    self._settings = settings
    self._num_classes = num_classes
    norm = settings.backbone.norm
    semantic, instance = settings.semantic, settings.instance
    self.backbone = axial_resnet.AxialResNet(
        settings.backbone, name='backbone')
    self.semantic_decoder = Decoder(semantic, norm, name='semantic_decoder')
    self.instance_decoder = Decoder(instance, norm, name='instance_decoder')
    self.semantic_head = Head(
        semantic.head_channels, num_classes, norm, name='semantic_head')
    self.center_head = Head(
        instance.head_channels, 1, norm, name='center_head')
    self.offset_head = Head(
        instance.head_channels, 2, norm, name='offset_head')

  def call(self, images, training=False):
    """Segments images of any size.

    Args:
      images: float32 [batch, height, width, 3] in -1..1.
      training: whether batch norm uses the statistics of this batch.

    Returns:
      At the size of the images, all float32: 'semantic_logits' [batch, height,
      width, num_classes], 'center_heatmap' [batch, height, width] (linear) and
      'offset' [batch, height, width, 2], (y, x) in pixels to the center.
    """
    height, width = resize.size_of(images)
    heads = self.heads(images, training=training)
    return {
        'semantic_logits': self._enlarge(
            heads['semantic_logits'], height, width),
        'center_heatmap': self._enlarge(
            heads['center_heatmap'], height, width)[..., 0],
        # Offsets count pixels, which a larger map has more of.
        'offset': _HEADS_STRIDE * self._enlarge(
            heads['offset'], height, width),
    }

  def heads(self, images, training=False) -> Dict[str, tf.Tensor]:
    """As call(), but at stride 4 of the padded images.

    The heatmap keeps its last axis, of size 1; offsets count pixels of the
    small map.
    """
    endpoints = self.backbone(self._pad(images), training=training)
    semantic = self.semantic_decoder(endpoints, training=training)
    instance = self.instance_decoder(endpoints, training=training)
    return {
        'semantic_logits': self.semantic_head(semantic, training=training),
        'center_heatmap': self.center_head(instance, training=training),
        'offset': self._settings.offset_scale * self.offset_head(
            instance, training=training),
    }

  def _pad(self, images):
    """Pads (gray, right and bottom) to k * output_stride + 1, k at least 1.

    With such sizes the corners of all feature maps lie on each other.
    """
    margins = [[0, target - size] for size, target in (
        (size, self._legal_size(size)) for size in resize.size_of(images))]
    if all(isinstance(m, int) and m == 0 for _, m in margins):
      return images
    return tf.pad(images, [[0, 0], *margins, [0, 0]])

  def _legal_size(self, size):
    stride = self._settings.backbone.output_stride
    count = -(-(size - 1) // stride)
    if isinstance(count, int):
      count = max(count, 1)
    else:
      count = tf.maximum(count, 1)
    return count * stride + 1

  def _enlarge(self, outputs, height, width):
    """Resizes from stride 4 to the padded images, and crops the padding."""
    size = self._legal_size(height), self._legal_size(width)
    return resize.resize(outputs, size)[:, :height, :width]

  def get_config(self):
    return {'name': self.name, 'num_classes': self._num_classes,
            'settings': dataclasses.asdict(self._settings)}

  @classmethod
  def from_config(cls, config):
    parts = config['settings']
    settings = PanopticDeepLabSettings(
        backbone=axial_resnet.settings_from_config(parts['backbone']),
        semantic=BranchSettings(**parts['semantic']),
        instance=BranchSettings(**parts['instance']),
        offset_scale=parts['offset_scale'])
    return cls(settings, config['num_classes'], name=config['name'])
