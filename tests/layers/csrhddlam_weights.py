"""Weights of single attention layers of the authors' PyTorch code, as ours."""

from typing import Mapping

import numpy as np
import tensorflow as tf

from axial_tf.keras2 import keras
from axial_tf.layers import normalization

NORM = normalization.BatchNormSettings(momentum=0.9, epsilon=1e-5)


def assign(layer: keras.layers.Layer,
           arrays: Mapping[str, np.ndarray]) -> None:
  """Gives a built layer all its weights.

  Raises:
    KeyError: an array is missing.
    ValueError: an array has another shape than its variable, or no variable.
  """
  arrays = dict(arrays)
  for variable in layer.variables:
    variable.assign(arrays.pop(name_within(variable)))
  if arrays:
    raise ValueError(f'{layer.name} has no variables for {sorted(arrays)}')


def name_within(variable: tf.Variable) -> str:
  """Returns the name below an attention layer, e.g. 'qkv_norm/gamma'."""
  parts = variable.name.split(':')[0].split('/')
  return '/'.join(parts[-2:] if parts[-2].endswith('_norm') else parts[-1:])
