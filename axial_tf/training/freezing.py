"""Batch norms that keep their statistics, scale and shift while others learn.

For fine-tuning with few images a step, whose statistics would be poor.
"""

import fnmatch
from typing import List, Sequence

import tensorflow as tf

from axial_tf import errors
from axial_tf.layers import normalization
from axial_tf.training import checkpoints

_KINDS = (tf.keras.layers.BatchNormalization, normalization.MomentNormalization)


def freeze_batch_norms(model: tf.keras.Model, patterns: Sequence[str]
                       ) -> List[str]:
  """Makes batch norms untrainable, which always use their moving statistics.

  Args:
    model: built.
    patterns: patterns of the layers' places in the model, such as
      'backbone/stages/0/*'; `*` stands for anything, slashes included.

  Returns:
    The places of the frozen layers, in alphabetical order.

  Raises:
    errors.UserError: a pattern fits no batch norm.
  """
  places = {id(variable): place
            for place, variable in checkpoints.places(model).items()}
  norms = {
      places[id(layer.gamma)].rpartition('/')[0]: layer
      for layer in model.submodules if isinstance(layer, _KINDS)}
  frozen = set()
  for pattern in patterns:
    found = fnmatch.filter(norms, pattern)
    if not found:
      raise errors.UserError(
          f'RunSettings.frozen_batch_norms: {pattern!r} fits none of the '
          f'{len(norms)} batch norms, which are {", ".join(sorted(norms)[:3])} '
          f'and so on; * stands for anything')
    frozen.update(found)
  for place in frozen:
    norms[place].trainable = False
  return sorted(frozen)
