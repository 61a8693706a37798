"""Defines the base class of tasks: the optimizer and its step on a batch."""

import abc
import sys
from typing import Any, Dict, Optional, Sequence

import numpy as np
from official.core import base_task
import tensorflow as tf

from axial_tf import errors
from axial_tf.keras2 import keras
from axial_tf.layers import compilation
from axial_tf.layers.attention import backends
from axial_tf.training import (
  freezing,
  initialization,
  kept_for_backward,
  optimizers,
  run_settings,
)

# A metric in addition to VALUES: the global gradient norm before clipping.
GRADIENT_NORM = 'gradient_norm'


class TrainedTask(base_task.Task, abc.ABC):
  """A task of the Model Garden's trainer; subclasses define what is learned.

  Attributes:
    spec: meaning of the data's labels.
    validation_table: scores of the last validation, for a terminal.
    first_step: first step of the training data that `build_inputs` returns; set
      by a resumed run.
    rate_scale: factor of the learning rate, below 1 after a recovery.
  """

  # The metric that selects the best checkpoint; more is better.
  BEST_METRIC: str = ''
  # Names of the outputs of `training_values` besides the loss.
  VALUES: Sequence[str] = ()

  def __init__(
      self, settings: Any, spec: Any, run: run_settings.RunSettings,
      optimizer: optimizers.OptimizerSettings,
      logging_dir: Optional[str] = None):
    super().__init__(settings, logging_dir=logging_dir)
    _require_sound(run, optimizer)
    self.spec = spec
    self.validation_table = ''
    self.first_step = 0
    self.rate_scale = tf.Variable(1.0, trainable=False, name='rate_scale')
    self._settings = settings
    self._run = run
    self._optimizer_settings = optimizer
    self._optimizer = None

  @property
  def validation_batch_size(self) -> int:
    """Images in a validation step, over all replicas."""
    return self._run.validation_batch(
        tf.distribute.get_strategy().num_replicas_in_sync)

  @abc.abstractmethod
  def training_values(self, inputs: Dict[str, tf.Tensor], model
                      ) -> Dict[str, tf.Tensor]:
    """Runs the model in training.

    Returns:
      float32 [batch] each: 'total_loss', whose mean is minimized, and the
      reported VALUES.
    """

  def _prepared(self, model: keras.Model) -> keras.Model:
    """Returns a new network, changed as the run says."""
    freezing.freeze_batch_norms(model, self._run.frozen_batch_norms)
    backend = compilation.backend_of_run(self._run.compile)
    if backend == 'compiled':
      _require_separate_statistics(model)
    if backend is not None:
      backends.assign(model, backend)
    return model

  def _validation_compiles(self, images: tf.Tensor) -> bool:
    """Whether XLA compiles the network for images [batch, ...] as a whole."""
    return (compilation.pays(self._run.compile)
            and images.shape[1:].is_fully_defined())

  def _whole_share(self, images: tf.Tensor) -> tf.Tensor:
    """Adds blank images to those of the last batch, so that all have one size.

    Args:
      images: a replica's share of a validation batch, or less.
    """
    share = self.validation_batch_size // (
        tf.distribute.get_strategy().num_replicas_in_sync)
    missing = share - tf.shape(images)[0]
    images = tf.pad(
        images, [[0, missing], *[[0, 0]] * (images.shape.rank - 1)])
    return tf.ensure_shape(images, [share, *images.shape[1:]])

  def training_pictures(self) -> Dict[str, np.ndarray]:
    """Draws training images for TensorBoard; by default none."""
    return {}

  def initialize(self, model: keras.Model) -> None:
    """Loads the matching weights of `init_checkpoint` into a new run.

    Raises:
      errors.UserError: there is no such checkpoint, or nothing matches.
    """
    if self._run.init_checkpoint is not None:
      report = initialization.load(model, self._run.init_checkpoint)
      print(report.format_table(), file=sys.stderr, flush=True)
      if isinstance(self._optimizer, optimizers.Averaging):
        self._optimizer.restart()

  def kept_bytes(self, images: int) -> int:
    """Counts what a step on some images keeps for its backward pass.

    It is read from a graph, for which no memory of the device is needed; the
    task should not be in use. Temporary memory within an operation comes on
    top.
    """
    inputs = self.build_inputs('train').element_spec
    with tf.Graph().as_default() as graph:
      model = self.build_model()
      inputs = {name: tf.compat.v1.placeholder(x.dtype, [images, *x.shape[1:]])
                for name, x in inputs.items()}
      with tf.GradientTape() as tape:
        loss = tf.reduce_mean(self.training_values(inputs, model)['total_loss'])
      forward = len(graph.get_operations())
      tape.gradient(loss, model.trainable_variables)
      return sum(map(kept_for_backward.num_bytes, kept_for_backward.tensors(
          graph.get_operations(), forward)))

  def create_optimizer(self, optimizer_config, runtime_config=None):
    """Builds the configured optimizer; the Model Garden's is not used."""
    del optimizer_config, runtime_config
    optimizer = optimizers.build_optimizer(
        self._optimizer_settings, self._run.train_steps, self.rate_scale)
    self._optimizer = optimizer
    if self._run.mixed_precision == 'float16':
      optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
    return optimizer

  def build_metrics(self, training: bool = True):
    if not training:
      return []
    return [keras.metrics.Mean(name, dtype=tf.float32)
            for name in (*self.VALUES, GRADIENT_NORM)]

  # No condition depends on a tensor; converting would delay the first step.
  @tf.autograph.experimental.do_not_convert
  def train_step(self, inputs, model, optimizer, metrics=None):
    """One optimizer step on a replica's share of the batch."""
    variables = model.trainable_variables
    gradients, values = self._mean_gradients(inputs, model, optimizer)
    # Summed here, not by the optimizer, so that the gradient of the global
    # batch is clipped and reported, whatever the number of replicas.
    gradients = tf.distribute.get_replica_context().all_reduce(
        tf.distribute.ReduceOp.SUM, gradients)
    values[GRADIENT_NORM] = tf.linalg.global_norm(gradients)
    if self._optimizer_settings.clip_norm is not None:
      gradients, _ = tf.clip_by_global_norm(
          gradients, self._optimizer_settings.clip_norm,
          values[GRADIENT_NORM])
    gradients = optimizers.add_decay(
        gradients, variables, self._optimizer_settings)
    optimizer.apply_gradients(
        zip(gradients, variables), experimental_aggregate_gradients=False)
    for metric in metrics or ():
      metric.update_state(values[metric.name])
    return {self.loss: values['total_loss']}

  def _mean_gradients(self, inputs, model, optimizer):
    """Returns gradients and values of a replica's share, part by part.

    The gradients of all replicas add up to those of the mean loss.
    """
    parts = self._run.accumulate_steps
    gradients, values = self._gradients(
        _part(inputs, 0, parts), model, optimizer)
    for number in range(1, parts):
      # Without this dependency, all parts would be in memory at once.
      with tf.control_dependencies(gradients):
        part = tf.nest.map_structure(
            tf.identity, _part(inputs, number, parts))
      more, more_values = self._gradients(part, model, optimizer)
      gradients = [old + new for old, new in zip(gradients, more)]
      values = {name: values[name] + more_values[name] for name in values}
    if parts == 1:
      return gradients, values
    return ([gradient / parts for gradient in gradients],
            {name: value / parts for name, value in values.items()})

  def _gradients(self, inputs, model, optimizer):
    """Returns gradients and mean values of one part of the batch."""
    is_scaled = isinstance(
        optimizer, keras.mixed_precision.LossScaleOptimizer)
    with tf.GradientTape() as tape:
      values = {name: tf.reduce_mean(value) for name, value in
                self.training_values(inputs, model).items()}
      loss = values['total_loss'] / (
          tf.distribute.get_strategy().num_replicas_in_sync)
      if is_scaled:
        loss = optimizer.get_scaled_loss(loss)
    gradients = tape.gradient(loss, model.trainable_variables)
    if is_scaled:
      gradients = optimizer.get_unscaled_gradients(gradients)
    return gradients, values


def _require_sound(run: run_settings.RunSettings,
                   optimizer: optimizers.OptimizerSettings) -> None:
  """Checks settings that depend on each other."""
  if run.mixed_precision == 'float16' and optimizer.average_decay is not None:
    raise errors.UserError(
        "OptimizerSettings.average_decay: expected None with "
        "RunSettings.mixed_precision = 'float16', got "
        f"{optimizer.average_decay}; use 'bfloat16' with averages")


def _require_separate_statistics(model: keras.Model) -> None:
  """Checks that attention can be compiled where this run computes it."""
  if backends.synchronizes(model):
    raise errors.UserError(
        "RunSettings.compile: expected 'auto' or 'never' for batch norms "
        "whose statistics replicas share, got 'always'; set "
        "BatchNormSettings.synchronized = False to compile")


def _part(inputs: Dict[str, tf.Tensor], number: int, parts: int
          ) -> Dict[str, tf.Tensor]:
  """Returns one of `parts` equal parts of a replica's batch."""
  if parts == 1:
    return inputs
  step = next(iter(inputs.values())).shape[0] // parts
  return {name: value[number * step:(number + 1) * step]
          for name, value in inputs.items()}
