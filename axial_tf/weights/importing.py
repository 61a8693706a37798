"""Writes published weights as the folder of a training run."""

import os
from typing import Mapping
import uuid

import numpy as np
import tensorflow as tf

from axial_tf import errors
from axial_tf.data.common import record_files
from axial_tf.experiment import experiment, run_folder
from axial_tf.keras2 import keras
from axial_tf.specs import class_spec, specs
from axial_tf.tasks import registry
from axial_tf.training import initialization

_NAMES_SHOWN = 5


def write_run(
    settings: experiment.Experiment, arrays: Mapping[str, np.ndarray],
    source: str, model_dir: str, allow_partial: bool = False
) -> initialization.LoadReport:
  """Writes a run at step 0 whose model has imported weights.

  Args:
    settings: experiment whose task defines the model; its gin text is saved.
    arrays: the weights by our variables' names.
    source: origin of the weights, for messages.
    model_dir: folder of the run; appears when all is written.
    allow_partial: whether to accept variables without weights, which keep their
      initial values, and weights without variables.

  Returns:
    The outcome for each weight.

  Raises:
    errors.UserError: the folder is in use or cannot be written, the spec
      cannot be loaded, or the weights do not fit.
  """
  if os.path.exists(model_dir) and (
      not os.path.isdir(model_dir) or os.listdir(model_dir)):
    raise errors.UserError(
        f'{model_dir}: exists already; give a new folder')
  spec = _load_spec(settings.task, arrays)
  model = registry.of(settings.task).build_model(settings.task, spec)
  report = initialization.assign(model, arrays, source)
  _require_fit(report, allow_partial)
  temporary = f'{model_dir.rstrip("/")}.writing-{uuid.uuid4().hex}'
  try:
    os.makedirs(temporary)
    _write_checkpoint(temporary, model)
    run_folder.save_configuration(temporary, settings, spec)
    if os.path.isdir(model_dir):
      os.rmdir(model_dir)
    os.rename(temporary, model_dir)
  except (OSError, tf.errors.OpError) as error:
    raise errors.UserError(
        f'{model_dir}: cannot be written ({errors.first_line(error)}); give '
        f'another folder') from error
  finally:
    if os.path.exists(temporary):
      tf.io.gfile.rmtree(temporary)
  return report


def has_records(data) -> bool:
  """Whether there are records of at least one of the splits."""
  return any(pattern.startswith(record_files.TFDS) or record_files.find(pattern)
             for pattern in (data.train_pattern, data.validation_pattern))


def _load_spec(task: registry.TaskSettings, arrays) -> specs.Spec:
  if task.spec is not None or has_records(task.data):
    return registry.of(task).load_spec(task)
  # Weights do not include the names of their classes.
  bias = arrays.get('last/bias')
  count = task.num_classes or (1000 if bias is None else bias.size)
  return class_spec.ClassSpec('unnamed classes', tuple(
      class_spec.ImageClass(label, f'class_{label:04}', f'class {label}')
      for label in range(count)))


def _require_fit(report: initialization.LoadReport, allow_partial: bool
                 ) -> None:
  if not report.loaded:
    raise errors.UserError(
        f'{report.source}: none of its weights fits the model (it has '
        f'{_shown(report.unused or report.mismatched)}; the model has '
        f'{_shown(report.missing or report.mismatched)}); give the gin file of '
        f'its architecture, and the right --source')
  problems = [
      f'{len(names)} {what} ({_shown(names)})' for what, names in (
          ('of another shape', report.mismatched),
          ('missing', report.missing), ('unused', report.unused)) if names]
  if problems and not allow_partial:
    raise errors.UserError(
        f'{report.source}: only {len(report.loaded)} of its weights fit: '
        f'{"; ".join(problems)}. Give the gin file and parameters of its '
        f'architecture, or --allow_partial if the rest may stay untrained')


def _shown(names) -> str:
  more = ', ...' if len(names) > _NAMES_SHOWN else ''
  return ', '.join(names[:_NAMES_SHOWN]) + more


def _write_checkpoint(folder: str, model: keras.Model) -> None:
  step = tf.Variable(0, dtype=tf.int64)
  tf.train.CheckpointManager(
      tf.train.Checkpoint(model=model, global_step=step), folder,
      max_to_keep=1).save(checkpoint_number=0)
