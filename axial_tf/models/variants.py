"""The models of the paper, each a row with its settings and its counts.

The published figures are those of tables 1, 2, 4, 6 and 7, and those that the
arXiv appendix has in addition (tables marked so). docs/fidelity.md says how
they settled the choices that the paper leaves open.
"""

import dataclasses
from typing import Dict, Optional, Tuple, Union

from axial_tf.keras2 import keras
from axial_tf.layers.attention import settings as attention_settings
from axial_tf.models import (
  axial_resnet,
  backbones,
  classifier,
  deeperlab,
  mobilenet_v2,
  panoptic_decoder,
  panoptic_deeplab,
  panoptic_networks,
  ssap,
  xception,
)

_Settings = Union[
    backbones.BackboneSettings, panoptic_networks.PanopticSettings]


@dataclasses.dataclass(frozen=True)
class Published:
  """The figures for a model in a table of the paper.

  Attributes:
    params_m: parameters, in millions.
    madds_b: multiply-adds for one image, in billions.
    height: height of that image.
    width: width of that image.
    source: the table.
    score: top-1 accuracy of a classifier, or PQ on the validation images, at
      one scale and in percent (tables 1, 2 and 4 to 7); None where there is
      none.
  """
  params_m: float
  madds_b: float
  height: int
  width: int
  source: str
  score: Optional[float] = None


@dataclasses.dataclass(frozen=True)
class Variant:
  """A model of the paper.

  Attributes:
    settings: settings of the whole panoptic model, or of a classifier's
      backbone.
    published: the paper's figures; may be empty.
  """
  settings: _Settings
  published: Tuple[Published, ...] = ()

  @property
  def is_panoptic(self) -> bool:
    return isinstance(self.settings, panoptic_networks.SETTINGS)

  @property
  def num_classes(self) -> int:
    """Number of classes of the published counts: Cityscapes' or ImageNet's.

    The paper's counts for COCO are exactly half of those for Cityscapes, at
    half of the pixels: they are of the same model.
    """
    return 19 if self.is_panoptic else 1000

  @property
  def backbone(self) -> backbones.BackboneSettings:
    return self.settings.backbone if self.is_panoptic else self.settings

  def with_backbone(self, **fields) -> 'Variant':
    """Returns the model with other values in its backbone's settings."""
    settings = dataclasses.replace(self.backbone, **fields)
    if self.is_panoptic:
      settings = dataclasses.replace(self.settings, backbone=settings)
    return dataclasses.replace(self, settings=settings)

  def build(self, num_classes: Optional[int] = None) -> keras.Model:
    """Returns the panoptic model or the classifier."""
    num_classes = num_classes or self.num_classes
    if self.is_panoptic:
      return panoptic_networks.build(self.settings, num_classes)
    return classifier.Classifier(
        classifier.ClassifierSettings(self.settings), num_classes)


def imagenet(params_m, madds_b, source='table 1', score=None
             ) -> Tuple[Published]:
  return (Published(params_m, madds_b, 224, 224, source, score),)


def cityscapes(params_m, madds_b, source='table 6', score=None
               ) -> Tuple[Published]:
  return (Published(params_m, madds_b, 1025, 2049, source, score),)


def coco(params_m, madds_b, score=None) -> Tuple[Published]:
  return (Published(params_m, madds_b, 1025, 1025, 'table 2', score),)


def mapillary(params_m, madds_b, score=None) -> Tuple[Published]:
  return (Published(params_m, madds_b, 2177, 2177, 'table 4', score),)


def conv_stem(width_multiplier: float) -> axial_resnet.AxialResNetSettings:
  """Conv-Stem + Axial-Attention of table 1, with global attention."""
  return axial_resnet.AxialResNetSettings(
      width_multiplier=width_multiplier, stem_width_multiplier=1.0, span=None,
      output_stride=32, stem='resnet')


def _full(width_multiplier):
  """Full Axial-Attention of table 1: attention in the stem as well."""
  return dataclasses.replace(
      conv_stem(width_multiplier), stem='axial', stem_width_multiplier=None)


def local(width_multiplier: float = 1.0, position_sensitive: bool = True,
          **fields) -> axial_resnet.AxialResNetSettings:
  """Attention in 7x7 windows in the bottlenecks of ResNet-50 (table 1)."""
  terms = attention_settings.AttentionTerms(
      key_position=position_sensitive, value_position=position_sensitive)
  return dataclasses.replace(
      conv_stem(width_multiplier), spatial='local', span=7, terms=terms,
      **fields)


