"""Reads checkpoints, with readable errors if they do not fit the model."""

import contextlib
import os
import re
from typing import Dict, List, Optional, Tuple

import numpy as np
import tensorflow as tf

from axial_tf import errors
from axial_tf.files import paths
from axial_tf.keras2 import keras

MODEL = 'model/'
VALUE = '/.ATTRIBUTES/VARIABLE_VALUE'
# The file that names the newest checkpoint, and the files of each one.
_STATE = 'checkpoint'
_FILES = re.compile(r'\.(index|data-\d{5}-of-\d{5})$')
# The folder of the best checkpoint, and the one that the Model Garden makes.
BEST = 'best'
_OF_VALIDATION = (BEST, 'ema_checkpoints')
# The weights that validation used instead of the latest ones, if any: averages,
# or else the slow weights of Lookahead.
_VALIDATED = tuple(re.compile(
    f'{MODEL}(.*)/.OPTIMIZER_SLOT/optimizer(?:/[^.]+)?/{slot}{VALUE}')
    for slot in ('average', 'slow'))


def latest(model_dir: str) -> Optional[str]:
  """Returns the newest checkpoint of a run, or None.

  Raises:
    errors.UserError: its file named `checkpoint` is damaged.
  """
  # tf.train.latest_checkpoint takes folders such as run[1] for patterns.
  try:
    state = tf.train.get_checkpoint_state(model_dir)
  except ValueError as error:
    raise errors.UserError(
        f'{os.path.join(model_dir, _STATE)}: is damaged '
        f'({errors.first_line(error)}); copy the run again') from error
  if state is None or not _exists(state.model_checkpoint_path):
    return None
  return state.model_checkpoint_path


def find(path: str) -> str:
  """Returns TensorFlow's name of the checkpoint that a user's path refers to.

  Args:
    path: a checkpoint or one of its files (.index, .data-...), or the folder
      of a training run or its file `checkpoint`, for the newest one.

  Raises:
    errors.UserError: there is none.
  """
  paths.require_reachable(path)
  path = _FILES.sub('', path)
  folder, name = os.path.split(path)
  if name == _STATE:
    path = folder or '.'
  found = latest(path) if tf.io.gfile.isdir(path) else path
  if not found or not _exists(found):
    raise errors.UserError(
        f'{path}: holds no checkpoint; give the folder of a training run, or a '
        f'checkpoint in it')
  return found


def reader(checkpoint: str):
  """Opens a checkpoint; returns a `tf.train.CheckpointReader`."""
  return tf.train.load_checkpoint(paths.literal(checkpoint))


def _exists(checkpoint: str) -> bool:
  return tf.io.gfile.exists(f'{checkpoint}.index')


def step_of(checkpoint: str) -> int:
  """Returns the step at which a training checkpoint was written."""
  return int(reader(checkpoint).get_tensor(
      'global_step/.ATTRIBUTES/VARIABLE_VALUE'))


def restore_model(model: keras.Model, checkpoint: str) -> None:
  """Loads the weights of a built model from a training checkpoint.

  If the training has averaged or slow weights, these are loaded.

  Raises:
    errors.UserError: the checkpoint lacks a variable of the model, has one
      with another shape or non-finite values, or cannot be read.
  """
  require_match(model, checkpoint)
  try:
    status = tf.train.Checkpoint(model=model).read(paths.literal(checkpoint))
    status.expect_partial().assert_existing_objects_matched()
    _restore_validated(model, checkpoint)
  except (tf.errors.OpError, AssertionError, IndexError, ValueError
          ) as error:
    raise errors.UserError(
        f'{checkpoint}: cannot be read as a checkpoint of this model '
        f'({errors.first_line(error)}); it may be damaged or another model\'s: '
        f'choose another checkpoint or model_dir') from error
  for variable in model.variables:
    if variable.dtype.is_floating and not np.isfinite(variable.numpy()).all():
      raise errors.UserError(
          f'{checkpoint}: {variable.name} is not finite (NaN or infinity); '
          f'training has diverged; choose an earlier checkpoint, or train '
          f'with a lower learning rate')


