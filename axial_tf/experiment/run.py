"""Runs an experiment: trains, validates and saves with the Model Garden."""

import contextlib
import functools
import itertools
import os
import sys
from typing import Iterator, Optional

import numpy as np
from official.core import config_definitions, train_lib, train_utils
import tensorflow as tf

from axial_tf import errors
from axial_tf.data import reading_errors
from axial_tf.experiment import (
  config,
  experiment,
  out_of_memory,
  run_folder,
  tuned,
)
from axial_tf.experiment import dry_run as dry_run_lib
from axial_tf.files import atomic_files, folder_lock, model_folders, paths
from axial_tf.keras2 import keras
from axial_tf.tasks import panoptic, registry
from axial_tf.training import (
  best_checkpoint,
  checkpoints,
  exchange,
  loss_guard,
  profiling,
  progress,
  run_settings,
  stop_signal,
  strategies,
  trainer,
)

MODES = ('train', 'eval', 'train_and_eval', 'continuous_eval')


def run(
    settings: experiment.Experiment, model_dir: str, mode: str
) -> Optional[dict]:
  """Trains and validates; an existing run in `model_dir` is resumed.

  SIGTERM ends training, on all its workers, with a checkpoint and status 143.

  Args:
    settings: experiment to run, parsed by `axial_tf.experiment.config`.
    model_dir: folder of checkpoints, summaries and the configuration.
    mode: one of MODES.

  Returns:
    The last validation's metrics, or None when nothing was validated.

  Raises:
    errors.UserError: `model_dir` cannot be used, belongs to another model or
      is in use, devices or workers are missing, the loss diverged, or another
      worker has ended.
  """
  trains = 'train' in mode
  place = strategies.find_place(settings.run, trains)
  with run_folder.usable(model_dir, mode), contextlib.ExitStack() as stack:
    if trains and place.is_chief:
      stack.enter_context(folder_lock.held(model_dir, 'model_dir'))
    strategy = prepare(settings.run, place, trains)
    stack.enter_context(strategies.worker_errors(place.cluster))
    stop = stop_signal.StopSignal()
    if trains:
      stack.enter_context(stop)
      stack.enter_context(run_folder.writing_errors(model_dir))
    return _run(settings, strategy, model_dir, mode, stop)


def dry_run(settings: experiment.Experiment) -> str:
  """Trains a few steps without a folder; returns their time and memory as text.

  Raises:
    errors.UserError: the data or the settings do not work.
  """
  with _dry(settings.run) as strategy:
    return dry_run_lib.describe(settings, strategy)


def measure(settings: experiment.Experiment, validation_steps: int
            ) -> dry_run_lib.Measured:
  """Trains and validates a few steps without a folder.

  Raises:
    errors.UserError: the data or the settings do not work.
  """
  with _dry(settings.run) as strategy:
    return dry_run_lib.measure(settings, strategy, validation_steps)


@contextlib.contextmanager
def _dry(settings: run_settings.RunSettings
         ) -> Iterator[tf.distribute.Strategy]:
  """Prepares steps that belong to no folder; yields their strategy."""
  place = strategies.find_place(settings, trains=True)
  strategy = prepare(settings, place, trains=True)
  with config.plain_user_errors(), strategies.worker_errors(place.cluster):
    yield strategy


def prepare(settings: run_settings.RunSettings,
            place: Optional[strategies.Place] = None, trains: bool = False
            ) -> tf.distribute.Strategy:
  """Makes the settings that affect the whole program; returns the strategy."""
  place = place or strategies.find_place(settings, trains)
  if settings.seed is not None:
    keras.utils.set_random_seed(settings.seed)
  if settings.deterministic:
    tf.config.experimental.enable_op_determinism()
  _set_precision(settings.mixed_precision)
  strategy = strategies.start(settings, place)
  if trains:
    settings.require_shared(strategy.num_replicas_in_sync)
  return strategy


