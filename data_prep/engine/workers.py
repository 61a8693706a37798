"""Applies a function in several processes, keeping the order."""

import collections
from concurrent import futures
from concurrent.futures import process as process_futures
import itertools
import multiprocessing
import os
import pickle
import signal
import threading
import time
from typing import Any, Callable, Iterable, Iterator

import tensorflow as tf

from axial_tf import errors

# Limit of buffered results behind a slow one; bounds the memory.
_WAITING_PER_PROCESS = 16
# Seconds after which the time of all items is predicted, and those of remaining
# work that are worth starting processes, which load TensorFlow first.
_TRIAL, _WORTH = 2.0, 10.0


def quickest_map(function: Callable[[Any], Any], items: Iterable[Any],
                 count: int) -> Iterator[Any]:
  """As `ordered_map`, here or with a process per core for what takes long.

  Args:
    function: see there.
    items: see there.
    count: number of items.
  """
  items = iter(items)
  start = time.monotonic()
  for done, item in enumerate(items, 1):
    yield function(item)
    elapsed = time.monotonic() - start
    if elapsed > _TRIAL and elapsed / done * (count - done) > _WORTH:
      break
  yield from ordered_map(function, items, len(os.sched_getaffinity(0)))


def ordered_map(function: Callable[[Any], Any], items: Iterable[Any],
                processes: int) -> Iterator[Any]:
  """Yields function(item) for each item, in the order of the items.

  Args:
    function: picklable function; an exception in it ends the iteration.
    items: picklable items; read lazily.
    processes: number of processes; 1 calls the function here, lazily.

  Raises:
    errors.UserError: a process died, for instance out of memory.
  """
  if processes == 1:
    yield from map(function, items)
    return
  items = iter(items)
  # A new interpreter for each: a fork of a process in which TensorFlow's
  # threads hold locks may wait for them forever.
  executor = futures.ProcessPoolExecutor(
      processes, multiprocessing.get_context('spawn'),
      initializer=_start, initargs=(pickle.dumps(function),))
  try:
    waiting = collections.deque(
        executor.submit(_call, item) for item in itertools.islice(
            items, processes * _WAITING_PER_PROCESS))
    while waiting:
      result = waiting.popleft().result()
      waiting.extend(
          executor.submit(_call, item) for item in itertools.islice(items, 1))
      yield result
  except process_futures.BrokenProcessPool as error:
    raise errors.UserError(
        f'one of {processes} processes ended unexpectedly, perhaps out of '
        f'memory; run the command again with fewer --processes') from error
  finally:
    executor.shutdown(wait=False, cancel_futures=True)


def leave_gpus() -> None:
  """Keeps TensorFlow off the GPUs, whose memory it would reserve."""
  tf.config.set_visible_devices([], 'GPU')


_function: Callable[[Any], Any]


def _start(pickled_function: bytes) -> None:
  """Initializes a process: the function to call, and when to end."""
  global _function  # Sent once per process instead of once per item.
  _function = pickle.loads(pickled_function)
  # Ctrl-C reaches the whole group; the parent decides what happens.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  # They encode on the CPU; each would reserve memory of a GPU.
  leave_gpus()
  # There is already one process per core.
  tf.config.threading.set_intra_op_parallelism_threads(1)
  tf.config.threading.set_inter_op_parallelism_threads(1)
  threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
  """Ends this process if its parent is killed; it would wait forever."""
  multiprocessing.parent_process().join()
  os._exit(1)


def _call(item):
  return _function(item)
