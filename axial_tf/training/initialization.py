"""Initializes a run from the weights of another one, with a report.

Weights are matched by their name in the model, such as
backbone/stage2_block1/reduce/conv/kernel, and by their shape. So a classifier
initializes the backbone of a segmentation model of the same widths and blocks,
whatever its image size, span and output stride; parts that differ (the stem,
the heads) keep their initial values and are reported. Averaged weights are
preferred where the other run has them.
"""

import collections
import dataclasses
import re
from typing import Mapping, Tuple

import numpy as np
import tensorflow as tf

from axial_tf import errors
from axial_tf.keras2 import keras
from axial_tf.training import checkpoints


@dataclasses.dataclass(frozen=True)
class LoadReport:
  """The outcome for each weight, by its name in the model.

  Attributes:
    source: path of the checkpoint.
    loaded: weights that were loaded.
    mismatched: weights in both, but of different shapes; not loaded.
    missing: weights of the model only.
    unused: weights of the checkpoint only.
  """

  source: str
  loaded: Tuple[str, ...]
  mismatched: Tuple[str, ...]
  missing: Tuple[str, ...]
  unused: Tuple[str, ...]

  def format_table(self) -> str:
    """Returns lines for a terminal: the number of weights of each part."""
    lines = [f'weights from {self.source}:']
    for what, meaning in (
        ('loaded', ''), ('mismatched', ' (other shape)'),
        ('missing', ' in the checkpoint'), ('unused', ' by the model')):
      names = getattr(self, what)
      parts = collections.Counter(map(_part, names))
      line = f'  {what}{meaning}: {len(names)}'
      if parts:
        line += ' (' + ', '.join(
            f'{part} {count}' for part, count in sorted(parts.items())) + ')'
      lines.append(line)
    return '\n'.join(lines)


def load(model: keras.Model, path: str) -> LoadReport:
  """Loads all weights of a checkpoint that fit a built model.

  Args:
    model: model whose variables are set.
    path: path of a checkpoint, or of a training run's folder, see
      `checkpoints.find`.

  Raises:
    errors.UserError: there is no checkpoint, or none of its weights fits.
  """
  checkpoint = checkpoints.find(path)
  try:
    report = assign(model, _read(model, checkpoint), checkpoint)
  except (tf.errors.OpError, IndexError, ValueError) as error:
    raise errors.UserError(
        f'{checkpoint}: cannot be read as a checkpoint '
        f'({errors.first_line(error)}); it may be damaged: choose '
        f'another one') from error
  if not report.loaded:
    mismatched = len(report.mismatched)
    raise errors.UserError(
        f'{checkpoint}: none of its {mismatched + len(report.unused)} weights '
        f'fits one of the {mismatched + len(report.missing)} of the model; '
        f'give a checkpoint of axial_tf with the same backbone (width, blocks, '
        f'heads), or none')
  return report


def assign(model: tf.Module, arrays: Mapping[str, np.ndarray], source: str
           ) -> LoadReport:
  """Sets the variables of a built model or layer from matching arrays.

  Args:
    model: model whose variables are set.
    arrays: values by the names of `checkpoints.places`.
    source: path of the file with the values, for the report.
  """
  ours = checkpoints.places(model)
  both = ours.keys() & arrays.keys()
  loaded = {name for name in both
            if tuple(ours[name].shape) == arrays[name].shape}
  for name in loaded:
    ours[name].assign(arrays[name].astype(ours[name].dtype.as_numpy_dtype))
  return LoadReport(source, *(tuple(sorted(names)) for names in (
      loaded, both - loaded, ours.keys() - both, arrays.keys() - both)))


def _read(model, checkpoint):
  """Returns the weights of a training checkpoint by their current names."""
  reader = checkpoints.reader(checkpoint)
  validated = checkpoints.validated_keys(checkpoint)
  today = {variable.ref(): name
           for name, variable in checkpoints.places(model).items()}
  names = {path: today[variable.ref()] for path, variable in
           checkpoints.paths_to_variables(model).items()}
  stored = {
      key: key[len(checkpoints.MODEL):-len(checkpoints.VALUE)]
      for key in reader.get_variable_to_shape_map()
      if key.startswith(checkpoints.MODEL) and key.endswith(checkpoints.VALUE)
      and '/.OPTIMIZER_SLOT/' not in key}
  return {names.get(path, path): reader.get_tensor(validated.get(path, key))
          for key, path in stored.items()}


def _part(name: str) -> str:
  """backbone/stage2_block1/reduce/conv/kernel -> backbone/stage2."""
  match = re.match(r'backbone/[^/_]*|[^/]*', name)
  return match.group()
