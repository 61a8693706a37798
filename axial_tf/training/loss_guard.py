"""Handles a loss that diverges or is not finite."""

import os
import sys

from axial_tf import errors
from axial_tf.files import paths
from axial_tf.training import checkpoints, run_settings


class LossGuard:
  """A train action: stops a run before its bad weights are saved.

  With `recoveries`, it returns to the last checkpoint up to that many times and
  lowers the learning rate each time; training then sees other batches.
  """

  def __init__(self, trainer, model_dir: str,
               settings: run_settings.RunSettings):
    self._trainer = trainer
    self._model_dir = model_dir
    self._settings = settings
    self._left = settings.recoveries

  def __call__(self, output) -> None:
    step = self._trainer.bad_step
    if step is None:
      return
    # The chief's: other workers keep no checkpoints in `model_dir`.
    kept = checkpoints.latest(self._model_dir)
    name = os.path.basename(kept or 'none yet')
    trouble = (f'the loss of step {step} {self._batch(step)} is not finite, or '
               f'above {self._settings.max_loss:g}')
    if not self._left or not kept:
      raise errors.UserError(
          f'{trouble}; the last good checkpoint is {name}: lower '
          f'LEARNING_RATE, set OptimizerSettings.clip_norm, or set '
          f'RunSettings.recoveries to 1 or more')
    self._left -= 1
    scale = self._trainer.task.rate_scale
    lowered = float(scale) * self._settings.recovery_rate
    with self._trainer.strategy.scope():
      self._trainer.checkpoint.restore(paths.literal(kept))  # The rate, too.
    scale.assign(lowered)
    print(f'{trouble}; resuming from {name} at {lowered:g} times the '
          f'learning rate', file=sys.stderr, flush=True)

  def _batch(self, step: int) -> str:
    size = self._settings.global_batch_size
    seed = self._settings.seed
    order = 'a new order' if seed is None else f'the order of seed {seed}'
    return (f'(images {(step - 1) * size + 1} to {step * size} in {order})')
