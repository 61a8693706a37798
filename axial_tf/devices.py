"""Chooses and names the devices of a run, and tells what programs run on."""

import collections
import contextlib
import dataclasses
import functools
import os
import sys
from typing import Iterator, Literal, Optional, Sequence

import tensorflow as tf

from axial_tf import errors

_DRIVER = '/proc/driver/nvidia/version'
_PROCESSORS = '/proc/cpuinfo'

Kind = Literal['cpu', 'gpu', 'tpu']
_target: Optional[Kind] = None


@dataclasses.dataclass(frozen=True)
class Devices:
  """The devices of one process.

  Attributes:
    gpus: model name of each GPU; empty if the CPU is used.
    reason: reason why the CPU is used.
  """

  gpus: Sequence[str] = ()
  reason: str = ''

  def __str__(self) -> str:
    if not self.gpus:
      return f'CPU ({self.reason})' if self.reason else 'CPU'
    kinds = collections.Counter(self.gpus)
    names = ', '.join(
        name if count == len(self.gpus) else f'{count} x {name}'
        for name, count in kinds.items())
    return f'{len(self.gpus)} GPU{"s" * (len(self.gpus) > 1)} ({names})'

  def announce(self, *before: str) -> None:
    """Prints one line with the devices, after the words in `before`."""
    print(f'devices: {", ".join((*before, str(self)))}', file=sys.stderr,
          flush=True)


def choose(strategy: str, num_gpus: Optional[int], gpus: Sequence[str],
           has_driver: bool = False) -> Devices:
  """Returns the devices that a strategy uses.

  Args:
    strategy: name of the strategy, see RunSettings.
    num_gpus: number of requested GPUs; None for all that the strategy can use.
    gpus: model names of the GPUs that TensorFlow sees.
    has_driver: whether the machine has an NVIDIA driver.

  Raises:
    errors.UserError: more GPUs are requested than there are.
  """
  hint = (
      '; the machine has an NVIDIA driver, but TensorFlow lacks its CUDA '
      f"libraries or the GPU is hidden: pip install 'tensorflow[and-cuda]=="
      f"{tf.__version__}', and check CUDA_VISIBLE_DEVICES"
      if has_driver and not gpus else '')
  if num_gpus is None:
    num_gpus = min(len(gpus), 1) if strategy == 'one_device' else len(gpus)
    return Devices(
        gpus[:num_gpus],
        '' if gpus else f'TensorFlow sees no GPU{hint}')
  if num_gpus > len(gpus):
    raise errors.UserError(
        f'RunSettings.num_gpus: expected at most {len(gpus)}, the number of '
        f'GPUs that TensorFlow sees, got {num_gpus}; leave it out to use the '
        f'available ones{hint}')
  return Devices(
      gpus[:num_gpus], '' if num_gpus else 'RunSettings.num_gpus = 0')


def take(strategy: str, num_gpus: Optional[int]) -> Devices:
  """Chooses among the GPUs of this machine and hides the others.

  TensorFlow would reserve their memory, too. Call this before using it.

  Raises:
    errors.UserError: see `choose`.
  """
  physical = tf.config.list_physical_devices('GPU')
  devices = choose(
      strategy, num_gpus, [_kind(gpu) for gpu in physical], _has_driver())
  try:
    tf.config.set_visible_devices(physical[:len(devices.gpus)], 'GPU')
  except RuntimeError:
    pass  # If the program has already used TensorFlow, they stay visible.
  return devices


def available() -> Devices:
  """Returns the devices that TensorFlow uses by default."""
  gpus = [_kind(gpu) for gpu in tf.config.get_visible_devices('GPU')]
  return choose('one_device', None, gpus, _has_driver())


def of_programs() -> Kind:
  """Returns where programs that are traced now run."""
  if _target is not None:
    return _target
  if isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy):
    return 'tpu'
  return 'gpu' if tf.config.get_visible_devices('GPU') else 'cpu'


def cores() -> int:
  """Returns the number of CPU cores that this process may use."""
  try:
    return len(os.sched_getaffinity(0))
  except AttributeError:  # Linux has it.
    return os.cpu_count() or 1


@functools.lru_cache(None)
def has_avx512() -> bool:
  """Whether the CPU is known to compute on 512 bits at a time (Linux only)."""
  try:
    with open(_PROCESSORS, encoding='utf-8', errors='replace') as file:
      return 'avx512f' in file.read().split()
  except OSError:
    return False


@contextlib.contextmanager
def target(kind: Kind) -> Iterator[None]:
  """Traces programs, while inside, for a device that need not be there."""
  global _target
  before, _target = _target, kind
  try:
    yield
  finally:
    _target = before


def _kind(gpu: tf.config.PhysicalDevice) -> str:
  details = tf.config.experimental.get_device_details(gpu)
  return details.get('device_name', gpu.name)


def _has_driver() -> bool:
  return os.path.exists(_DRIVER)
