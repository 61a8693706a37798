"""Configurations of the Model Garden that name an Axial-ResNet.

Those of the tasks are the Model Garden's own, with its names, under classes of
ours, by which it finds our tasks.
"""

import dataclasses
from typing import List, Optional

from official.modeling import hyperparams
from official.vision.configs import (
  backbones as garden_backbones,
)
from official.vision.configs import (
  image_classification,
  maskrcnn,
  retinanet,
  semantic_segmentation,
)

from axial_tf.layers import normalization
from axial_tf.models import backbones, settings_by_name


@dataclasses.dataclass
class AxialResNet(hyperparams.Config):
  """Configuration of a backbone; None keeps the value of the variant.

  Attributes:
    variant: name of a row of the table of models, such as 'axial_resnet_s'; of
      a panoptic model only the backbone is used.
    span: span of the attention after the stem in pixels of its input, an odd
      number; 0 for the whole axis.
    output_stride: stride of the last features: 8, 16 or 32.
    width_multiplier: width multiplier of the channels after the stem.
    stem_width_multiplier: width multiplier of the stem's channels.
    blocks: number of blocks in each of the four stages.
    heads: number of heads of every attention layer.
    drop_path_rate: rate of drop path in the last stage, in [0, 1).
    recompute: what the backward pass recomputes to save memory: 'axial' for
      the attention layers, 'all' for the blocks' branches.
  """
  variant: str = 'axial_resnet_s'
  span: Optional[int] = None
  output_stride: Optional[int] = None
  width_multiplier: Optional[float] = None
  stem_width_multiplier: Optional[float] = None
  blocks: Optional[List[int]] = None
  heads: Optional[int] = None
  drop_path_rate: Optional[float] = None
  recompute: Optional[str] = None

  def settings(self, norm: Optional[normalization.BatchNormSettings] = None
               ) -> backbones.BackboneSettings:
    """Returns the settings of our backbone, whose ranges are checked.

    Args:
      norm: settings of all batch norms; None for the variant's.

    Raises:
      errors.UserError: an unknown variant, a field that its kind of network
        lacks, or a value out of range.
    """
    given = {field: value for field, value in self.as_dict().items()
             if value is not None}
    return settings_by_name.variant_settings(norm=norm, **given)


@dataclasses.dataclass
class Backbone(garden_backbones.Backbone):
  """The Model Garden's choice of backbones, and ours."""
  type: Optional[str] = 'axial_resnet'
  axial_resnet: AxialResNet = dataclasses.field(default_factory=AxialResNet)


@dataclasses.dataclass
class ImageClassificationTask(image_classification.ImageClassificationTask):
  """Configuration of image classification."""


@dataclasses.dataclass
class RetinaNetTask(retinanet.RetinaNetTask):
  """Configuration of RetinaNet."""


@dataclasses.dataclass
class MaskRCNNTask(maskrcnn.MaskRCNNTask):
  """Configuration of Mask R-CNN."""


@dataclasses.dataclass
class SemanticSegmentationTask(semantic_segmentation.SemanticSegmentationTask):
  """Configuration of semantic segmentation."""
