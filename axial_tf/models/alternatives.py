"""Lists other readings of what the paper leaves open, to count them."""

import dataclasses
from typing import Iterator, Tuple

from axial_tf.models import ablations, panoptic_decoder, variants

_CLASSIFIERS = ('axial_resnet_0.375', 'axial_resnet_s', 'axial_resnet_m',
                'axial_resnet_l')
_AXIAL_DEEPLABS = ('axial_deeplab_s', 'axial_deeplab_m', 'axial_deeplab_l',
                   'axial_deeplab_xl')
_STAND_ALONE = ('axial_resnet_s_full', 'axial_resnet_l_full')
_RESNETS = ('panoptic_deeplab_resnet50', 'panoptic_deeplab_resnet101')

# The change, the models that it applies to, and fields of their backbone (or
# functions of it).
_BACKBONES = (
    ('as registered', _CLASSIFIERS + _STAND_ALONE + _AXIAL_DEEPLABS, {}),
    ('ImageNet: stem scaled by the width multiplier', _CLASSIFIERS,
     {'stem_width_multiplier': None}),
    ('ImageNet: no max-pool', _CLASSIFIERS, {'stem_pooling': False}),
    ('ImageNet: stride by average pooling after both axes', _CLASSIFIERS,
     {'average_pooling': True}),
    ('stand-alone: span 15 in all blocks', _STAND_ALONE, {'span': 15}),
    ('stand-alone: stem of half the channels, no max-pool', _STAND_ALONE,
     {'stem_pooling': False,
      'stem_width_multiplier': lambda b: b.width_multiplier / 2}),
    ('segmentation: stem not scaled', _AXIAL_DEEPLABS,
     {'stem_width_multiplier': 1.0}),
    ('segmentation: no max-pool', _AXIAL_DEEPLABS, {'stem_pooling': False}),
    ('segmentation: stride by average pooling after both axes',
     _AXIAL_DEEPLABS, {'average_pooling': True}),
)


def readings() -> Iterator[Tuple[str, str, variants.Variant]]:
  """Yields the reading, the name of the model, and the model."""
  rows = {**variants.VARIANTS, **ablations.ABLATIONS}
  for reading, names, fields in _BACKBONES:
    for name in names:
      backbone = rows[name].backbone
      values = {field: value(backbone) if callable(value) else value
                for field, value in fields.items()}
      yield reading, name, rows[name].with_backbone(**values)
  for name in _AXIAL_DEEPLABS + _RESNETS:
    yield ('segmentation: a 1x1 projection of res5 to 256 channels', name,
           dataclasses.replace(rows[name], settings=dataclasses.replace(
               rows[name].settings,
               decoder=panoptic_decoder.DecoderSettings())))
  stride_32 = rows['axial_deeplab_l_os32']
  yield ('output stride 32 without a fusion at stride 16',
         'axial_deeplab_l_os32', dataclasses.replace(
             stride_32, settings=dataclasses.replace(
                 rows['axial_deeplab_l'].settings,
                 backbone=stride_32.backbone)))
