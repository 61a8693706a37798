"""Base class of residual blocks: a shortcut plus a branch."""

from typing import Optional, Sequence, Tuple

import tensorflow as tf

from axial_tf.keras2 import keras
from axial_tf.layers import configured, convolution, normalization
from axial_tf.layers import recompute as recompute_lib
from axial_tf.layers.residual import drop_path


class ResidualBlock(configured.ConfiguredLayer):
  """Adds a branch to its input, projected where the channels change.

  Subclasses compute the branch in `_branch(inputs, training)`.
  """

  def __init__(self, *, channels: int, strides: int, drop_path_rate: float,
               recompute: Optional[str],
               norm: normalization.BatchNormSettings, **kwargs):
    """Stores what shortcut and branch share.

    Args:
      channels: channels of the output.
      strides: stride of the shortcut.
      drop_path_rate: share of samples that lose the branch in training.
      recompute: 'all' to recompute the branch in the backward pass rather than
        to keep it; other values are up to the subclass.
      norm: settings of the shortcut's batch norm.
      **kwargs: keyword arguments of keras.layers.Layer.
    """
    super().__init__(**kwargs)
    self._channels = channels
    self._strides = strides
    self._recompute = recompute
    self._norm = norm
    self.drop_path = drop_path.DropPath(drop_path_rate, name='drop_path')

  def build(self, input_shape):
    self.shortcut = None
    if input_shape[-1] != self._channels:
      self.shortcut = convolution.ConvNorm(
          self._channels, 1, strides=self._strides, relu=False,
          norm=self._norm, name='shortcut')
    super().build(input_shape)

  def _with_shortcut(self, inputs: tf.Tensor, training: bool,
                     parts: Sequence[keras.layers.Layer]) -> tf.Tensor:
    """Returns shortcut + branch; `parts` are the layers of the branch."""
    if self.shortcut is None:
      shortcut = inputs[:, ::self._strides, ::self._strides]
    else:
      shortcut = self.shortcut(inputs, training=training)
    branch = self._branch
    if self._recompute == 'all' and training:
      branch = recompute_lib.recomputed(branch, parts)
    return shortcut + self.drop_path(
        branch(inputs, training), training=training)

  def output_size(self, height: int, width: int) -> Tuple[int, int]:
    """Returns the output's height and width for a map of this size."""
    return -(-height // self._strides), -(-width // self._strides)
