"""Variables by the names that published weights are brought to."""

from typing import Dict, Mapping

import numpy as np
import tensorflow as tf

from axial_tf.training import initialization


def variables(layer: tf.Module) -> Dict[str, tf.Variable]:
  """Returns the variables of a built layer or model, by their names in it.

  Such as backbone/stage2_block1/reduce/conv/kernel.
  """
  return {name_below(layer, variable): variable
          for variable in layer.variables}


def name_below(layer: tf.Module, variable: tf.Variable) -> str:
  """Returns a variable's name without that of the layer it belongs to."""
  name = variable.name.split(':')[0]
  prefix = layer.name + '/'
  return name[len(prefix):] if name.startswith(prefix) else name


def assign(layer: tf.Module, arrays: Mapping[str, np.ndarray], source: str
           ) -> initialization.LoadReport:
  """Sets the variables of a built layer or model that arrays fit.

  Args:
    layer: whose variables are set.
    arrays: by names as those of `variables`.
    source: where they are from, for the report.
  """
  ours = variables(layer)
  both = sorted(ours.keys() & arrays.keys())
  loaded = [name for name in both
            if tuple(ours[name].shape) == arrays[name].shape]
  for name in loaded:
    ours[name].assign(arrays[name].astype(ours[name].dtype.as_numpy_dtype))
  return initialization.LoadReport(
      source, tuple(loaded), tuple(sorted(set(both) - set(loaded))),
      tuple(sorted(ours.keys() - arrays.keys())),
      tuple(sorted(arrays.keys() - ours.keys())))
