"""ResNets with attention in their last stages, as DeepLab2 publishes them.

Fine stages are convolutional, those from some stride on have axial
attention: the backbones of MaX-DeepLab and Axial-SWideRNet, with neither their
memory path nor their decoders. Without attention, the wide one is
Wide-ResNet-41. Unlike in ResNet there is no max-pooling: the first block of the
first stage has its stride. The structure is that of google-research/deeplab2,
so that its weights fit.
"""

import dataclasses
import itertools
from typing import Literal, Optional, Tuple

from axial_tf import settings as settings_lib
from axial_tf.layers import named, normalization, stem
from axial_tf.layers.attention import settings as attention_settings
from axial_tf.layers.residual import basic, bottleneck
from axial_tf.models import staged_backbone

# Channels in the first bottlenecks' middle; a block's output has 4 times that.
_FILTERS = 64
_EXPANSION = 4
_STEM_STRIDE = 2
_FIRST_STAGE_STRIDE = 4


@dataclasses.dataclass(frozen=True)
class HybridResNetSettings:
  """Settings of a backbone; the defaults are those of MaX-DeepLab-S.

  Attributes:
    width_multiplier: width multiplier of all channels after the stem.
    stem_width_multiplier: width multiplier of the stem's channels.
    blocks: number of blocks in each of the four stages.
    wide: whether this is a Wider ResNet: with its stem (one 3x3 convolution and
      three basic blocks, rather than three convolutions), basic blocks in the
      first three stages, a bottleneck of growing width in the last one, and
      twice the channels in the attention.
    attention_stride: blocks whose input has this stride, or would have it at
      output stride 32, have axial attention; None for convolutions only.
    heads: number of heads of every attention layer.
    span: span of every attention layer, an odd number; None for the whole axis,
      the only choice in DeepLab2.
    output_stride: stride of 'res5': 32, or less by dropping strides of the
      last stages; 3x3 convolutions after a dropped stride are dilated.
    drop_path_rate: rate of drop path in the last stage; earlier ones have 3/4,
      2/4, 1/4 of it.
    recompute: what the backward pass recomputes to save memory: 'axial' for
      the attention layers, 'all' for the blocks' branches, None.
    norm: settings of all batch norms.
  """
  width_multiplier: float = 1.0
  stem_width_multiplier: float = 1.0
  blocks: Tuple[int, int, int, int] = (3, 4, 6, 3)
  wide: bool = False
  attention_stride: Optional[int] = 16
  heads: int = 8
  span: Optional[int] = None
  output_stride: int = 16
  drop_path_rate: float = 0.0
  recompute: Optional[Literal['axial', 'all']] = None
  norm: normalization.BatchNormSettings = normalization.BatchNormSettings()

  def __post_init__(self):
    settings_lib.check_types(self)
    require = settings_lib.require
    require(self.output_stride in (8, 16, 32), self, 'output_stride',
            '8, 16 or 32')
    require(min(self.blocks) >= 1, self, 'blocks', 'at least one per stage')
    require(self.attention_stride in (None, 2, 4, 8, 16, 32), self,
            'attention_stride', '2, 4, 8, 16, 32 or None')
    require(0 <= self.drop_path_rate < 1, self, 'drop_path_rate', '0 <= x < 1')
    filters = _FILTERS * self.width_multiplier
    require(filters > 0 and filters % self.heads == 0, self,
            'width_multiplier', f'a multiple of {self.heads / _FILTERS}, so '
            f'that each head has a whole number of channels')
    stem_filters = _FILTERS * self.stem_width_multiplier
    require(stem_filters >= 1 and stem_filters == int(stem_filters), self,
            'stem_width_multiplier', f'a multiple of {1 / _FILTERS}')
    _ = self.spatial_settings  # Checks heads and span.

  @property
  def spatial_settings(self) -> bottleneck.SpatialSettings:
    return bottleneck.SpatialSettings(
        attention=attention_settings.AttentionSettings(
            heads=self.heads, span=self.span, norm=self.norm))

  @property
  def stem_stride(self) -> int:
    return _STEM_STRIDE

  def attends(self, place: staged_backbone.Place) -> bool:
    """Whether a block has attention."""
    stride = _FIRST_STAGE_STRIDE << place.stage
    if place.block == 0:
      stride //= 2
    return self.attention_stride is not None and (
        stride >= self.attention_stride)


class HybridResNet(staged_backbone.StagedBackbone):
  """The backbone: images to a dict of endpoints."""

  def __init__(self, settings: HybridResNetSettings, **kwargs):
    super().__init__(settings, **kwargs)
    self.stem = stem.Stem(
        'wide' if settings.wide else 'inception',
        int(_FILTERS * settings.stem_width_multiplier), norm=settings.norm,
        name='stem')
    self.stages = [[] for _ in settings.blocks]
    for place in staged_backbone.places(
        settings.blocks, stem_stride=_STEM_STRIDE,
        first_stage_stride=_FIRST_STAGE_STRIDE,
        output_stride=settings.output_stride):
      self.stages[place.stage].append(_block(settings, place))
    named.keep(self, itertools.chain(*self.stages))


def _block(settings, place):
  """Returns the block for a place in the network."""
  filters = int(_FILTERS * settings.width_multiplier) << place.stage
  output_channels = _EXPANSION * filters
  options = dict(
      strides=place.strides, dilation=place.dilation, norm=settings.norm,
      drop_path_rate=settings.drop_path_rate * (place.stage + 1) / 4,
      name=place.name)
  convolutions_recompute = 'all' if settings.recompute == 'all' else None
  if settings.attends(place):
    # The middle of wide networks has as many channels as the block's output.
    return bottleneck.Bottleneck(
        (4 if settings.wide else 2) * filters, settings.spatial_settings,
        output_channels=output_channels, recompute=settings.recompute,
        **options)
  if settings.wide and place.stage < 3:
    return basic.BasicBlock(
        output_channels, last_dilation=place.next_dilation,
        recompute=convolutions_recompute, **options)
  return bottleneck.Bottleneck(
      (2 if settings.wide else 1) * filters,
      bottleneck.SpatialSettings('convolution'), reduced_channels=filters,
      output_channels=output_channels, recompute=convolutions_recompute,
      **options)
