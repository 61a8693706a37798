"""Axial-ResNet: a ResNet whose 3x3 convolutions are attention.

The same class makes the paper's baselines, ResNet itself and ResNet with local
attention, which differ only in the middle of the bottlenecks.
"""

import dataclasses
import itertools
from typing import Literal, Optional, Tuple

from axial_tf import settings as settings_lib
from axial_tf.layers import named, normalization
from axial_tf.layers import stem as stem_lib
from axial_tf.layers.attention import settings as attention_settings
from axial_tf.layers.residual import bottleneck
from axial_tf.models import staged_backbone

# Channels of the first stage's output at width multiplier 1, as in ResNet-50;
# axial attention has half of it as values (section 4.1).
_FIRST_STAGE_CHANNELS = 256
_STEM_FILTERS = 64


@dataclasses.dataclass(frozen=True)
class AxialResNetSettings:
  """Settings of a backbone; the defaults are those of Axial-DeepLab-L.

  Attributes:
    width_multiplier: width multiplier of all channels after the stem (section
      4.1).
    stem_width_multiplier: width multiplier of the stem's channels; None
      for `width_multiplier`. DeepLab2 has 1. docs/fidelity.md says which fits
      the paper's counts.
    blocks: number of blocks in each of the four stages.
    spatial: the middle of the bottlenecks: 'axial' attention, 'local'
      attention in a square window, or 3x3 'convolution' (ResNet itself).
    heads: number of heads of every attention layer.
    span: span of every attention layer after the stem, an odd number; None for
      the whole axis. Local attention has windows of span x span pixels.
    terms: which terms of the attention's logits and values are in use.
    activation: activation of the attention's logits.
    attention_norm: whether the attention has its own batch norms.
    average_pooling: whether strided axial attention averages pixels after both
      axes, as in the authors' PyTorch code, rather than skipping them.
    output_stride: stride of 'res5': 32, or less by dropping strides of the
      last stages; 3x3 convolutions after a dropped stride are dilated.
    stem: 'resnet' (one 7x7 convolution), 'inception' (three of 3x3), 'axial'
      (three bottlenecks with axial attention), or for images of a few dozen
      pixels 'small' (one 3x3 convolution of stride 1) or 'small_inception'
      (three of them). With these two the first stage keeps the stride of the
      stem, 1 or with pooling 2, and 'res5' has up to 8 times that.
    stem_span: span of the attention of an axial stem.
    stem_pooling: whether max-pooling ends the stem, which brings stride 4
      before the first stage; otherwise its first block has stride 2.
    standardize_images: whether the stem first standardizes images (in -1..1) by
      ImageNet's mean and deviation, as weights from PyTorch expect.
    drop_path_rate: rate of drop path in the last stage; earlier ones have 3/4,
      2/4, 1/4 of it.
    recompute: what the backward pass recomputes to save memory: 'axial' for
      the attention layers, 'all' for the blocks' branches, None.
    norm: settings of all batch norms.
  """
  width_multiplier: float = 1.0
  stem_width_multiplier: Optional[float] = None
  blocks: Tuple[int, int, int, int] = (3, 4, 6, 3)
  spatial: Literal['axial', 'local', 'convolution'] = 'axial'
  heads: int = 8
  span: Optional[int] = 65
  terms: attention_settings.AttentionTerms = (
      attention_settings.AttentionTerms())
  activation: Literal['softmax', 'sigmoid'] = 'softmax'
  attention_norm: bool = True
  average_pooling: bool = False
  output_stride: int = 16
  stem: Literal['resnet', 'inception', 'axial', 'small',
                'small_inception'] = 'inception'
  stem_span: Optional[int] = 15
  stem_pooling: bool = True
  standardize_images: bool = False
  drop_path_rate: float = 0.0
  recompute: Optional[Literal['axial', 'all']] = None
  norm: normalization.BatchNormSettings = normalization.BatchNormSettings()

  def __post_init__(self):
    settings_lib.check_types(self)
    require = settings_lib.require
    strides = [self.first_stage_stride << level for level in (1, 2, 3)]
    require(self.output_stride in strides, self, 'output_stride',
            f'{strides[0]}, {strides[1]} or {strides[2]} with this stem')
    require(min(self.blocks) >= 1, self, 'blocks', 'at least one per stage')
    # Its blocks are also run one by one, to draw their attention.
    require(self.stem != 'axial' or not self.standardize_images, self,
            'standardize_images', 'False with an axial stem')
    require(0 <= self.drop_path_rate < 1, self, 'drop_path_rate', '0 <= x < 1')
    attention_settings.check_span(
        type(self).__name__, 'stem_span', self.stem_span)
    _ = self.spatial_settings  # Checks the bottleneck's settings.
    require(self.recompute != 'axial' or self.spatial != 'convolution', self,
            'recompute', "'all' or None in a net of convolutions")
    # Keys have as many channels as the middle of ResNet's bottleneck.
    keys = _FIRST_STAGE_CHANNELS / 4 * self.width_multiplier
    parts = 1 if self.spatial == 'convolution' else self.heads
    require(
        keys > 0 and keys % parts == 0, self, 'width_multiplier',
        f'a multiple of {4 * parts / _FIRST_STAGE_CHANNELS}, so that each '
        f'of the {parts} heads has a whole number of channels')
    stem_parts = 2 * self.heads if self.stem == 'axial' else 1
    require(self.stem_filters >= 1 and self.stem_filters % stem_parts == 0,
            self, 'stem_width_multiplier',
            f'a multiple of {stem_parts / _STEM_FILTERS} (None: as '
            f'width_multiplier)')

  @property
  def attention(self) -> attention_settings.AttentionSettings:
    """Settings of the attention layers after the stem."""
    return attention_settings.AttentionSettings(
        heads=self.heads, span=self.span, terms=self.terms,
        activation=self.activation,
        norm=self.norm if self.attention_norm else None)

  @property
  def spatial_settings(self) -> bottleneck.SpatialSettings:
    return bottleneck.SpatialSettings(
        self.spatial, self.attention, self.average_pooling)

  @property
  def stem_settings(self) -> bottleneck.SpatialSettings:
    """Settings of the bottlenecks of an axial stem."""
    attention = dataclasses.replace(self.attention, span=self.stem_span)
    return bottleneck.SpatialSettings(
        'axial', attention, self.average_pooling)

  @property
  def first_stage_filters(self) -> int:
    """Channels in the middle of the bottlenecks of the first stage."""
    return int(_FIRST_STAGE_CHANNELS * self.width_multiplier
               / self.spatial_settings.expansion)

  @property
  def stem_stride(self) -> int:
    return stem_lib.stride(self.stem, self.stem_pooling)

  @property
  def first_stage_stride(self) -> int:
    """Stride of 'res2'; each later stage doubles it, up to `output_stride`."""
    return self.stem_stride if self.stem in stem_lib.SMALL else 4

  @property
  def stem_filters(self) -> float:
    multiplier = self.stem_width_multiplier
    if multiplier is None:
      multiplier = self.width_multiplier
    return _STEM_FILTERS * multiplier


class AxialResNet(staged_backbone.StagedBackbone):
  """The backbone: images to a dict of endpoints."""

  def __init__(self, settings: AxialResNetSettings, **kwargs):
    super().__init__(settings, **kwargs)
    self.stem = stem_lib.Stem(
        settings.stem, int(settings.stem_filters),
        pooling=settings.stem_pooling, spatial=settings.stem_settings,
        norm=settings.norm, standardize=settings.standardize_images,
        name='stem')
    self.stages = [[] for _ in settings.blocks]
    for place in staged_backbone.places(
        settings.blocks, stem_stride=settings.stem_stride,
        first_stage_stride=settings.first_stage_stride,
        output_stride=settings.output_stride):
      self.stages[place.stage].append(bottleneck.Bottleneck(
          settings.first_stage_filters << place.stage,
          settings.spatial_settings, strides=place.strides,
          dilation=place.dilation, recompute=settings.recompute,
          norm=settings.norm,
          drop_path_rate=settings.drop_path_rate * (place.stage + 1) / 4,
          name=place.name))
    named.keep(self, itertools.chain(*self.stages))
