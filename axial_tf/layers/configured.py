"""Saves and restores layers by the arguments of their constructors."""

import dataclasses
import types
import typing

from axial_tf import keras2, settings
from axial_tf.keras2 import keras


class ConfiguredLayer(keras.layers.Layer):
  """A layer whose config holds the arguments of its constructor.

  A subclass passes its arguments to `_keep` and annotates them: settings
  dataclasses are plain data in the config, as saving a model requires, and are
  restored by the annotation.
  """

  def _keep(self, **arguments) -> None:
    """Stores arguments, except those of keras.layers.Layer."""
    # A namespace, as Keras would track a dict and save it in checkpoints.
    kept = vars(getattr(self, '_arguments', types.SimpleNamespace()))
    self._arguments = types.SimpleNamespace(**{**kept, **arguments})

  def __call__(self, inputs, *arguments, **options):
    keras2.require(inputs, type(self).__name__)
    return super().__call__(inputs, *arguments, **options)

  def get_config(self):
    return {**super().get_config(), **{
        name: (dataclasses.asdict(value) if dataclasses.is_dataclass(value)
               else value) for name, value in vars(self._arguments).items()}}

  @classmethod
  def from_config(cls, config):
    return cls(**cls.arguments_from(config))

  @classmethod
  def arguments_from(cls, config):
    """Returns a config with its settings restored, as the constructor's."""
    hints = typing.get_type_hints(cls.__init__)
    return {name: settings.restore(value, hints.get(name, typing.Any))
            for name, value in config.items()}
