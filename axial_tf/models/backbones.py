"""The two kinds of backbone behind one interface."""

import dataclasses
from typing import Union

import tensorflow as tf

from axial_tf.models import axial_resnet, xception

BackboneSettings = Union[
    axial_resnet.AxialResNetSettings, xception.XceptionSettings]


def build(settings: BackboneSettings, name: str) -> tf.keras.Model:
  """Returns a model from images to the endpoints 'stem', 'res2' .. 'res5'."""
  return _MODULES[type(settings)][1](settings, name=name)


def settings_to_config(settings: BackboneSettings) -> dict:
  """Returns plain data, from which `settings_from_config` restores them."""
  return {'kind': type(settings).__name__, **dataclasses.asdict(settings)}


def settings_from_config(config: dict) -> BackboneSettings:
  """Restores what `settings_to_config` encoded."""
  config = dict(config)
  kind = config.pop('kind')
  for settings, (module, _) in _MODULES.items():
    if settings.__name__ == kind:
      return module.settings_from_config(config)
  raise KeyError(kind)


# Settings -> the module that restores them and the model.
_MODULES = {
    axial_resnet.AxialResNetSettings: (axial_resnet, axial_resnet.AxialResNet),
    xception.XceptionSettings: (xception, xception.Xception),
}