def _resnet(blocks):
  return dataclasses.replace(
      conv_stem(1.0), spatial='convolution', blocks=blocks)


def panoptic(backbone: backbones.BackboneSettings, context: str = 'none',
             **fields) -> panoptic_deeplab.PanopticDeepLabSettings:
  """Section 3.2: three-convolution stem, no stride in the last stage."""
  if isinstance(backbone, axial_resnet.AxialResNetSettings):
    backbone = dataclasses.replace(
        backbone, stem='inception', output_stride=16)
  return panoptic_deeplab.PanopticDeepLabSettings(
      backbone=backbone,
      decoder=panoptic_decoder.DecoderSettings(context=context), **fields)


def _axial_deeplab(width_multiplier):
  return panoptic(axial_resnet.AxialResNetSettings(
      width_multiplier=width_multiplier))


_RESNET50, _RESNET101 = (3, 4, 6, 3), (3, 4, 23, 3)
# Source: figure 3, whose numbers are in the appendix of the arXiv version.
_FIGURE_3 = 'figure 3 (appendix)'

VARIANTS: Dict[str, Variant] = {
    'axial_resnet_s': Variant(conv_stem(0.5), imagenet(12.4, 2.8, score=77.5)),
    'axial_resnet_m': Variant(conv_stem(0.75), imagenet(26.4, 5.7, _FIGURE_3)),
    'axial_resnet_l': Variant(conv_stem(1.0), imagenet(45.6, 9.6, _FIGURE_3)),
    'axial_resnet_xl': Variant(conv_stem(2.0)),
    'axial_resnet_s_full': Variant(
        _full(0.5), imagenet(12.5, 3.3, score=78.1)),
    'axial_resnet_m_full': Variant(
        _full(0.75), imagenet(26.5, 6.8, _FIGURE_3)),
    'axial_resnet_l_full': Variant(
        _full(1.0), imagenet(45.8, 11.6, _FIGURE_3)),
    'conv_stem_attention': Variant(
        local(position_sensitive=False), imagenet(18.0, 3.5, score=77.7)),
    'conv_stem_ps_attention': Variant(
        local(), imagenet(18.0, 3.7, score=78.1)),
    'resnet50': Variant(
        _resnet(_RESNET50), imagenet(25.6, 4.1, score=76.9)),
    'resnet101': Variant(_resnet(_RESNET101)),
    'axial_deeplab_s': Variant(
        _axial_deeplab(0.5),
        cityscapes(12.1, 220.8, score=62.6) + coco(12.1, 110.4, 41.8)),
    'axial_deeplab_m': Variant(
        _axial_deeplab(0.75),
        cityscapes(25.9, 419.6, score=63.1) + coco(25.9, 209.9, 42.9)),
    'axial_deeplab_l': Variant(
        _axial_deeplab(1.0),
        cityscapes(44.9, 687.4, score=63.9) + coco(44.9, 343.9, 43.4)
        + mapillary(44.9, 1550.0, 40.1)),
    'axial_deeplab_xl': Variant(
        _axial_deeplab(2.0), cityscapes(173.0, 2446.8, score=64.4)),
    'panoptic_deeplab_resnet50': Variant(
        panoptic(_resnet(_RESNET50)), cityscapes(24.8, 374.8, score=58.1)),
    'panoptic_deeplab_resnet101': Variant(
        panoptic(_resnet(_RESNET101)),
        cityscapes(43.8, 530.0, 'table 7', 59.9)),
    'panoptic_deeplab_xception71': Variant(
        panoptic(xception.XceptionSettings(), 'aspp'),
        cityscapes(46.7, 547.7, 'table 9 (appendix)', 63.0)
        + coco(46.7, 274.0, 39.7) + mapillary(46.7, 1240.0, 37.7)),
    'panoptic_deeplab_attention': Variant(
        panoptic(local(position_sensitive=False)),
        cityscapes(17.3, 317.7, score=58.7)),
    'panoptic_deeplab_ps_attention': Variant(
        panoptic(local()), cityscapes(17.3, 326.7, score=59.9)),
    # No source has its counts.
    'deeperlab_xception71': Variant(
        deeperlab.DeeperLabSettings(xception.XceptionSettings())),
    'deeperlab_wider_mobilenet_v2': Variant(
        deeperlab.DeeperLabSettings(mobilenet_v2.MobileNetV2Settings())),
    # No source has its counts, nor how it is made in detail.
    'ssap_resnet101': Variant(ssap.SSAPSettings(_resnet(_RESNET101))),
}
