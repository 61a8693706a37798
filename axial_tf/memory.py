"""Recognizes that a device has no more memory, and says how much it has."""

import contextlib
import ctypes
import math
import os
import re
import resource
from typing import Callable, Iterator, Optional

import tensorflow as tf

from axial_tf import errors

# What TensorFlow, XLA, cuDNN and TPUs call it.
_SIGNS = re.compile(
    r'OOM when|out of memory|out_of_memory|fail(ed|ure) to allocate|'
    r'at the bottom of memory|ALLOC_FAILED', re.IGNORECASE)
_TYPES = (tf.errors.ResourceExhaustedError, tf.errors.InternalError,
          tf.errors.UnknownError)
_UNITS = {'': 1, 'K': 2 ** 10, 'M': 2 ** 20, 'G': 2 ** 30, 'T': 2 ** 40}


def is_exhausted(error: BaseException) -> bool:
  """Whether an error says that a device or this machine has no more memory."""
  return isinstance(error, MemoryError) or (
      isinstance(error, _TYPES) and bool(_SIGNS.search(str(error))))


@contextlib.contextmanager
def reported(line: Callable[[Exception], str]) -> Iterator[None]:
  """Turns errors of a device without memory into a line for the user.

  Args:
    line: function of the error that returns the line.

  Raises:
    errors.UserError: a device, or this machine, has no more memory.
  """
  try:
    yield
  except (tf.errors.OpError, MemoryError) as error:
    if not is_exhausted(error):
      raise
    raise errors.UserError(line(error)) from error


def describe(error: BaseException) -> str:
  """Returns the device, its memory and what was requested, as far as known."""
  text = f'out of memory on the {_kind(error)}'
  total, more = capacity(error), _requested(error)
  if total is not None:
    text += f', which has {amount(total)}'
  if more is not None:
    text += f' (and needed {amount(more)} more)'
  return text


def capacity(error: BaseException) -> Optional[int]:
  """Returns the bytes of the device that an error is about; None: unknown."""
  kind, message = _kind(error), str(error)
  if kind == 'TPU':
    found = re.search(r'of ([\d.]+)([KMGT]?) hbm', message)
    return found and int(float(found[1]) * _UNITS[found[2]])
  return _gpu_bytes() if kind == 'GPU' else _host_bytes()


def of_device() -> Optional[int]:
  """Returns the bytes of the first GPU, or of this machine without one."""
  return (_gpu_bytes() if tf.config.get_visible_devices('GPU')
          else _host_bytes())


def _host_bytes() -> int:
  total = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
  limit = resource.getrlimit(resource.RLIMIT_AS)[0]
  return total if limit == resource.RLIM_INFINITY else min(total, limit)


def amount(count: float) -> str:
  """Returns a number of bytes as text."""
  return f'{count / 1e9:.3g} GB' if count >= 1e8 else f'{count / 1e6:.3g} MB'


def _kind(error) -> str:
  message = str(error)
  found = re.search(r'device:([CGT]PU):\d', message)
  if found:
    return found[1]
  if 'hbm' in message:
    return 'TPU'
  on_host = isinstance(error, MemoryError) or not (
      tf.config.get_visible_devices('GPU'))
  return 'CPU' if on_host else 'GPU'


def _requested(error) -> Optional[int]:
  """Returns the bytes of the tensor or buffer that did not fit."""
  message = str(error)
  found = re.search(r'shape\[([\d,]+)\] and type (\w+)', message)
  if found:
    sides = map(int, found[1].split(','))
    return math.prod(sides) * tf.as_dtype(found[2]).size
  found = re.search(r'allocate ([\d.]+)\s?([KMGT]?)i?B?', message)
  return found and int(float(found[1].rstrip('.')) * _UNITS[found[2]])


def _gpu_bytes() -> Optional[int]:
  """Asks the driver, as TensorFlow knows only how much is in use."""
  total, device = ctypes.c_size_t(), ctypes.c_int()
  try:
    driver = ctypes.CDLL('libcuda.so.1')
    failed = (driver.cuInit(0)
              or driver.cuDeviceGet(ctypes.byref(device), 0)
              or driver.cuDeviceTotalMem_v2(ctypes.byref(total), device))
  except (AttributeError, OSError):
    return None
  return None if failed else total.value
