"""Checks the folder of a run before training starts, and writes into it."""

import contextlib
import json
import os
import shutil
import uuid

import tensorflow as tf

from axial_tf import errors
from axial_tf.experiment import experiment
from axial_tf.files import atomic_files, folder_lock, model_folders, paths
from axial_tf.keras2 import keras
from axial_tf.specs import specs
from axial_tf.tasks import registry
from axial_tf.training import checkpoints


@contextlib.contextmanager
def usable(model_dir: str, mode: str):
  """Creates the folder of a run, and removes it if the run wrote nothing.

  Raises:
    errors.UserError: it cannot be written to, or belongs to something else, or
      there is nothing to evaluate.
  """
  if mode == 'eval' and not checkpoints.latest(model_dir):
    raise errors.UserError(
        f'{model_dir}: no checkpoint to evaluate; train first with '
        f'--mode=train or give the --model_dir of a trained run')
  if os.path.exists(model_dir) and not os.path.isdir(model_dir):
    raise errors.UserError(
        f'{model_dir}: is a file, expected a folder; give another --model_dir')
  is_new = not tf.io.gfile.exists(model_dir)
  if 'train' in mode:
    _require_own(model_dir)
    _require_writable(model_dir)
  try:
    yield
  finally:
    # Empty folders for later files may already exist.
    if is_new and tf.io.gfile.isdir(model_dir) and not any(
        files for _, _, files in tf.io.gfile.walk(model_dir)):
      tf.io.gfile.rmtree(model_dir)


def require_space(model_dir: str, model: keras.Model, copies: int) -> None:
  """Checks that the checkpoints of a run will fit on a local disk.

  Args:
    model_dir: folder of the checkpoints.
    model: model whose weights they hold; optimizers keep up to four more
      values of each.
    copies: number of checkpoints at a time.

  Raises:
    errors.UserError: there is less space than that.
  """
  if '://' in model_dir:
    return
  needed = copies * 5 * sum(
      variable.shape.num_elements() * variable.dtype.size
      for variable in model.variables)
  free = shutil.disk_usage(model_dir).free
  if free < needed:
    raise errors.UserError(
        f'{model_dir}: {copies} checkpoints need up to {needed / 1e9:.3g} GB, '
        f'but {free / 1e9:.3g} GB are free; free some space, give another '
        f'--model_dir or lower RunSettings.checkpoints_to_keep')


def save_configuration(
    model_dir: str, settings: experiment.Experiment, spec: specs.Spec) -> None:
  """Writes the files that rebuild the model: gin text and spec of the data.

  Raises:
    errors.UserError: a file cannot be written.
  """
  spec_file = registry.of(settings.task).task.spec_file
  for name, text in (
      (model_folders.CONFIG, settings.gin_text),
      (spec_file, json.dumps(spec.to_json(), indent=1))):
    atomic_files.write(os.path.join(model_dir, name), text.encode())


@contextlib.contextmanager
def writing_errors(model_dir: str):
  """Turns a full disk during training into a UserError."""
  try:
    yield
  except (tf.errors.ResourceExhaustedError, tf.errors.UnknownError,
          tf.errors.PermissionDeniedError, OSError) as error:
    if not _is_about_files(error):
      raise
    raise errors.UserError(
        f'{model_dir}: cannot be written ({errors.first_line(error)}); '
        f'earlier checkpoints are intact: free some space and rerun the same '
        f'command') from error


def _is_about_files(error: Exception) -> bool:
  text = str(error)
  return any(words in text for words in (
      'No space left', 'File too large', 'Disk quota', 'Read-only file',
      'Permission denied'))


def _require_own(model_dir: str) -> None:
  if not tf.io.gfile.isdir(model_dir):
    return
  names = [name for name in paths.listdir(model_dir)
           if not name.startswith(folder_lock.PREFIX)]
  if (names and model_folders.CONFIG not in names
      and not checkpoints.latest(model_dir)):
    raise errors.UserError(
        f'{model_dir}: contains other files (such as {sorted(names)[0]}) but '
        f'no training run; give a new or empty --model_dir')


def _require_writable(model_dir: str) -> None:
  probe = os.path.join(model_dir, f'.{uuid.uuid4().hex}.tmp')
  try:
    tf.io.gfile.makedirs(model_dir)
    with tf.io.gfile.GFile(probe, 'w') as file:
      file.write('writable')
    tf.io.gfile.remove(probe)
  except tf.errors.OpError as error:
    raise errors.UserError(
        f'{model_dir}: cannot be created or written ({error.message}); give a '
        f'writable --model_dir') from error
