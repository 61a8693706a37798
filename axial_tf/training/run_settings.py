"""How long to train, how often to save and validate, and on what devices."""

import dataclasses
from typing import Literal, Optional

from axial_tf import settings as settings_lib


@dataclasses.dataclass(frozen=True)
class RunSettings:
  """The run around a task.

  Attributes:
    train_steps: optimizer steps in all.
    global_batch_size: images a step, over all replicas.
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
    seed: of weights, augmentation and shuffling; None draws a new one.
  """

  train_steps: int = 60000
  global_batch_size: int = 32
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
  init_checkpoint: Optional[str] = None
  seed: Optional[int] = None

  def __post_init__(self):
    settings_lib.check_types(self)
    for field in (
        'train_steps', 'global_batch_size', 'validation_batch_size',
        'validation_interval', 'checkpoint_interval', 'checkpoints_to_keep',
        'steps_per_loop'):
      settings_lib.require(
          getattr(self, field) >= 1, self, field, 'an int >= 1')
    settings_lib.require(
        self.num_gpus >= 0, self, 'num_gpus', 'an int >= 0')
