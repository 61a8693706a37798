"""What all tasks share: the optimizer and its step on a batch."""

import abc
import sys
from typing import Any, Dict, Optional, Sequence

from official.core import base_task
import tensorflow as tf

from axial_tf import errors
from axial_tf.training import initialization, optimizers, run_settings


class TrainedTask(base_task.Task, abc.ABC):
  """A task of the Model Garden's trainer; subclasses say what is learned.

  Attributes:
    spec: what the labels of the data mean.
    validation_table: the last validation's figures, for a terminal.
  """

  # Names of what `training_values` returns besides the loss.
  VALUES: Sequence[str] = ()

  def __init__(
      self, settings: Any, spec: Any, run: run_settings.RunSettings,
      optimizer: optimizers.OptimizerSettings,
      logging_dir: Optional[str] = None):
    super().__init__(settings, logging_dir=logging_dir)
    self.spec = spec
    self.validation_table = ''
    self._settings = settings
    self._run = run
    self._optimizer_settings = optimizer
    self._optimizer = None
    if (run.mixed_precision == 'float16'
        and optimizer.average_decay is not None):
      raise errors.UserError(
          "OptimizerSettings.average_decay: expected None with "
          "RunSettings.mixed_precision = 'float16', got "
          f"{optimizer.average_decay}; use 'bfloat16' with averages")

  @abc.abstractmethod
  def training_values(self, inputs: Dict[str, tf.Tensor], model
                      ) -> Dict[str, tf.Tensor]:
    """Runs the model in training.

    Returns:
      float32 [batch] each: 'total_loss', whose mean is to be lowered, and the
      VALUES that are reported.
    """

  def initialize(self, model: tf.keras.Model) -> None:
    """Takes over what fits of `init_checkpoint`, in a run that begins.

    Raises:
      errors.UserError: there is no such checkpoint, or nothing fits.
    """
    if self._run.init_checkpoint is not None:
      report = initialization.load(model, self._run.init_checkpoint)
      print(report.format_table(), file=sys.stderr, flush=True)
      if isinstance(self._optimizer, optimizers.Averaging):
        self._optimizer.restart()

  def create_optimizer(self, optimizer_config, runtime_config=None):
    """Builds the configured optimizer; the Model Garden's is not used."""
    del optimizer_config, runtime_config
    optimizer = optimizers.build_optimizer(
        self._optimizer_settings, self._run.train_steps)
    self._optimizer = optimizer
    if self._run.mixed_precision == 'float16':
      optimizer = tf.keras.mixed_precision.LossScaleOptimizer(optimizer)
    return optimizer

  def build_metrics(self, training: bool = True):
    if not training:
      return []
    return [tf.keras.metrics.Mean(name, dtype=tf.float32)
            for name in self.VALUES]

  def train_step(self, inputs, model, optimizer, metrics=None):
    """One optimizer step on a replica's share of the batch."""
    with tf.GradientTape() as tape:
      values = self.training_values(inputs, model)
      total = tf.reduce_mean(values['total_loss'])
      # The optimizer sums gradients over replicas.
      scaled = total / tf.distribute.get_strategy().num_replicas_in_sync
      if isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer):
        scaled = optimizer.get_scaled_loss(scaled)
    variables = model.trainable_variables
    gradients = tape.gradient(scaled, variables)
    if isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer):
      gradients = optimizer.get_unscaled_gradients(gradients)
    if self._optimizer_settings.clip_norm is not None:
      gradients, _ = tf.clip_by_global_norm(
          gradients, self._optimizer_settings.clip_norm)
    gradients = optimizers.add_decay(
        gradients, variables, self._optimizer_settings)
    optimizer.apply_gradients(zip(gradients, variables))
    for metric in metrics or ():
      metric.update_state(tf.reduce_mean(values[metric.name]))
    return {self.loss: total}
