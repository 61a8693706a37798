"""Base class of all backbones."""

import dataclasses
import typing

from axial_tf import settings as settings_lib
from axial_tf.keras2 import keras


class Backbone(keras.Model):
  """Maps images to a dict of endpoints; built from settings alone.

  A subclass annotates the `settings` of its constructor with their dataclass.
  """

  def __init__(self, settings: typing.Any, **kwargs):
    super().__init__(**kwargs)
    self._settings = settings

  def get_config(self):
    return {'name': self.name, 'settings': dataclasses.asdict(self._settings)}

  @classmethod
  def from_config(cls, config):
    kind = typing.get_type_hints(cls.__init__)['settings']
    settings = settings_lib.from_dict(kind, config['settings'])
    return cls(settings, name=config['name'])
