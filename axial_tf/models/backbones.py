"""Builds all types of backbones behind one interface."""

import dataclasses
from typing import Union

from axial_tf import settings as settings_lib
from axial_tf.keras2 import keras
from axial_tf.layers import stem
from axial_tf.models import (
  axial_resnet,
  hybrid_resnet,
  mobilenet_v2,
  xception,
)

BackboneSettings = Union[
    axial_resnet.AxialResNetSettings, hybrid_resnet.HybridResNetSettings,
    xception.XceptionSettings, mobilenet_v2.MobileNetV2Settings]


def is_for_small_images(settings: BackboneSettings) -> bool:
  """Whether the stem keeps stride 1 or 2, where decoders expect 4."""
  return getattr(settings, 'stem', None) in stem.SMALL


def build(settings: BackboneSettings, name: str) -> keras.Model:
  """Returns a model from images to the endpoints 'stem', 'res2' .. 'res5'."""
  return _MODELS[type(settings)](settings, name=name)


def settings_to_config(settings: BackboneSettings) -> dict:
  """Returns plain data from which `settings_from_config` restores them."""
  return {'kind': type(settings).__name__, **dataclasses.asdict(settings)}


def settings_from_config(config: dict) -> BackboneSettings:
  """Restores what `settings_to_config` encoded."""
  config = dict(config)
  kind = config.pop('kind')
  kinds = {settings.__name__: settings for settings in _MODELS}
  return settings_lib.from_dict(kinds[kind], config)


_MODELS = {
    axial_resnet.AxialResNetSettings: axial_resnet.AxialResNet,
    hybrid_resnet.HybridResNetSettings: hybrid_resnet.HybridResNet,
    xception.XceptionSettings: xception.Xception,
    mobilenet_v2.MobileNetV2Settings: mobilenet_v2.MobileNetV2,
}
