"""The Model Garden's trainer with stops, a watch on the loss, frozen norms."""

import sys
from typing import Optional

from official.core import base_trainer
import tensorflow as tf

from axial_tf import errors
from axial_tf.files import paths
from axial_tf.keras2 import keras
from axial_tf.training import (
  checkpoints,
  exchange,
  freezing,
  optimizers,
  profiling,
  stop_signal,
)

# Several workers check this rarely whether one of them should stop.
_STEPS_BETWEEN_QUESTIONS = 10


class WatchedLoss(keras.metrics.Mean):
  """A mean that records the first value that is too large or not finite.

  Reading the loss of each step on the host would make the device wait.
  """

  def __init__(self, name: str, limit: float):
    super().__init__(name, dtype=tf.float32)
    self._limit = limit
    # With SUM, an assigned value would be divided among the replicas.
    mean = tf.VariableAggregation.MEAN
    self._good = self.add_weight('good', initializer='ones', aggregation=mean)
    self._good_steps = self.add_weight(
        'good_steps', initializer='zeros', aggregation=mean)

  def update_state(self, values, sample_weight=None):
    loss = tf.reduce_mean(tf.cast(values, tf.float32))
    good = tf.cast(
        tf.math.is_finite(loss) & (loss <= self._limit), tf.float32)
    self._good.assign(self._good * good)
    self._good_steps.assign_add(self._good)
    return super().update_state(values, sample_weight)

  def reset_state(self):
    super().reset_state()
    self._good.assign(1.0)

  def first_bad(self) -> Optional[int]:
    """Returns the number of good steps before the first bad one, or None.

    All workers must call it at the same step, and get the same result.
    """
    if float(self._good.read_value()) == 1:
      return None
    strategy = tf.distribute.get_strategy()
    return int(min(exchange.gather(min(
        float(steps) for steps in strategy.experimental_local_results(
            self._good_steps)))))


class Trainer(base_trainer.Trainer):
  """Stops between two steps; names the step with a non-finite loss.

  Attributes:
    bad_step: the first step of the last loop whose loss was too large or not
      finite; None if there was none.
  """

  def __init__(self, *args, max_loss: float, stop: stop_signal.StopSignal,
               checkpoint_dir: str, frozen_after: Optional[int] = None,
               profiler: Optional[profiling.StepProfiler] = None, **kwargs):
    super().__init__(*args, **kwargs)
    self._train_loss = WatchedLoss('training_loss', max_loss)
    # A run whose rate was lowered after a divergence resumes at that rate.
    self.checkpoint.rate_scale = self.task.rate_scale
    self._stop = stop
    self._checkpoint_dir = checkpoint_dir
    self._frozen_after = frozen_after
    self._profiler = profiler
    self._first_step = 0
    self.bad_step: Optional[int] = None

  def initialize(self):
    # Workers other than the chief keep checkpoints in separate folders, but
    # resume from the chief's.
    path = checkpoints.latest(self._checkpoint_dir)
    if path:
      self.checkpoint.restore(paths.literal(path))
    else:
      super().initialize()

  def create_train_loop_fn(self):
    if self._frozen_after is None:
      return self._stoppable_loop()
    switch = freezing.Switch(self.model)
    loops = {}  # The loop of the current phase, by whether norms are frozen.

    def two_phases(iterator, num_steps):
      first = min(max(self._frozen_after - self._first_step, 0), int(num_steps))
      for frozen, steps in ((False, first), (True, int(num_steps) - first)):
        if not steps:
          continue
        if frozen not in loops:
          loops.clear()
          self._freeze(switch, frozen)
          loops[frozen] = self._stoppable_loop()
        if loops[frozen](iterator, tf.constant(steps)):
          return

    return two_phases

  def _freeze(self, switch: freezing.Switch, frozen: bool) -> None:
    """Freezes all batch norms, or thaws them when a run returned to before."""
    switch.set(frozen)
    if frozen:
      optimizers.settle_slow_weights(self.optimizer, switch.variables)
      if self.strategy.extended.should_checkpoint:
        print(f'batch norms keep their statistics after step '
              f'{self._frozen_after}', file=sys.stderr, flush=True)

  def _stoppable_loop(self):
    """Returns (iterator, number of steps) -> whether it was stopped."""
    loop = super().create_train_loop_fn()
    if self.config.trainer.train_tf_while_loop:
      return loop  # The device runs it as a whole.

    # Workers must stop at the same step, and polling them all takes time.
    several = isinstance(
        self.strategy, tf.distribute.MultiWorkerMirroredStrategy)
    interval = _STEPS_BETWEEN_QUESTIONS if several else 1

    def stoppable(iterator, num_steps):
      begin = int(self.global_step.numpy())
      for step in range(begin + 1, begin + 1 + int(num_steps)):
        if self._profiler:
          self._profiler.before(step)
        loop(iterator, 1)
        if self._profiler:
          self._profiler.after(step, self.global_step)
        if step % interval == 0 and self._stop.agreed():
          return True
      return False

    return stoppable

  def prepare_training(self):
    """Creates the optimizer's variables, for the restored or first weights.

    Raises:
      errors.UserError: the run would resume with a new optimizer.
    """
    optimizers.create_variables(
        self.optimizer, self.model.trainable_variables)
    # Imported weights, which start at step 0, have no optimizer.
    if int(self.global_step.numpy()) > 0:
      self._require_whole_state()

  def train_loop_begin(self):
    self._restart_averages()
    self._first_step = int(self.global_step.numpy())

  def train_loop_end(self):
    good = self._train_loss.first_bad()
    self.bad_step = None if good is None else self._first_step + good + 1
    return super().train_loop_end()

  def eval_begin(self):
    self._restart_averages()
    super().eval_begin()
    self._swap_slow_weights()

  def eval_end(self, aggregated_logs=None):
    logs = super().eval_end(aggregated_logs)
    self._swap_slow_weights()
    return logs

  def _require_whole_state(self):
    path = checkpoints.latest(self._checkpoint_dir)
    try:
      self.checkpoint.restore(
          paths.literal(path)).assert_existing_objects_matched()
    except AssertionError as error:
      raise errors.UserError(
          f"{path}: lacks variables of this run's optimizer; it was written by "
          f'another optimizer or another version: resume with that one, or '
          f'start a new run from its weights with RunSettings.init_checkpoint'
      ) from error

  def _restart_averages(self):
    # Imported weights, which start at step 0, have no averages.
    if (int(self.global_step.numpy()) == 0
        and isinstance(self.optimizer, optimizers.Averaging)):
      self.optimizer.restart()

  def _swap_slow_weights(self):
    optimizers.swap_slow_weights(
        self.optimizer, self.model.trainable_variables)

  def eval_reduce(self, state=None, step_outputs=None):
    # The weights were saved before the validation.
    self._stop.check(int(self.global_step.numpy()))
    return super().eval_reduce(state, step_outputs)
