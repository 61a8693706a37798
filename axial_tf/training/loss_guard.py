"""What happens when the loss explodes or is no number."""

import os
import sys

from official.core import actions
import tensorflow as tf

from axial_tf import errors
from axial_tf.training import run_settings


class LossGuard:
  """A train action: stops a run before its bad weights are saved.

  With `recoveries`, it goes back to the last checkpoint as often as that and
  lowers the learning rate each time; what follows trains on other batches.
  """

  def __init__(self, trainer, checkpoint_manager: tf.train.CheckpointManager,
               settings: run_settings.RunSettings):
    self._trainer = trainer
    self._manager = checkpoint_manager
    self._settings = settings
    self._recover = actions.RecoveryAction(checkpoint_manager)
    self._left = settings.recoveries

  def __call__(self, output) -> None:
    step = self._trainer.bad_step
    if step is None:
      return
    kept = os.path.basename(self._manager.latest_checkpoint or '')
    trouble = (f'the loss of step {step} {self._batch(step)} is not finite, or '
               f'above {self._settings.max_loss:g}')
    if not self._left or not kept:
      raise errors.UserError(
          f'{trouble}; the last good checkpoint is {kept or "none yet"}: lower '
          f'LEARNING_RATE, set OptimizerSettings.clip_norm, or let '
          f'RunSettings.recoveries be 1 or more')
    self._left -= 1
    scale = self._trainer.task.rate_scale
    lowered = float(scale) * self._settings.recovery_rate
    self._recover(output)  # The rate of the checkpoint, too.
    scale.assign(lowered)
    print(f'{trouble}; going on from {kept} at {lowered:g} times the '
          f'learning rate', file=sys.stderr, flush=True)

  def _batch(self, step: int) -> str:
    size = self._settings.global_batch_size
    seed = self._settings.seed
    order = 'a new order' if seed is None else f'the order of seed {seed}'
    return (f'(images {(step - 1) * size + 1} to {step * size} in {order})')
