"""The run itself: trains, validates and saves through the Model Garden."""

import contextlib
import json
import os
import sys
from typing import Optional

from official.common import distribute_utils
from official.core import config_definitions, train_lib
import tensorflow as tf

from axial_tf import config, errors, whole_files
from axial_tf.data import record_checks
from axial_tf.tasks import registry
from axial_tf.training import checkpoints, experiment, progress

MODES = ('train', 'eval', 'train_and_eval', 'continuous_eval')


def run(
    settings: experiment.Experiment, model_dir: str, mode: str
) -> Optional[dict]:
  """Trains and validates; a run in `model_dir` is continued.

  Args:
    settings: what to run; `axial_tf.config` holds its gin text.
    model_dir: folder of checkpoints, summaries and the configuration.
    mode: one of MODES.

  Returns:
    The last validation's metrics, or None when nothing was validated.

  Raises:
    errors.UserError: `model_dir` cannot be used or belongs to another model.
  """
  with _usable(model_dir, mode):
    return _run(settings, model_dir, mode)


def _run(settings, model_dir, mode) -> Optional[dict]:
  if settings.run.seed is not None:
    tf.keras.utils.set_random_seed(settings.run.seed)
  _set_precision(settings.run.mixed_precision)
  strategy = distribute_utils.get_distribution_strategy(
      settings.run.strategy, num_gpus=settings.run.num_gpus,
      tpu_address=settings.run.tpu_address)
  with strategy.scope():
    task = registry.build(
        settings.task, settings.run, settings.optimizer, logging_dir=model_dir)
    checkpoint = checkpoints.latest(model_dir)
    if checkpoint:
      checkpoints.require_match(task.build_model(), checkpoint)

  with _quiet_orbit(), config.plain_user_errors():
    runner = train_lib.OrbitExperimentRunner(
        strategy, task, mode, _trainer_config(settings), model_dir)
  controller, global_step = runner.controller, runner.trainer.global_step
  line = progress.ProgressLine(
      global_step, settings.run.train_steps, settings.run.global_batch_size)
  is_chief = strategy.extended.should_checkpoint
  if 'train' in mode:
    controller.train_actions += (line,)
    if is_chief:
      _save_configuration(model_dir, settings.task, task.spec)
      controller.train_actions += (_OperativeConfig(controller, model_dir),)

  def validate() -> dict:
    with _quiet_orbit():
      metrics = {k: float(v) for k, v in controller.evaluate().items()}
    step = int(global_step.numpy())
    print(f'validation at step {step}:\n{task.validation_table}',
          file=sys.stderr, flush=True)
    if is_chief:
      progress.append_metrics(model_dir, step, metrics)
    line.restart_clock()
    return metrics

  data = settings.task.data
  with strategy.scope(), record_checks.reading_errors(
      data.train_pattern, data.validation_pattern):
    if mode == 'eval':
      return validate()
    if mode == 'continuous_eval':
      return _evaluate_continuously(
          controller, settings.run.train_steps, validate)
    return _train(controller, settings.run, validate
                  if mode == 'train_and_eval' else None)


def _train(controller, run_settings, validate) -> Optional[dict]:
  """Trains to the last step, validating in between when asked."""
  metrics = None
  step = int(controller.global_step.numpy())
  if step >= run_settings.train_steps:
    print(f'already trained to step {step}', file=sys.stderr)
    return validate() if validate else None
  if validate and run_settings.validate_at_start and step == 0:
    validate()
  while step < run_settings.train_steps:
    interval = run_settings.validation_interval
    stop = min(run_settings.train_steps, (step // interval + 1) * interval)
    with _quiet_orbit():
      controller.train(
          stop if validate else run_settings.train_steps,
          checkpoint_at_completion=stop == run_settings.train_steps)
    step = int(controller.global_step.numpy())
    metrics = validate() if validate else None
  return metrics


def _evaluate_continuously(controller, train_steps, validate):
  """Validates each new checkpoint until that of the last step."""
  metrics = None
  for path in tf.train.checkpoints_iterator(
      controller.checkpoint_manager.directory):
    with _quiet_orbit():
      controller.restore_checkpoint(path)
    metrics = validate()
    if int(controller.global_step.numpy()) >= train_steps:
      break
  return metrics


def _trainer_config(
    settings: experiment.Experiment) -> config_definitions.ExperimentConfig:
  """Says the run in the Model Garden's words."""
  run_settings = settings.run
  task = config_definitions.TaskConfig()
  # Task.build_inputs gets these back and knows which data set is meant.
  task.train_data, task.validation_data = 'train', 'validation'
  return config_definitions.ExperimentConfig(
      task=task,
      runtime=config_definitions.RuntimeConfig(
          distribution_strategy=run_settings.strategy,
          num_gpus=run_settings.num_gpus),
      trainer=config_definitions.TrainerConfig(
          train_steps=run_settings.train_steps,
          validation_interval=run_settings.validation_interval,
          steps_per_loop=run_settings.steps_per_loop,
          summary_interval=run_settings.steps_per_loop,
          checkpoint_interval=run_settings.checkpoint_interval,
          max_to_keep=run_settings.checkpoints_to_keep,
          # A while loop in the graph saves host traffic on TPUs only.
          train_tf_while_loop=run_settings.strategy == 'tpu'))


@contextlib.contextmanager
def _usable(model_dir: str, mode: str):
  """Makes the folder of a run, and removes it if nothing came of the run."""
  if mode == 'eval' and not checkpoints.latest(model_dir):
    raise errors.UserError(
        f'{model_dir}: no checkpoint to evaluate; train first with '
        f'--mode=train or give the --model_dir of a trained run')
  if os.path.exists(model_dir) and not os.path.isdir(model_dir):
    raise errors.UserError(
        f'{model_dir}: is a file, expected a folder; give another --model_dir')
  is_new = not tf.io.gfile.exists(model_dir)
  if 'train' in mode:
    try:
      tf.io.gfile.makedirs(model_dir)
    except tf.errors.OpError as error:
      raise errors.UserError(
          f'{model_dir}: cannot be made ({error.message}); give a writable '
          f'--model_dir') from error
  try:
    yield
  finally:
    if is_new and tf.io.gfile.isdir(model_dir) and not tf.io.gfile.listdir(
        model_dir):
      tf.io.gfile.rmtree(model_dir)


def _set_precision(name: str) -> None:
  tf.keras.mixed_precision.set_global_policy(
      name if name == 'float32' else f'mixed_{name}')


def _save_configuration(
    model_dir: str, task: registry.TaskSettings, spec) -> None:
  """Writes what rebuilds the model: the gin text and the spec of the data."""
  for name, text in (
      ('config.gin', config.raw_text()),
      (registry.spec_file(task), json.dumps(spec.to_json(), indent=1))):
    whole_files.write(os.path.join(model_dir, name), text.encode())


class _OperativeConfig:
  """A train action: after the first loop, writes the values in use."""

  def __init__(self, controller, model_dir):
    self._controller = controller
    self._model_dir = model_dir
    self._done = False

  def __call__(self, output) -> None:
    if self._done:
      return
    self._done = True
    whole_files.write(
        os.path.join(self._model_dir, 'operative_config.gin'),
        config.operative_text().encode())
    with self._controller.summary_manager.summary_writer().as_default():
      tf.summary.text('gin/operative_config', config.operative_markdown(),
                      step=self._controller.global_step)


@contextlib.contextmanager
def _quiet_orbit():
  """Orbit prints each event to stdout as well as logging it: log only."""
  with open(os.devnull, 'w') as sink, contextlib.redirect_stdout(sink):
    yield