def _run(settings, strategy, model_dir, mode, stop) -> Optional[dict]:
  if mode == 'eval':
    settings = tuned.apply_to_run(settings, model_dir)
  with strategy.scope():
    task = registry.build(
        settings.task, settings.run, settings.optimizer, logging_dir=model_dir)
    checkpoint = checkpoints.latest(model_dir)
    if checkpoint:
      checkpoints.require_match(task.build_model(), checkpoint)
      task.first_step = checkpoints.step_of(checkpoint)

  is_chief = strategy.extended.should_checkpoint
  with _quiet_orbit(), config.plain_user_errors(), (
      checkpoints.reading_errors(checkpoint)):
    runner = _build_runner(
        settings, strategy, task, paths.literal(model_dir), mode, stop)
  controller, global_step = runner.controller, runner.trainer.global_step
  with strategy.scope():
    _require_same_step(int(global_step.numpy()), model_dir)
  line = progress.ProgressLine(
      global_step, settings.run.train_steps, settings.run.global_batch_size)
  if 'train' in mode:
    with strategy.scope():
      runner.trainer.prepare_training()
    controller.train_actions += (
        loss_guard.LossGuard(runner.trainer, model_dir, settings.run),
        line, _StopAction(controller, stop))
    if is_chief:
      _print_unused_tuning(settings.task, model_dir)
      run_folder.require_space(
          model_dir, runner.trainer.model,
          settings.run.checkpoints_to_keep + 1 + settings.run.keep_best)
      run_folder.save_configuration(model_dir, settings, task.spec)
      controller.train_actions += (
          _Introduction(controller, task, settings, model_dir),)

  def validate() -> dict:
    with _quiet_orbit(), out_of_memory.validation(settings, model_dir):
      metrics = {k: float(v) for k, v in controller.evaluate().items()
                 if k != f'best_{task.BEST_METRIC}'}  # It is in best/.
    step = int(global_step.numpy())
    print(f'validation at step {step}:\n{task.validation_table}',
          file=sys.stderr, flush=True)
    if mode == 'eval':
      _print_tuning(settings.task, task.spec, model_dir, checkpoint)
    if is_chief:
      progress.append_metrics(model_dir, step, metrics)
    line.restart_clock()
    return metrics

  data = settings.task.data
  with strategy.scope(), reading_errors.reading_errors(
      data.train_pattern, data.validation_pattern):
    if mode == 'eval':
      return validate()
    if mode == 'continuous_eval':
      return _evaluate_continuously(
          controller, model_dir, settings.run.train_steps, validate)
    with out_of_memory.training(settings, model_dir):
      return _train(controller, settings.run, model_dir, validate
                    if mode == 'train_and_eval' else None)


def _print_tuning(settings, spec, model_dir, checkpoint) -> None:
  """Says on which images the merging was tuned, if it was."""
  if not isinstance(settings, panoptic.PanopticTaskSettings):
    return
  line = tuned.description(
      model_dir, tuned.Choice.of(settings, spec), checkpoint,
      settings.data.validation_pattern)
  if line is not None:
    print(line, file=sys.stderr, flush=True)


def _print_unused_tuning(settings, model_dir) -> None:
  """Says that a training does not use what was tuned for the run, if it was."""
  if isinstance(settings, panoptic.PanopticTaskSettings) and (
      tuned.load(model_dir) is not None):
    print(f'{tuned.path(model_dir)}: not used by validations of a training, '
          f'so that they differ by the weights alone; it was tuned for an '
          f'earlier checkpoint: run axial_tf.tune again when the training ends',
          file=sys.stderr, flush=True)


