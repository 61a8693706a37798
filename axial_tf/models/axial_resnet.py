"""Axial-ResNet: a ResNet whose 3x3 convolutions are axial attention."""

import dataclasses
from typing import Dict, Literal, Optional, Tuple

import tensorflow as tf

from axial_tf import errors
from axial_tf import settings as settings_lib
from axial_tf.layers import axial_block, normalization, stem

# Of the values in the first stage, at width multiplier 1 (section 4.1).
_FIRST_STAGE_FILTERS = 128
_STEM_FILTERS = 64


@dataclasses.dataclass(frozen=True)
class AxialResNetSettings:
  """Settings of a backbone; the defaults are those of Axial-DeepLab-L.

  Attributes:
    width_multiplier: of all channels behind the stem (section 4.1).
    stem_width_multiplier: of the stem's channels; None for that of the width,
      with which the paper's multiply-adds are met best. DeepLab2 has 1.
    blocks: number of blocks in each of the four stages.
    heads: of every attention layer.
    span: of every attention layer, an odd number; None for the whole axis.
    output_stride: of 'res5': 32, or less by dropping strides of last stages.
    stem: 'resnet' (one 7x7 convolution) or 'inception' (three of 3x3).
    stem_pooling: whether max-pooling brings stride 4 ahead of the first stage;
      otherwise the first block of that stage has stride 2.
    drop_path_rate: of the last stage; earlier ones have 3/4, 2/4, 1/4 of it.
    norm: settings of all batch norms.
  """
  width_multiplier: float = 1.0
  stem_width_multiplier: Optional[float] = None
  blocks: Tuple[int, int, int, int] = (3, 4, 6, 3)
  heads: int = 8
  span: Optional[int] = 65
  output_stride: int = 16
  stem: Literal['resnet', 'inception'] = 'inception'
  stem_pooling: bool = False
  drop_path_rate: float = 0.0
  norm: normalization.BatchNormSettings = normalization.BatchNormSettings()

  def __post_init__(self):
    settings_lib.check_types(self)
    require = settings_lib.require
    require(self.output_stride in (8, 16, 32), self, 'output_stride',
            '8, 16 or 32')
    require(min(self.blocks) >= 1, self, 'blocks', 'at least one per stage')
    require(0 <= self.drop_path_rate < 1, self, 'drop_path_rate', '0 <= x < 1')
    require(self.span is None or (self.span > 0 and self.span % 2 == 1), self,
            'span', 'a positive odd number, or None for the whole axis')
    require(self.heads >= 1, self, 'heads', 'at least 1')
    filters = _FIRST_STAGE_FILTERS * self.width_multiplier
    require(
        filters > 0 and filters % (2 * self.heads) == 0, self,
        'width_multiplier',
        f'a multiple of {2 * self.heads / _FIRST_STAGE_FILTERS}, so that each '
        f'of the {self.heads} heads has a whole number of channels')
    require(self.stem_filters >= 1 and self.stem_filters % 1 == 0, self,
            'stem_width_multiplier',
            f'a multiple of {1 / _STEM_FILTERS} (None: as width_multiplier)')

  @property
  def first_stage_filters(self) -> int:
    return int(_FIRST_STAGE_FILTERS * self.width_multiplier)

  @property
  def stem_filters(self) -> float:
    multiplier = self.stem_width_multiplier
    if multiplier is None:
      multiplier = self.width_multiplier
    return _STEM_FILTERS * multiplier


def _classification(width_multiplier):
  """Conv-Stem + Axial-Attention of table 1, with global attention."""
  return AxialResNetSettings(
      width_multiplier=width_multiplier, span=None, output_stride=32,
      stem='resnet', stem_pooling=True)


def _segmentation(width_multiplier):
  """Section 3.2: three-convolution stem, no stride in the last stage."""
  return AxialResNetSettings(width_multiplier=width_multiplier)


VARIANTS: Dict[str, AxialResNetSettings] = {
    'axial_resnet_s': _classification(0.5),
    'axial_resnet_m': _classification(0.75),
    'axial_resnet_l': _classification(1.0),
    'axial_resnet_xl': _classification(2.0),
    'axial_deeplab_s': _segmentation(0.5),
    'axial_deeplab_m': _segmentation(0.75),
    'axial_deeplab_l': _segmentation(1.0),
    'axial_deeplab_xl': _segmentation(2.0),
}


def variant_settings(variant: str, **overrides) -> AxialResNetSettings:
  """Returns a row of VARIANTS with those fields replaced that are not None.

  Args:
    variant: key of VARIANTS.
    **overrides: fields of AxialResNetSettings; None keeps the variant's value
      (for a global span, which is None itself, give span=0).

  Raises:
    errors.UserError: an unknown variant or field, or a value out of range.
  """
  if variant not in VARIANTS:
    raise errors.UserError(
        f'variant: expected one of {", ".join(VARIANTS)}; got {variant!r}')
  known = [f.name for f in dataclasses.fields(AxialResNetSettings)]
  unknown = sorted(set(overrides) - set(known))
  if unknown:
    raise errors.UserError(
        f'variant_settings: expected only {", ".join(known)}; got '
        f'{", ".join(unknown)}')
  overrides = {k: v for k, v in overrides.items() if v is not None}
  if overrides.get('span') == 0:
    overrides['span'] = None
  return dataclasses.replace(VARIANTS[variant], **overrides)


class AxialResNet(tf.keras.Model):
  """The backbone: images to a dict of endpoints."""

  def __init__(self, settings: AxialResNetSettings, **kwargs):
    super().__init__(**kwargs)
    self._settings = settings
    self.stem = stem.Stem(
        settings.stem, int(settings.stem_filters),
        pooling=settings.stem_pooling, norm=settings.norm, name='stem')
    stride = 4 if settings.stem_pooling else 2
    self.stages = []
    for index, count in enumerate(settings.blocks):
      target_stride = min(4 << index, settings.output_stride)
      blocks = []
      for block in range(count):
        blocks.append(axial_block.AxialBlock(
            settings.first_stage_filters << index,
            strides=target_stride // stride, heads=settings.heads,
            span=settings.span, norm=settings.norm,
            drop_path_rate=settings.drop_path_rate * (index + 1) / 4,
            name=f'stage{index + 2}_block{block + 1}'))
        stride = target_stride
      self.stages.append(blocks)

  def call(self, images, training=False):
    """Computes the endpoints.

    Args:
      images: float [batch, height, width, 3] in -1..1, of any size.
      training: whether batch norm uses the statistics of this batch.

    Returns:
      Activated features: 'stem' (stride 2, or 4 with pooling) and 'res2' to
      'res5' (strides 4, 8, 16, 32, at most the output stride).
    """
    features = self.stem(images, training=training)
    endpoints = {'stem': tf.nn.relu(features)}
    for index, blocks in enumerate(self.stages):
      for block in blocks:
        features = block(features, training=training)
      endpoints[f'res{index + 2}'] = tf.nn.relu(features)
    return endpoints

  def get_config(self):
    return {'name': self.name, 'settings': dataclasses.asdict(self._settings)}

  @classmethod
  def from_config(cls, config):
    return cls(settings_from_config(config['settings']), name=config['name'])


def settings_from_config(config: dict) -> AxialResNetSettings:
  """Restores settings from what dataclasses.asdict made of them."""
  norm = normalization.BatchNormSettings(**config['norm'])
  return AxialResNetSettings(**{**config, 'norm': norm})
