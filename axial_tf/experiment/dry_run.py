"""Trains a few steps to measure a run's time and memory; writes nothing."""

import dataclasses
import datetime
import time
from typing import Any, Iterator, List

import numpy as np
import tensorflow as tf

from axial_tf.data import reading_errors
from axial_tf.data.common import reading
from axial_tf.experiment import experiment, out_of_memory
from axial_tf.keras2 import keras
from axial_tf.tasks import registry
from axial_tf.training import progress

# One step is timed at least; more, up to _STEPS, while they take _SECONDS.
_STEPS = 100
_SECONDS = 10.0
# Share of these steps that is not counted: their batches were read while the
# first step was traced.
_READ_AHEAD = 1 / 3


@dataclasses.dataclass(frozen=True)
class Measured:
  """What a few steps on the device have shown.

  Attributes:
    model: the network after these steps.
    height, width: size of the training images.
    loss: the last step's loss.
    first_seconds: time to build everything and to trace the first step of each
      kind.
    step_seconds: time of a step with its share of the reading, the mean of
      later ones.
    validation_seconds: time of a validation step after the first; 0 if none was
      made.
  """

  model: keras.Model
  height: int
  width: int
  loss: float
  first_seconds: float
  step_seconds: float
  validation_seconds: float = 0.0


def measure(settings: experiment.Experiment, strategy: tf.distribute.Strategy,
            validation_steps: int = 0) -> Measured:
  """Builds everything and trains a few steps.

  The first step of each kind traces a graph and is not counted.

  Args:
    settings: settings of the run.
    strategy: strategy of the run; the precision policy is already set.
    validation_steps: number of validation steps, as far as there are images.

  Raises:
    errors.UserError: the data or the settings do not work.
  """
  data = settings.task.data
  begin = time.perf_counter()
  with strategy.scope(), reading_errors.reading_errors(
      data.train_pattern, data.validation_pattern), (
          out_of_memory.training(settings, None)):
    task = registry.build(settings.task, settings.run, settings.optimizer)
    model = task.build_model()
    task.initialize(model)
    optimizer = task.create_optimizer(None)
    batches = _batches(task, strategy, 'train')

    @tf.function(autograph=False)
    def step(inputs):
      return strategy.run(
          lambda batch: task.train_step(batch, model, optimizer)[task.loss],
          [inputs])

    times = []
    while len(times) < 2 or (
        len(times) <= _STEPS and sum(times[1:]) < _SECONDS):
      start = time.perf_counter()
      batch = next(batches)
      # As a number: a GPU is waited for.
      loss = float(strategy.reduce('MEAN', step(batch), axis=None))
      times.append(time.perf_counter() - start)
      if len(times) == 1:
        first = time.perf_counter() - begin
    validations = _validation_seconds(task, model, strategy, validation_steps)
  image = strategy.experimental_local_results(batch['image'])[0]
  return Measured(
      model, *image.shape[1:3], loss, first + sum(validations[:1]),
      _settled(times[1:]), min(validations[1:] or validations or [0.0]))


def describe(settings: experiment.Experiment,
             strategy: tf.distribute.Strategy) -> str:
  """Builds everything, trains a few steps and returns lines for a terminal.

  Raises:
    errors.UserError: the data or the settings do not work.
  """
  found = measure(settings, strategy)
  model, seconds = found.model, found.step_seconds
  steps, size = settings.run.train_steps, settings.run.global_batch_size
  multiply_adds = model.multiply_adds(found.height, found.width)
  return '\n'.join([
      _layers(model),
      f'parameters: {_count(model.trainable_variables):,} trainable, '
      f'{_count(model.non_trainable_variables):,} others',
      f'multiply-adds: {multiply_adds / 1e9:.4g} billion '
      f'for an image of {found.height} x {found.width}',
      f'loss of the last step: {found.loss:.4g}',
      f'peak memory: {progress.peak_memory()}',
      f'time: {seconds:.3g} s a step ({size / seconds:.3g} images/s), '
      f'{datetime.timedelta(seconds=round(seconds * steps))} for '
      f'{steps} steps without validation'])


def _settled(times: List[float]) -> float:
  """Returns the mean of the steps that had to wait for their batches."""
  return float(np.mean(times[int(_READ_AHEAD * len(times)):]))


def _batches(task: registry.Task, strategy: tf.distribute.Strategy,
             kind: str) -> Iterator[Any]:
  return iter(strategy.distribute_datasets_from_function(
      lambda context: reading.untuned(task.build_inputs(kind, context))))


def _validation_seconds(task, model, strategy, steps: int) -> List[float]:
  """Returns the times of a few validation steps, the first with tracing."""
  if not steps:
    return []
  batches = _batches(task, strategy, 'validation')

  # With an iterator, as in a run, images of other sizes need no new graph.
  @tf.function(autograph=False)
  def step(batches):
    return strategy.run(
        lambda batch: task.validation_step(batch, model), [next(batches)])

  times = []
  for _ in range(steps):
    start = time.perf_counter()
    try:
      outputs = step(batches)
    except (StopIteration, tf.errors.OutOfRangeError):
      break
    tf.nest.map_structure(np.asarray, tf.nest.flatten(outputs))
    times.append(time.perf_counter() - start)
  return times


def _layers(model: keras.Model) -> str:
  """One line for each part of the model, with its parameters."""
  lines = [f'{model.name}:']
  lines += [
      f'  {layer.name:<30} {type(layer).__name__:<24} '
      f'{_count(layer.trainable_variables):>14,}' for layer in model.layers]
  return '\n'.join(lines)


def _count(variables) -> int:
  return sum(variable.shape.num_elements() for variable in variables)
