"""The models of google-research/deeplab2 whose weights can be imported.

They share names with models of the paper but not their structure: the stem is
as wide at any width of the network, there is no max-pooling, and attention sees
the whole axis. Counts are those of DeepLab2's own tests: trainable parameters
of the backbone, with batch norms.
"""

import dataclasses
from typing import Dict

from axial_tf.models import (
  axial_resnet,
  hybrid_resnet,
  panoptic_decoder,
  panoptic_deeplab,
  variants,
)

# Prefix of the names here, before DeepLab2's own name.
PREFIX = 'deeplab2_'
_WIDE_BLOCKS = (3, 6, 3, 3)


@dataclasses.dataclass(frozen=True)
class Deeplab2Variant(variants.Variant):
  """A model of DeepLab2.

  Attributes:
    backbone_params: trainable parameters of its backbone, as DeepLab2's tests
      count them.
  """
  backbone_params: int = 0


def _model(backbone, backbone_params, context='projection', rates=(6, 12, 18)):
  return Deeplab2Variant(
      panoptic_deeplab.PanopticDeepLabSettings(
          backbone=backbone, decoder=panoptic_decoder.DecoderSettings(
              context=context, aspp_rates=rates, separable_aspp=False),
          padding='gray'),
      backbone_params=backbone_params)


def _resnet(backbone_params, **fields):
  """At output stride 32, as on Cityscapes."""
  return _model(axial_resnet.AxialResNetSettings(
      stem_width_multiplier=1.0, stem_pooling=False, spatial='convolution',
      output_stride=32, **fields), backbone_params, 'aspp', (3, 6, 9))


def _axial(backbone_params, **fields):
  return _model(axial_resnet.AxialResNetSettings(
      stem_width_multiplier=1.0, stem_pooling=False, span=None, **fields),
      backbone_params)


def _wide(backbone_params, blocks=_WIDE_BLOCKS):
  return _model(
      hybrid_resnet.HybridResNetSettings(wide=True, blocks=blocks),
      backbone_params)


MODELS: Dict[str, Deeplab2Variant] = {
    PREFIX + name: model for name, model in {
        'resnet50': _resnet(23_508_032, stem='resnet'),
        'resnet50_beta': _resnet(23_631_808),
        'wide_resnet41': _model(
            hybrid_resnet.HybridResNetSettings(
                wide=True, blocks=_WIDE_BLOCKS, attention_stride=None),
            109_014_080, 'aspp'),
        'axial_resnet_s': _axial(
            11_466_912, width_multiplier=0.5, stem='resnet'),
        'axial_resnet_l': _axial(43_714_048, stem='resnet'),
        'axial_deeplab_s': _axial(11_565_856, width_multiplier=0.5),
        'axial_deeplab_l': _axial(43_841_920),
        'axial_swidernet_1_1_1': _wide(136_399_392),
        # The last number multiplies the blocks of each stage.
        'axial_swidernet_1_1_3': _wide(393_935_520, (9, 18, 9, 9)),
        'axial_swidernet_1_1_4.5': _wide(570_346_912, (13, 27, 13, 13)),
        'max_deeplab_s_backbone': _model(
            hybrid_resnet.HybridResNetSettings(), 41_343_424),
        # DeepLab2 counts 38,716,000 more: in a decoder after 'res5', which
        # Panoptic-DeepLab does not use.
        'max_deeplab_l_backbone': _wide(175_115_392 - 38_716_000),
    }.items()}
