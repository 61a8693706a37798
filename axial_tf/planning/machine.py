"""Measures the machine: its device, its memory, and steps on it."""

import dataclasses
import os
import sys
import tempfile
from typing import Callable, List, Literal, Optional

import tensorflow as tf

from axial_tf import devices, memory
from axial_tf.experiment import config, run
from axial_tf.planning import schedule

# After the first one, they take about the same time.
_VALIDATION_STEPS = 5
# Tensor cores for bfloat16 came with this compute capability.
_BFLOAT16_FROM = (8, 0)


@dataclasses.dataclass(frozen=True)
class Machine:
  """The facts that rules need.

  Attributes:
    name: the device in words.
    device: kind of the device.
    memory: its bytes; None if they are unknown.
    bfloat16: whether it computes faster with 16 bits.
    time: (gin text of an experiment) -> its timing on this device; one
      validation image a step.
  """

  name: str
  device: Literal['cpu', 'gpu']
  memory: Optional[int]
  bfloat16: bool
  time: Callable[[str], schedule.Timing]

  def precision(self) -> List[str]:
    """Returns lines of gin for the precision of this device."""
    return (["RunSettings.mixed_precision = 'bfloat16'"] if self.bfloat16
            else [])


def find() -> Machine:
  """Returns this machine, with its first GPU if there is one."""
  found = devices.available()
  gpus = tf.config.get_visible_devices('GPU')
  capability = tf.config.experimental.get_device_details(gpus[0]).get(
      'compute_capability', (0, 0)) if gpus else (0, 0)
  return Machine(
      str(found), 'gpu' if gpus else 'cpu', memory.of_device(),
      capability >= _BFLOAT16_FROM, _time)


def _time(gin_text: str) -> schedule.Timing:
  with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, 'planned.gin')
    with open(path, 'w', encoding='utf-8') as file:
      file.write(gin_text)
    experiment = config.parse([path])
  found = run.measure(experiment, _VALIDATION_STEPS)
  print(f'timed: {found.step_seconds:.3g} s a step, '
        f'{found.validation_seconds:.3g} s a validation step',
        file=sys.stderr, flush=True)
  return schedule.Timing(
      found.first_seconds, found.step_seconds,
      found.validation_seconds / experiment.run.validation_batch_size)