@contextlib.contextmanager
def reading_errors(checkpoint: Optional[str]):
  """Turns the errors of a damaged checkpoint's files into a UserError."""
  try:
    yield
  except (tf.errors.DataLossError, tf.errors.NotFoundError, IndexError
          ) as error:
    if checkpoint is None:
      raise
    raise errors.UserError(
        f'{checkpoint}: cannot be read ({errors.first_line(error)}); it may '
        f'be damaged: choose another checkpoint or model_dir') from error


def places(model: tf.Module) -> Dict[str, tf.Variable]:
  """Returns the variables of a model, or of a layer, by their names in it.

  Names such as backbone/stage2_block1/reduce/conv/kernel are the shortest
  attribute paths to the variables. A training checkpoint prefixes them with
  MODEL and appends VALUE.
  """
  found: Dict[int, Tuple[str, tf.Variable]] = {}
  for path, variable in paths_to_variables(model).items():
    found.setdefault(id(variable), (path, variable))
  return dict(found.values())


def paths_to_variables(model: tf.Module) -> Dict[str, tf.Variable]:
  """Returns all attribute paths to variables, the shortest ones first.

  Earlier checkpoints, and patterns for them, use names that are now longer
  paths, see `layers.named`: backbone/stages/0/0/reduce/conv/kernel.
  """
  wanted = {id(variable): variable for variable in model.variables}
  view = tf.train.TrackableView(model)
  queue: List[Tuple[str, object]] = [('', model)]
  for path, node in queue:
    if id(node) not in wanted:
      queue.extend((os.path.join(path, name), child)
                   for name, child in view.children(node).items())
  return {path: wanted[id(node)] for path, node in queue if id(node) in wanted}


def validated_keys(checkpoint: str) -> Dict[str, str]:
  """Returns the keys of the weights that validation uses, by their paths.

  These are averages, or else the slow weights of Lookahead; none if the
  optimizer has neither. Checkpoints that a validation wrote already hold them
  as the model's weights.
  """
  if os.path.basename(os.path.dirname(checkpoint)) in _OF_VALIDATION:
    return {}
  names = sorted(reader(checkpoint).get_variable_to_shape_map())
  for pattern in _VALIDATED:
    matches = filter(None, map(pattern.fullmatch, names))
    keys = {match.group(1): match.group() for match in matches}
    if keys:
      return keys
  return {}


def _restore_validated(model: keras.Model, checkpoint: str) -> None:
  keys = validated_keys(checkpoint)
  if keys:
    stored = reader(checkpoint)
    for path, variable in paths_to_variables(model).items():
      if path in keys:
        variable.assign(stored.get_tensor(keys[path]))


def require_match(model: keras.Model, checkpoint: str) -> None:
  """Checks the shapes of all model variables without loading them."""
  try:
    stored = reader(checkpoint).get_variable_to_shape_map()
  except (tf.errors.OpError, ValueError) as error:
    raise errors.UserError(
        f'{checkpoint}: cannot be read as a checkpoint '
        f'({errors.first_line(error)}); choose another checkpoint or '
        f'model_dir') from error
  stored_shapes = sorted(
      tuple(shape) for name, shape in stored.items()
      if name.startswith('model/') and '/.OPTIMIZER_SLOT/' not in name
      and name.endswith('VARIABLE_VALUE'))
  shapes = sorted(tuple(v.shape.as_list()) for v in model.variables)
  if stored_shapes != shapes:
    raise errors.UserError(
        f'{checkpoint}: is a checkpoint of another model ({len(stored_shapes)}'
        f' variables with {_count(stored_shapes):,} values; the configured '
        f'model has {len(shapes)} with {_count(shapes):,}); give another '
        f'--model_dir or the configuration that belongs to '
        f'{os.path.dirname(checkpoint)}')


def _count(shapes) -> int:
  return sum(int(tf.TensorShape(shape).num_elements()) for shape in shapes)
