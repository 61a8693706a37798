"""Freezes the statistics, scale and shift of batch norms.

For fine-tuning with few images a step, whose statistics would be poor, and for
the end of a training.
"""

import fnmatch
from typing import List, Sequence

from axial_tf import errors
from axial_tf.keras2 import keras
from axial_tf.layers import normalization
from axial_tf.training import checkpoints

_KINDS = (keras.layers.BatchNormalization, normalization.MomentNormalization)


def freeze_batch_norms(model: keras.Model, patterns: Sequence[str]
                       ) -> List[str]:
  """Makes batch norms untrainable, so that they use their moving statistics.

  Args:
    model: built model.
    patterns: patterns of the layers' names in the model, such as
      'backbone/stage2_*'; `*` matches anything, slashes included. Names of
      earlier checkpoints match, too ('backbone/stages/0/*').

  Returns:
    The names of the frozen layers, in alphabetical order.

  Raises:
    errors.UserError: a pattern matches no batch norm.
  """
  layers = {layer.gamma.ref(): layer for layer in _batch_norms(model)}
  norms = _norms(checkpoints.places(model), layers)
  paths = _norms(checkpoints.paths_to_variables(model), layers)
  names = {id(layer): name for name, layer in norms.items()}
  frozen = set()
  for pattern in patterns:
    found = fnmatch.filter(paths, pattern)
    if not found:
      raise errors.UserError(
          f'RunSettings.frozen_batch_norms: {pattern!r} matches none of the '
          f'{len(norms)} batch norms, which are {", ".join(sorted(norms)[:3])} '
          f'and so on; * matches anything')
    frozen.update(names[id(paths[path])] for path in found)
  for name in frozen:
    norms[name].trainable = False
  return sorted(frozen)


class Switch:
  """Freezes and thaws all batch norms that were not frozen before.

  A training step must be traced again after that.

  Attributes:
    variables: scales and shifts of these batch norms.
  """

  def __init__(self, model: keras.Model):
    self._layers = [layer for layer in _batch_norms(model) if layer.trainable]
    # Frozen layers have no trainable variables.
    self.variables = [variable for layer in self._layers
                      for variable in layer.trainable_variables]

  def set(self, frozen: bool) -> None:
    """Freezes the batch norms, or thaws them."""
    for layer in self._layers:
      layer.trainable = not frozen


def _batch_norms(model: keras.Model) -> List[keras.layers.Layer]:
  return [layer for layer in model.submodules if isinstance(layer, _KINDS)]


def _norms(variables, layers):
  """Returns layers by their paths, given the paths of their variables."""
  return {path.rpartition('/')[0]: layers[variable.ref()]
          for path, variable in variables.items() if variable.ref() in layers}
