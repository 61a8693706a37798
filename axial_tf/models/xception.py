"""Xception-71: the convolutional backbone that Axial-DeepLab is compared to.

It is the aligned Xception of DeepLab with two more modules in its entry flow,
as in DeeperLab and Panoptic-DeepLab (tables 2, 4 and 5 of the paper).
"""

import dataclasses

import tensorflow as tf

from axial_tf import settings as settings_lib
from axial_tf.layers import convolution, multiply_adds, named, normalization
from axial_tf.layers.residual import xception as xception_module
from axial_tf.models import backbone

_STEM_FILTERS = (32, 64)
# Per module: filters, strides, and the endpoint that its second of three
# convolutions gives: the last features before the stride, as in DeepLab.
_ENTRY_FLOW = (
    ((128, 128, 128), 2, None),
    ((256, 256, 256), 1, None),
    ((256, 256, 256), 2, 'res2'),
    ((728, 728, 728), 1, None),
    ((728, 728, 728), 2, 'res3'),
)
_MIDDLE_MODULE = ((728, 728, 728), 1, None)
_EXIT_FLOW = (
    ((728, 1024, 1024), 2, 'res4'),
    ((1536, 1536, 2048), 1, None),
)
# All numbers of filters above are multiples of 8.
_WIDTH_STEP = 1 / 8
_DROP_PATH_SHARES = {'entry': 1 / 3, 'middle': 2 / 3, 'exit': 1.0}


@dataclasses.dataclass(frozen=True)
class XceptionSettings:
  """Settings of a backbone; the defaults are those of Panoptic-DeepLab.

  Attributes:
    width_multiplier: width multiplier of all channels.
    middle_modules: number of modules in the middle flow.
    output_stride: stride of 'res5': 32, or less by dilation in place of
      the last strides.
    drop_path_rate: rate of drop path in the exit flow; the entry and the middle
      flow have 1/3 and 2/3 of it.
    norm: settings of all batch norms.
  """
  width_multiplier: float = 1.0
  middle_modules: int = 16
  output_stride: int = 16
  drop_path_rate: float = 0.0
  norm: normalization.BatchNormSettings = normalization.BatchNormSettings()

  def __post_init__(self):
    settings_lib.check_types(self)
    require = settings_lib.require
    require(self.output_stride in (8, 16, 32), self, 'output_stride',
            '8, 16 or 32')
    require(self.middle_modules >= 1, self, 'middle_modules', 'at least 1')
    require(0 <= self.drop_path_rate < 1, self, 'drop_path_rate', '0 <= x < 1')
    require(
        self.width_multiplier > 0 and self.width_multiplier % _WIDTH_STEP == 0,
        self, 'width_multiplier',
        f'a multiple of {_WIDTH_STEP}, so that all channels are whole numbers')


class Xception(backbone.Backbone):
  """The backbone: images to a dict of endpoints."""

  def __init__(self, settings: XceptionSettings, **kwargs):
    super().__init__(settings, **kwargs)
    self.stem = [
        convolution.ConvNorm(
            self._scaled(filters), 3, strides=strides, norm=settings.norm,
            name=f'stem_conv{index + 1}')
        for index, (filters, strides) in enumerate(zip(_STEM_FILTERS, (2, 1)))]
    self.blocks, self._endpoints = [], []
    stride, dilation = 2, 1
    channels = _STEM_FILTERS[-1]
    for flow, number, (filters, strides, endpoint) in self._rows():
      is_last = (flow, number) == ('exit', len(_EXIT_FLOW))
      keeps_shape = strides == 1 and filters[-1] == channels
      lost_strides = 1
      if stride * strides > settings.output_stride:
        strides, lost_strides = 1, strides
      self.blocks.append(xception_module.XceptionModule(
          [self._scaled(f) for f in filters], strides=strides,
          dilation=dilation,
          shortcut=None if is_last else 'sum' if keeps_shape else 'conv',
          drop_path_rate=settings.drop_path_rate * _DROP_PATH_SHARES[flow],
          norm=settings.norm, name=f'{flow}_module{number}'))
      self._endpoints.append(endpoint)
      # After a dropped stride, dilation keeps the receptive field.
      stride, dilation = stride * strides, dilation * lost_strides
      channels = filters[-1]
    named.keep(self, (*self.stem, *self.blocks))

  def _rows(self):
    """Yields flow, number within the flow and row of the tables above."""
    middle = (_MIDDLE_MODULE,) * self._settings.middle_modules
    for flow, rows in (
        ('entry', _ENTRY_FLOW), ('middle', middle), ('exit', _EXIT_FLOW)):
      for index, row in enumerate(rows):
        yield flow, index + 1, row

  def _scaled(self, filters: int) -> int:
    return int(filters * self._settings.width_multiplier)

  def call(self, images, training=False, with_detail=False):
    """Computes the endpoints.

    Args:
      images: float [batch, height, width, 3] in -1..1, of any size.
      training: whether batch norm uses the statistics of this batch.
      with_detail: whether the stem is among the endpoints as 'detail', too, as
        in `StagedBackbone`.

    Returns:
      Activated features: 'stem' (stride 2) and 'res2' to 'res5' (strides 4, 8,
      16, 32, at most the output stride) of 64, 256, 728, 1024 and 2048
      channels times the width multiplier.
    """
    features = images
    for conv in self.stem:
      features = conv(features, training=training)
    endpoints = {'stem': features}
    if with_detail:
      endpoints['detail'] = features
    for block, endpoint in zip(self.blocks, self._endpoints):
      features, detail = block(features, training=training, with_detail=True)
      if endpoint is not None:
        endpoints[endpoint] = tf.nn.relu(detail)
    endpoints['res5'] = features
    return endpoints

  def multiply_adds(self, height: int, width: int) -> int:
    """Returns the multiply-adds of a built model for one image of this size.

    Raises:
      errors.UserError: the model is not built.
    """
    multiply_adds.require_built(self)
    return multiply_adds.of_chain(
        (*self.stem, *self.blocks), height, width)
