"""MobileNetV2, and the wider one of DeeperLab: a backbone for fast networks.

DeeperLab's has 5x5 kernels in place of 3x3. What else is wider, if anything, is
not known; nor is how the last layers end there. Here they end with the 320
channels of the last block, as in DeepLab, and ReLUs have no limit of 6 (ours).
"""

import dataclasses

from axial_tf import settings as settings_lib
from axial_tf.layers import convolution, multiply_adds, named, normalization
from axial_tf.layers.residual import inverted
from axial_tf.models import backbone

_STEM_FILTERS = 32
# Expansion, filters, blocks, stride of the first of them, and the endpoint that
# the last of them gives: the last features before the next stride.
_STAGES = (
    (1, 16, 1, 1, 'stem'),
    (6, 24, 2, 2, 'res2'),
    (6, 32, 3, 2, 'res3'),
    (6, 64, 4, 2, None),
    (6, 96, 3, 1, 'res4'),
    (6, 160, 3, 2, None),
    (6, 320, 1, 1, 'res5'),
)
_DIVISOR = 8


@dataclasses.dataclass(frozen=True)
class MobileNetV2Settings:
  """Settings of a backbone; the defaults are those of DeeperLab.

  Attributes:
    width_multiplier: width multiplier of all channels, which are rounded to
      multiples of 8.
    kernel_size: side of the depthwise kernels; MobileNetV2's is 3.
    output_stride: stride of 'res5': 32, or less by dilation in place of the
      last strides.
    norm: settings of all batch norms.
  """
  width_multiplier: float = 1.0
  kernel_size: int = 5
  output_stride: int = 16
  norm: normalization.BatchNormSettings = normalization.BatchNormSettings()

  def __post_init__(self):
    settings_lib.check_types(self)
    require = settings_lib.require
    require(self.width_multiplier > 0, self, 'width_multiplier', 'a number > 0')
    require(self.kernel_size >= 1 and self.kernel_size % 2 == 1, self,
            'kernel_size', 'an odd number >= 1')
    require(self.output_stride in (8, 16, 32), self, 'output_stride',
            '8, 16 or 32')


class MobileNetV2(backbone.Backbone):
  """The backbone: images to a dict of endpoints."""

  def __init__(self, settings: MobileNetV2Settings, **kwargs):
    super().__init__(settings, **kwargs)
    self.stem_conv = convolution.ConvNorm(
        self._scaled(_STEM_FILTERS), 3, strides=2, norm=settings.norm,
        name='stem_conv')
    self.blocks, self._endpoints = [], []
    stride, dilation = 2, 1
    for stage, (expansion, filters, count, strides, endpoint) in enumerate(
        _STAGES, 1):
      for number in range(1, count + 1):
        step = strides if number == 1 else 1
        lost_step = 1
        if stride * step > settings.output_stride:
          step, lost_step = 1, step
        self.blocks.append(inverted.InvertedResidual(
            self._scaled(filters), settings.kernel_size, expansion=expansion,
            strides=step, dilation=dilation, norm=settings.norm,
            name=f'stage{stage}_block{number}'))
        self._endpoints.append(endpoint if number == count else None)
        # After a dropped stride, dilation keeps the receptive field.
        stride, dilation = stride * step, dilation * lost_step
    named.keep(self, self.blocks)

  def _scaled(self, filters: int) -> int:
    """Returns the nearest multiple of 8, but no less than nine tenths."""
    wanted = filters * self._settings.width_multiplier
    nearest = max(_DIVISOR, int(wanted / _DIVISOR + 0.5) * _DIVISOR)
    return nearest if nearest >= 0.9 * wanted else nearest + _DIVISOR

  def call(self, images, training=False, with_detail=False):
    """Computes the endpoints.

    Args:
      images: float [batch, height, width, 3] in -1..1, of any size.
      training: whether batch norm uses the statistics of this batch.
      with_detail: whether the stem is among the endpoints as 'detail', too, as
        in `StagedBackbone`.

    Returns:
      Features, not activated: 'stem' (stride 2) and 'res2' to 'res5' (strides
      4, 8, 16, 32, at most the output stride) of 16, 24, 32, 96 and 320
      channels times the width multiplier.
    """
    features = self.stem_conv(images, training=training)
    endpoints = {}
    for block, endpoint in zip(self.blocks, self._endpoints):
      features = block(features, training=training)
      if endpoint is not None:
        endpoints[endpoint] = features
    if with_detail:
      endpoints['detail'] = endpoints['stem']
    return endpoints

  def multiply_adds(self, height: int, width: int) -> int:
    """Returns the multiply-adds of a built model for one image of this size.

    Raises:
      errors.UserError: the model is not built.
    """
    multiply_adds.require_built(self)
    return multiply_adds.of_chain(
        (self.stem_conv, *self.blocks), height, width)
