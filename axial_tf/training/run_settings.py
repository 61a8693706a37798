"""Defines the settings of a run: length, saving, validation, and devices."""

import dataclasses
from typing import Literal, Optional, Tuple

from axial_tf import errors
from axial_tf import settings as settings_lib
from axial_tf.layers import compilation


@dataclasses.dataclass(frozen=True)
class RunSettings:
  """The run around a task.

  Attributes:
    train_steps: optimizer steps in all.
    global_batch_size: images a step, over all replicas.
    accumulate_steps: number of parts that each replica's share of the batch is
      split into and processed one after the other, to save memory. Batch norms
      then see one part at a time.
    validation_batch_size: images a validation step, over all replicas; rounded
      up to a multiple of their number. With one image a replica, each is
      segmented at its original size, exactly as an exported model does it;
      larger batches are padded to their largest image.
    validation_interval: steps between validations in `train_and_eval`.
    validate_at_start: validate the untrained model first (`train_and_eval`).
    checkpoint_interval: steps between checkpoints.
    checkpoints_to_keep: number of checkpoints kept; older ones are deleted.
    steps_per_loop: steps between two lines of progress.
    strategy: a `tf.distribute` strategy by its Model Garden name.
    num_gpus: GPUs to use on each machine; None uses one with 'one_device' and
      all of them with 'mirrored' and 'multi_worker_mirrored', or the CPU if
      there is none; 0 always uses the CPU.
    tpu_address: address or name of the TPU; None uses that of this machine.
    worker_timeout: seconds that a worker waits for the others, or for a TPU,
      when a run starts.
    mixed_precision: compute type; losses, statistics and sums stay in
      float32.
    compile: what XLA compiles: 'auto' what pays on the device, see
      `layers.compilation`; 'always' attention in training and the network in
      validation, which needs fixed sizes, one worker and separate batch norm
      statistics; or 'never'. TPUs compile everything.
    init_checkpoint: a checkpoint, or the folder of a training run, whose
      weights a new run starts from, as far as they fit. The run of a
      classifier initializes the backbone of a segmentation model.
    frozen_batch_norms: patterns of the names of batch norms that keep their
      statistics, scale and shift: ('*',) freezes all of them,
      ('backbone/stage2_*',) those of the first stage.
    frozen_share: share of the training steps, the last ones, in which all batch
      norms keep their statistics, scale and shift. The other weights then adapt
      to what validation and prediction use, from which the statistics of a few
      unlike images differ (Wu and Johnson, 2021, "Rethinking 'Batch' in
      BatchNorm", section 4).
    seed: seed of weights, augmentation and shuffling; None draws a new one.
      With a seed, a resumed run continues at the same point of the data.
    deterministic: slower operations that give the same results in each run;
      needs a seed.
    max_loss: a loss above it, or one that is not finite, stops the run before
      a checkpoint is written.
    recoveries: number of times that such a run returns to its last checkpoint
      and resumes with other data at `recovery_rate` times its learning rate.
    recovery_rate: factor of the learning rate, see `recoveries`.
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
  num_gpus: Optional[int] = None
  tpu_address: Optional[str] = None
  worker_timeout: float = 600.0
  mixed_precision: Literal['float32', 'bfloat16', 'float16'] = 'float32'
  compile: compilation.Mode = 'auto'
  init_checkpoint: Optional[settings_lib.Path] = None
  frozen_batch_norms: Tuple[str, ...] = ()
  frozen_share: float = 0.0
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
        self.num_gpus is None or self.num_gpus >= 0, self, 'num_gpus',
        'None or an int >= 0')
    settings_lib.require(
        self.strategy != 'one_device' or self.num_gpus in (None, 0, 1), self,
        'num_gpus', "None, 0 or 1 with the strategy 'one_device' ('mirrored' "
        'uses several GPUs)')
    settings_lib.require(
        self.worker_timeout > 0, self, 'worker_timeout', 'a number > 0')
    settings_lib.require(
        self.profile_steps is None
        or 1 <= self.profile_steps[0] <= self.profile_steps[1], self,
        'profile_steps', 'two step numbers, 1 <= first <= last')
    settings_lib.require(
        self.profile_steps is None or self.strategy != 'tpu', self,
        'profile_steps', "None with the strategy 'tpu', whose loops run as a "
        "whole (use capture_tpu_profile instead)")
    settings_lib.require(
        self.compile != 'never' or self.strategy != 'tpu', self, 'compile',
        "'auto' with the strategy 'tpu', which compiles everything")
    settings_lib.require(
        self.compile != 'always' or self.strategy != 'multi_worker_mirrored',
        self, 'compile', "'auto' or 'never' with several workers, which do not "
        'know the size of their batches while tracing')
    settings_lib.require(
        0 <= self.frozen_share < 1, self, 'frozen_share', 'a number in [0, 1)')
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

  @property
  def frozen_after(self) -> Optional[int]:
    """The last step in which batch norms learn; None if they always do."""
    if self.frozen_share == 0:
      return None
    return round(self.train_steps * (1 - self.frozen_share))

  def validation_batch(self, replicas: int) -> int:
    """Returns the validation batch size that replicas can share evenly."""
    return -(-self.validation_batch_size // replicas) * replicas

  def require_shared(self, replicas: int) -> None:
    """Checks that replicas can share a training batch evenly.

    Raises:
      errors.UserError: they cannot.
    """
    parts = replicas * self.accumulate_steps
    if self.global_batch_size % parts:
      lower = self.global_batch_size // parts * parts
      raise errors.UserError(
          f'RunSettings.global_batch_size (BATCH_SIZE in the gin files): '
          f'expected a multiple of {parts} ({replicas} replicas times '
          f'{self.accumulate_steps} accumulate_steps), such as '
          f'{f"{lower} or " if lower else ""}{lower + parts}, got '
          f'{self.global_batch_size}')
