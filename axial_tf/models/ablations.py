"""The paper's other models with published counts: its ablations."""

import dataclasses
from typing import Dict

from axial_tf.models import panoptic_decoder, variants

_SPAN_MADDS = {5: 617.4, 9: 622.1, 17: 631.5, 33: 650.2, 65: 687.4}
# Width multiplier -> published counts of PS-Attention in figure 3.
_PS_WIDTHS = {0.5: (5.1, 1.2), 0.75: (10.5, 2.3), 1.25: (27.5, 5.6),
              1.5: (39.0, 7.8)}
_FIGURE_3 = 'figure 3 (appendix)'
_TABLE_9 = 'table 9 (appendix)'
_LARGE = variants.VARIANTS['axial_deeplab_l']


def _with_aspp(variant, params_m, madds_b):
  settings = variants.VARIANTS[variant].settings
  return variants.Variant(
      dataclasses.replace(settings, decoder=panoptic_decoder.DecoderSettings(
          context='aspp')), variants.cityscapes(params_m, madds_b))


def _output_stride_32():
  """Adds a fusion at stride 16, as the counts imply."""
  settings = _LARGE.with_backbone(output_stride=32).settings
  return dataclasses.replace(
      settings,
      semantic=dataclasses.replace(settings.semantic, res4_channels=128),
      instance=dataclasses.replace(settings.instance, res4_channels=64))


def _with_axial_decoder(settings):
  return dataclasses.replace(settings, decoder=dataclasses.replace(
      settings.decoder, fusion='axial'))


ABLATIONS: Dict[str, variants.Variant] = {
    'axial_resnet_0.375': variants.Variant(
        variants.conv_stem(0.375), variants.imagenet(7.4, 1.8, _FIGURE_3)),
    **{f'conv_stem_ps_attention_{width}': variants.Variant(
        variants.local(width), variants.imagenet(*counts, _FIGURE_3))
       for width, counts in _PS_WIDTHS.items()},
    'conv_stem_attention_without_norm': variants.Variant(
        variants.local(position_sensitive=False, attention_norm=False),
        variants.imagenet(18.0, 3.5)),
    'panoptic_deeplab_resnet50_aspp': _with_aspp(
        'panoptic_deeplab_resnet50', 30.0, 390.0),
    'panoptic_deeplab_attention_aspp': _with_aspp(
        'panoptic_deeplab_attention', 22.5, 332.9),
    'panoptic_deeplab_ps_attention_aspp': _with_aspp(
        'panoptic_deeplab_ps_attention', 22.5, 341.9),
    **{f'axial_deeplab_l_span{span}': variants.Variant(
        _LARGE.with_backbone(span=span).settings,
        variants.cityscapes(44.9, madds, 'table 7'))
       for span, madds in _SPAN_MADDS.items()},
    'axial_deeplab_l_os32': variants.Variant(
        _output_stride_32(), variants.cityscapes(45.2, 525.2, _TABLE_9)),
    'axial_deeplab_l_axial_decoder': variants.Variant(
        _with_axial_decoder(_LARGE.settings),
        variants.cityscapes(45.4, 722.7, _TABLE_9)),
    'axial_deeplab_l_os32_axial_decoder': variants.Variant(
        _with_axial_decoder(_output_stride_32()),
        variants.cityscapes(45.9, 577.8, _TABLE_9)),
}