def _train(controller, settings, model_dir, validate) -> Optional[dict]:
  """Trains to the last step, with validations in between if requested."""
  metrics = None
  step = int(controller.global_step.numpy())
  if step >= settings.train_steps:
    print(f'already trained to step {step}', file=sys.stderr)
    return validate() if validate else None
  if validate and settings.validate_at_start and step == 0:
    validate()
  interval = settings.validation_interval
  if validate and step and step % interval == 0 and exchange.of_chief(
      progress.metrics_at(model_dir, step)) is None:
    validate()  # The run was stopped during this validation.
  while step < settings.train_steps:
    stop = min(settings.train_steps, (step // interval + 1) * interval)
    with _quiet_orbit():
      # A validation may take long, so the weights are saved before it.
      controller.train(stop if validate else settings.train_steps)
    step = int(controller.global_step.numpy())
    metrics = validate() if validate else None
  return metrics


def _evaluate_continuously(controller, model_dir, train_steps, validate):
  """Validates each new checkpoint up to that of the last step."""
  metrics = None
  is_chief = controller.strategy.extended.should_checkpoint
  # All validate what the chief finds: workers may look at different times.
  for path in (tf.train.checkpoints_iterator(paths.literal(model_dir))
               if is_chief else itertools.repeat(None)):
    with _quiet_orbit():
      controller.restore_checkpoint(exchange.of_chief(path))
    metrics = validate()
    if int(controller.global_step.numpy()) >= train_steps:
      break
  return metrics


def _require_same_step(step: int, model_dir: str) -> None:
  """Raises a UserError if the workers of a run have different checkpoints."""
  steps = exchange.gather(step)
  if len(set(steps)) > 1:
    raise errors.UserError(
        f'{model_dir}: expected one folder for all workers, but their newest '
        f'checkpoints are of the steps {", ".join(map(str, steps))} (0 is '
        f'none); give all of them the --model_dir of one shared folder')


def _build_runner(settings, strategy, task, model_dir, mode, stop):
  """Joins the task with the Model Garden's loop."""
  parameters = _trainer_config(settings.run, task.BEST_METRIC)
  with strategy.scope():
    loop = train_utils.create_trainer(
        parameters, task, train='train' in mode, evaluate='eval' in mode,
        checkpoint_exporter=_best_exporter(
            settings, task, model_dir, mode),
        trainer_cls=functools.partial(
            trainer.Trainer, max_loss=settings.run.max_loss, stop=stop,
            checkpoint_dir=model_dir,
            frozen_after=settings.run.frozen_after,
            profiler=_profiler(settings, strategy, model_dir)))
  return train_lib.OrbitExperimentRunner(
      strategy, task, mode, parameters, model_dir, trainer=loop,
      save_summary=strategy.extended.should_checkpoint)


def _profiler(settings, strategy, model_dir):
  """Profiles the requested steps, on the chief."""
  if (settings.run.profile_steps is None
      or not strategy.extended.should_checkpoint):
    return None
  return profiling.StepProfiler(
      os.path.join(model_dir, 'train'), *settings.run.profile_steps)


def _best_exporter(settings, task, model_dir, mode):
  """Keeps the checkpoint of the best validation, while training."""
  if not settings.run.keep_best or mode != 'train_and_eval':
    return None
  return best_checkpoint.BestCheckpoint(
      os.path.join(model_dir, checkpoints.BEST), task.BEST_METRIC)


def _trainer_config(
    settings: run_settings.RunSettings, best_metric: str
) -> config_definitions.ExperimentConfig:
  """Translates the settings into the Model Garden's configuration."""
  task = config_definitions.TaskConfig()
  # Task.build_inputs gets these to select the data set.
  task.train_data, task.validation_data = 'train', 'validation'
  return config_definitions.ExperimentConfig(
      task=task,
      runtime=config_definitions.RuntimeConfig(
          distribution_strategy=settings.strategy),
      trainer=config_definitions.TrainerConfig(
          train_steps=settings.train_steps,
          validation_interval=settings.validation_interval,
          steps_per_loop=settings.steps_per_loop,
          summary_interval=settings.steps_per_loop,
          checkpoint_interval=settings.checkpoint_interval,
          max_to_keep=settings.checkpoints_to_keep,
          best_checkpoint_eval_metric=best_metric,
          recovery_max_trials=-1,  # LossGuard takes care of that.
          # It would take SIGTERM from StopSignal, and continue after it.
          preemption_on_demand_checkpoint=False,
          # A while loop in the graph saves host traffic on TPUs only.
          train_tf_while_loop=settings.strategy == 'tpu'))


class _StopAction:
  """A train action: saves and ends the run after SIGTERM."""

  def __init__(self, controller, stop: stop_signal.StopSignal):
    self._controller = controller
    self._stop = stop

  def __call__(self, output) -> None:
    if self._stop.agreed():
      self._controller.save_checkpoint()
      # Job schedulers kill the other workers when the first one ends, so all
      # wait until the chief has written the last byte.
      exchange.gather(None)
      self._stop.check(int(self._controller.global_step.numpy()))


def _set_precision(name: str) -> None:
  keras.mixed_precision.set_global_policy(
      name if name == 'float32' else f'mixed_{name}')


class _Introduction:
  """A train action: logs the run's inputs after the first loop.

  These are the settings in use and a few training images.
  """

  def __init__(self, controller, task, settings, model_dir):
    self._controller = controller
    self._task = task
    self._text = settings.operative_text
    self._model_dir = model_dir
    self._done = False

  def __call__(self, output) -> None:
    if self._done:
      return
    self._done = True
    atomic_files.write(
        os.path.join(self._model_dir, model_folders.OPERATIVE_CONFIG),
        self._text.encode())
    with self._controller.summary_manager.summary_writer().as_default():
      step = self._controller.global_step
      tf.summary.text(
          'gin/operative_config', config.markdown(self._text), step=step)
      for name, picture in self._task.training_pictures().items():
        tf.summary.image(name, picture[np.newaxis], step=step)


@contextlib.contextmanager
def _quiet_orbit():
  """Keeps Orbit, which also logs each event, from printing it to stdout."""
  with open(os.devnull, 'w') as sink, contextlib.redirect_stdout(sink):
    yield
