"""How long to train, how often to save and validate, and on what devices."""

import dataclasses
from typing import Literal, Optional, Tuple

from axial_tf import settings as settings_lib


@dataclasses.dataclass(frozen=True)
class RunSettings:
  """The run around a task.

  Attributes:
    train_steps: optimizer steps in all.
    global_batch_size: images a step, over all replicas.
    accumulate_steps: parts in which each replica works through its share of
      the batch, one after the other, to save memory. Batch norms then see one
      part at a time.
    validation_batch_size: images a validation step. With 1, each image is
      segmented at its own size, exactly as an exported model does it; larger
      batches are padded to their largest image.
    validation_interval: steps between validations in `train_and_eval`.
    validate_at_start: validate the untrained model first (`train_and_eval`).
    checkpoint_interval: steps between checkpoints.
    checkpoints_to_keep: older ones are deleted.
    steps_per_loop: steps between two lines of progress.
    strategy: a `tf.distribute` strategy by its Model Garden name.
    num_gpus: GPUs to use with 'one_device' and 'mirrored'; 0 uses the CPU.
    mixed_precision: compute type; losses and softmax stay in float32.
    init_checkpoint: a checkpoint, or the folder of a training run, whose
      weights a new run starts from, as far as they fit. The run of a
      classifier initializes the backbone of a segmentation model.
    frozen_batch_norms: patterns of the places of batch norms that keep their
      statistics, scale and shift: ('*',) freezes all of them,
      ('backbone/stages/0/*',) those of the first stage.
    seed: of weights, augmentation and shuffling; None draws a new one. With a
      seed, a run that was stopped goes on in the data where it was.
    deterministic: slower operations that give the same results in each run;
      needs a seed.
    max_loss: a loss above it, or one that is not finite, stops the run before
      a checkpoint is written.
    recoveries: how often such a run returns to its last checkpoint and goes on
      with other data at `recovery_rate` times its learning rate.
    recovery_rate: see there.
    profile_steps: first and last step of a profile, for TensorBoard.
    keep_best: whether the checkpoint with the best validation (PQ, top-1) is
      kept in the folder `best`.
  """

  train_steps: int = 60000
  global_batch_size: int = 32
  accumulate_steps: int = 1
  validation_batch_size: int = 1
  validation_interval: int = 5000
  validate_at_start: bool = False
  checkpoint_interval: int = 1000
  checkpoints_to_keep: int = 3
  steps_per_loop: int = 100
  strategy: Literal[
      'one_device', 'mirrored', 'multi_worker_mirrored', 'tpu'] = 'one_device'
  num_gpus: int = 0
  tpu_address: Optional[str] = None
  mixed_precision: Literal['float32', 'bfloat16', 'float16'] = 'float32'
  init_checkpoint: Optional[settings_lib.Path] = None
  frozen_batch_norms: Tuple[str, ...] = ()
  seed: Optional[int] = None
  deterministic: bool = False
  max_loss: float = 1e6
  recoveries: int = 0
  recovery_rate: float = 0.5
  profile_steps: Optional[Tuple[int, int]] = None
  keep_best: bool = True

  def __post_init__(self):
    settings_lib.check_types(self)
    for field in (
        'train_steps', 'global_batch_size', 'accumulate_steps',
        'validation_batch_size', 'validation_interval', 'checkpoint_interval',
        'checkpoints_to_keep', 'steps_per_loop'):
      settings_lib.require(
          getattr(self, field) >= 1, self, field, 'an int >= 1')
    settings_lib.require(
        self.num_gpus >= 0, self, 'num_gpus', 'an int >= 0')
    settings_lib.require(
        self.profile_steps is None
        or 1 <= self.profile_steps[0] <= self.profile_steps[1], self,
        'profile_steps', 'two numbers of steps, 1 <= first <= last')
    settings_lib.require(
        self.profile_steps is None or self.strategy != 'tpu', self,
        'profile_steps', "None with the strategy 'tpu', whose loops run as a "
        "whole (use its own capture_tpu_profile)")
    settings_lib.require(
        not self.deterministic or self.seed is not None, self, 'deterministic',
        'False without a seed')
    settings_lib.require(
        self.max_loss > 0, self, 'max_loss', 'a number > 0')
    settings_lib.require(
        self.recoveries >= 0, self, 'recoveries', 'an int >= 0')
    settings_lib.require(
        0 < self.recovery_rate <= 1, self, 'recovery_rate',
        'a number in (0, 1]')
