"""Loads reference weights, kept under DeepLab2's paths, into our variables."""

from axial_tf.training import checkpoints, initialization
from axial_tf.weights import deeplab2


def reference_arrays(layer, arrays: dict) -> dict:
  """Maps the names of `layer`'s variables to arrays kept by DeepLab2's paths.

  Also arrays of single layers, which have no path to identify them.
  """
  shapes = {name: v.shape for name, v in checkpoints.places(layer).items()}
  return {name: array.reshape(shapes[name])
          for path, array in arrays.items()
          for name in [deeplab2.our_name(path)]}


def assign(layer, arrays: dict) -> None:
  """Sets every variable of a built `layer` from arrays by DeepLab2's paths."""
  report = initialization.assign(
      layer, reference_arrays(layer, arrays), 'reference')
  assert not (report.mismatched or report.missing or report.unused), report


def with_prefix(oracle, prefix: str) -> dict:
  """Returns the arrays of an oracle file under `prefix`, e.g. 'w:'."""
  return {key[len(prefix):]: oracle[key] for key in oracle.files
          if key.startswith(prefix)}
