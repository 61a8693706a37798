"""Constructor and config that all attention layers share."""

import dataclasses
import typing
from typing import Any, Dict

import tensorflow as tf

from axial_tf import errors
from axial_tf import settings as settings_lib
from axial_tf.keras2 import keras
from axial_tf.layers import configured
from axial_tf.layers.attention.settings import AttentionSettings


class AttentionLayer(configured.ConfiguredLayer):
  """A layer with key and value channels and AttentionSettings.

  Attributes:
    key_channels: channels of all queries together (and of all keys).
    value_channels: channels of all values together, and of the output.
    settings: settings of the attention.
  """

  def __init__(self, key_channels: int, value_channels: int,
               settings: AttentionSettings,
               options: Dict[str, Any]):
    """Checks and keeps the settings.

    Args:
      key_channels: channels of all queries together (and of all keys).
      value_channels: channels of all values together, and of the output.
      settings: settings of the attention.
      options: fields of AttentionSettings, which override `settings`, and
        arguments of keras.layers.Layer.

    Raises:
      errors.UserError: a field is out of range, or the heads do not divide the
        channels.
    """
    fields = typing.get_type_hints(AttentionSettings)
    changes = {k: v for k, v in options.items() if k in fields}
    super().__init__(**{k: v for k, v in options.items() if k not in fields})
    heads = changes.get('heads', settings.heads)
    for name, value in (('key_channels', key_channels),
                        ('value_channels', value_channels)):
      if heads < 1 or value < heads or value % heads:
        raise errors.UserError(
            f'{type(self).__name__}: expected {name} to be a positive multiple '
            f'of heads, got {value} channels and {heads} heads; '
            f'choose another width or number of heads')
    settings = dataclasses.replace(settings, **changes)
    self.key_channels = key_channels
    self.value_channels = value_channels
    self.settings = settings
    self._keep(key_channels=key_channels, value_channels=value_channels,
               **{name: getattr(settings, name) for name in fields})

  @classmethod
  def arguments_from(cls, config):
    hints = typing.get_type_hints(AttentionSettings)
    return {**super().arguments_from(config), **{
        name: settings_lib.restore(config[name], hint)
        for name, hint in hints.items() if name in config}}

  def _add_projection(self, channels: int) -> None:
    """Makes the kernel of queries, keys and values."""
    self.qkv_kernel = self.add_weight(
        'qkv_kernel', [channels, 2 * self.key_channels + self.value_channels],
        initializer=keras.initializers.TruncatedNormal(
            stddev=channels ** -0.5))

  def _add_table(self, name: str, rows: int, depth: int) -> tf.Variable:
    """Makes a table of position embeddings."""
    return self.add_weight(
        name, [rows, depth],
        initializer=keras.initializers.TruncatedNormal(stddev=1.0))
