"""Starting a run from the weights of another one, with a report.

Weights are matched by their place in the model, such as
backbone/stages/0/0/reduce/conv/kernel, and by their shape. So a classifier
initializes the backbone of a segmentation model of the same widths and blocks,
whatever its image size, span and output stride; what differs (the stem, the
heads) keeps its own initial values and is named. Averaged weights are taken
where the other run has them.
"""

import collections
import dataclasses
from typing import Tuple

import tensorflow as tf

from axial_tf import errors
from axial_tf.training import checkpoints


@dataclasses.dataclass(frozen=True)
class LoadReport:
  """What became of each weight, by its place in the model.

  Attributes:
    source: the checkpoint.
    loaded: taken over.
    mismatched: in both, but of another shape; not taken over.
    missing: weights of the model alone.
    unused: weights of the checkpoint alone.
  """

  source: str
  loaded: Tuple[str, ...]
  mismatched: Tuple[str, ...]
  missing: Tuple[str, ...]
  unused: Tuple[str, ...]

  def format_table(self) -> str:
    """Returns lines for a terminal: how many weights of each part."""
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


def load(model: tf.keras.Model, path: str) -> LoadReport:
  """Takes over all weights of a checkpoint that fit a built model.

  Args:
    model: whose variables are set.
    path: path of a checkpoint, or of a training run's folder, see
      `checkpoints.find`.

  Raises:
    errors.UserError: there is no checkpoint, or none of its weights fits.
  """
  checkpoint = checkpoints.find(path)
  try:
    reader = checkpoints.reader(checkpoint)
    stored = {
        key[len(checkpoints.MODEL):-len(checkpoints.VALUE)]: tuple(shape)
        for key, shape in reader.get_variable_to_shape_map().items()
        if key.startswith(checkpoints.MODEL)
        and key.endswith(checkpoints.VALUE)
        and '/.OPTIMIZER_SLOT/' not in key}
    places = checkpoints.places(model)
    validated = checkpoints.validated_keys(checkpoint)
    loaded = [name for name, variable in places.items()
              if stored.get(name) == tuple(variable.shape)]
    for name in loaded:
      places[name].assign(reader.get_tensor(validated.get(
          name, f'{checkpoints.MODEL}{name}{checkpoints.VALUE}')))
  except (tf.errors.OpError, IndexError, ValueError) as error:
    raise errors.UserError(
        f'{checkpoint}: cannot be read as a checkpoint '
        f'({errors.first_line(error)}); it may be damaged: choose '
        f'another one') from error
  report = LoadReport(
      checkpoint, tuple(loaded),
      tuple(sorted((places.keys() & stored.keys()) - set(loaded))),
      tuple(sorted(places.keys() - stored.keys())),
      tuple(sorted(stored.keys() - places.keys())))
  if not loaded:
    raise errors.UserError(
        f'{checkpoint}: none of its {len(stored)} weights fits one of the '
        f'{len(places)} of the model; give a checkpoint of axial_tf with the '
        f'same backbone (width, blocks, heads), or none')
  return report


def _part(name: str) -> str:
  """backbone/stages/0/0/reduce/conv/kernel -> backbone/stages."""
  first, *others = name.split('/')
  return '/'.join([first, *others[:1]]) if first == 'backbone' else first
