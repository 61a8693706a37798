"""Published weights as the folder of a training run."""

import json
import os
from typing import Mapping, Union
import uuid

import numpy as np
import tensorflow as tf

from axial_tf import errors
from axial_tf.data.common import record_files
from axial_tf.experiment import config
from axial_tf.files import atomic_files, run_files
from axial_tf.specs import class_spec, dataset_spec
from axial_tf.tasks import classification, panoptic, registry
from axial_tf.training import initialization

_NAMES_SHOWN = 5


def write_run(
    task: registry.TaskSettings, arrays: Mapping[str, np.ndarray], source: str,
    model_dir: str, allow_partial: bool = False) -> initialization.LoadReport:
  """Writes a run at step 0, whose model has weights from elsewhere.

  The configuration that was parsed last goes along.

  Args:
    task: task of the configuration; tells the model.
    arrays: the weights by our variables' names.
    source: where they are from, for messages.
    model_dir: the folder; appears when all is written.
    allow_partial: whether variables without weights, which stay as they were
      initialized, and weights without variables, are no error.

  Returns:
    What became of each weight.

  Raises:
    errors.UserError: the folder is in use or cannot be written, the spec
      cannot be loaded, or the weights do not fit.
  """
  if os.path.exists(model_dir) and (
      not os.path.isdir(model_dir) or os.listdir(model_dir)):
    raise errors.UserError(
        f'{model_dir}: exists already; give a new folder')
  spec = _load_spec(task, arrays)
  model = build_model(task, spec)
  report = initialization.assign(model, arrays, source)
  _require_fit(report, allow_partial)
  temporary = f'{model_dir.rstrip("/")}.writing-{uuid.uuid4().hex}'
  try:
    os.makedirs(temporary)
    _write(temporary, task, model, spec)
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


def _load_spec(task, arrays
               ) -> Union[class_spec.ClassSpec, dataset_spec.DatasetSpec]:
  if isinstance(task, panoptic.PanopticTaskSettings):
    return dataset_spec.DatasetSpec.load(task.spec)
  if task.spec is not None or any(
      pattern.startswith(record_files.TFDS) or record_files.find(pattern)
      for pattern in (task.data.train_pattern, task.data.validation_pattern)):
    return classification.load_spec(task)
  # Weights do not tell what their classes are called.
  bias = arrays.get('last/bias')
  count = task.num_classes or (1000 if bias is None else bias.size)
  return class_spec.ClassSpec('unnamed classes', tuple(
      class_spec.ImageClass(label, f'class_{label:04}', f'class {label}')
      for label in range(count)))


def build_model(task: registry.TaskSettings, spec) -> tf.keras.Model:
  """Returns a built, untrained model of a task for the data of a spec."""
  kind = (panoptic if isinstance(task, panoptic.PanopticTaskSettings)
          else classification)
  return kind.build_model(task, spec)


def _require_fit(report: initialization.LoadReport, allow_partial: bool
                 ) -> None:
  if not report.loaded:
    raise errors.UserError(
        f'{report.source}: none of its weights fits the model (it has '
        f'{_shown(report.unused or report.mismatched)}; the model '
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


def _write(folder: str, task, model: tf.keras.Model, spec) -> None:
  step = tf.Variable(0, dtype=tf.int64)
  tf.train.CheckpointManager(
      tf.train.Checkpoint(model=model, global_step=step), folder,
      max_to_keep=1).save(checkpoint_number=0)
  for name, text in (
      (run_files.CONFIG, config.raw_text()),
      (registry.spec_file(task), json.dumps(spec.to_json(), indent=1))):
    atomic_files.write(os.path.join(folder, name), text.encode())
