"""Trains two steps to estimate a run's time and memory; writes nothing."""

import datetime
import time

import tensorflow as tf

from axial_tf.data import reading_errors
from axial_tf.experiment import experiment, out_of_memory
from axial_tf.keras2 import keras
from axial_tf.tasks import registry
from axial_tf.training import progress


def describe(settings: experiment.Experiment,
             strategy: tf.distribute.Strategy) -> str:
  """Builds everything, trains two steps and returns lines for a terminal.

  The first step traces the graph and is not counted.

  Args:
    settings: settings of the run.
    strategy: strategy of the run; the precision policy is already set.

  Raises:
    errors.UserError: the data or the settings do not work.
  """
  data = settings.task.data
  with strategy.scope(), reading_errors.reading_errors(
      data.train_pattern, data.validation_pattern), (
          out_of_memory.training(settings, None)):
    task = registry.build(settings.task, settings.run, settings.optimizer)
    model = task.build_model()
    task.initialize(model)
    optimizer = task.create_optimizer(None)
    batches = iter(strategy.distribute_datasets_from_function(
        lambda context: task.build_inputs('train', context)))

    @tf.function(autograph=False)
    def step(inputs):
      return strategy.run(
          lambda batch: task.train_step(batch, model, optimizer)[task.loss],
          [inputs])

    times = []
    for _ in range(2):
      batch = next(batches)
      start = time.perf_counter()
      loss = strategy.reduce('MEAN', step(batch), axis=None)
      times.append(time.perf_counter() - start)
  image = strategy.experimental_local_results(batch['image'])[0]
  height, width = image.shape[1:3]
  steps, size = settings.run.train_steps, settings.run.global_batch_size
  return '\n'.join([
      _layers(model),
      f'parameters: {_count(model.trainable_variables):,} trainable, '
      f'{_count(model.non_trainable_variables):,} others',
      f'multiply-adds: {model.multiply_adds(height, width) / 1e9:.4g} billion '
      f'for an image of {height} x {width}',
      f'loss of the second step: {float(loss):.4g}',
      f'peak memory: {progress.peak_memory()}',
      f'time: {times[1]:.3g} s a step ({size / times[1]:.3g} images/s), '
      f'{datetime.timedelta(seconds=round(times[1] * steps))} for '
      f'{steps} steps without validation'])


def _layers(model: keras.Model) -> str:
  """One line for each part of the model, with its parameters."""
  lines = [f'{model.name}:']
  lines += [
      f'  {layer.name:<30} {type(layer).__name__:<24} '
      f'{_count(layer.trainable_variables):>14,}' for layer in model.layers]
  return '\n'.join(lines)


def _count(variables) -> int:
  return sum(variable.shape.num_elements() for variable in variables)
