"""Measures medians of alternating runs, and peak memory in a new process."""

import multiprocessing
import pathlib
import signal
import time
import traceback
from typing import Any, Callable, Dict, Optional

import numpy as np
import tensorflow as tf


def median_times(functions: Dict[str, Callable], runs: int) -> Dict[str, float]:
  """Returns median milliseconds of functions, called in turn, after warm-up."""
  for function in functions.values():
    wait(function())
  times = {name: [] for name in functions}
  for _ in range(runs):
    for name, function in functions.items():
      start = time.perf_counter()
      wait(function())
      times[name].append(1e3 * (time.perf_counter() - start))
  return {name: float(np.median(values)) for name, values in times.items()}


def wait(result: Any) -> None:
  """Waits for what a function returned: GPUs and TPUs work in the background.

  They finish all outputs of a graph function before one can be read.
  """
  tensors = [x for x in tf.nest.flatten(result) if tf.is_tensor(x)]
  if tensors:
    min(tensors, key=lambda x: x.shape.num_elements()).numpy()


def matmul_peak() -> float:
  """Returns the GFLOP/s of a large matrix product in float32."""
  a = tf.random.stateless_normal([2048, 2048], [1, 2])
  product = tf.function(lambda: tf.matmul(a, a))
  milliseconds = median_times({'product': product}, 9)['product']
  return 2 * 2048 ** 3 / milliseconds / 1e6


def accelerator() -> Optional[str]:
  """Returns the first GPU or TPU that this process uses, such as 'GPU:0'."""
  for kind in ('TPU', 'GPU'):
    if tf.config.list_logical_devices(kind):
      return f'{kind}:0'
  return None


def peak_memory(function: Callable[[], None]) -> float:
  """Megabytes that a call adds to the peak: what TensorFlow allocated on the
  GPU or TPU, if there is one, else of this process (Linux only)."""
  device = accelerator()
  if device is None:
    before = _resident('VmRSS')
    pathlib.Path('/proc/self/clear_refs').write_text('5')  # resets VmHWM
    function()
    return _resident('VmHWM') - before
  tf.config.experimental.reset_memory_stats(device)
  before = tf.config.experimental.get_memory_info(device)['current']
  function()
  return (tf.config.experimental.get_memory_info(device)['peak']
          - before) / 2 ** 20


def in_new_process(
    function: Callable, *arguments, seconds: Optional[float] = None):
  """Returns the result of a module's function, run in a new process.

  Args:
    function: what to call.
    *arguments: its arguments.
    seconds: time after which the process is stopped; None for any time.

  Raises:
    TimeoutError: the process was stopped.
    ChildProcessError: it was ended from outside; `errno` is the negative number
      of the signal.
    Exception: the error of the function.
  """
  context = multiprocessing.get_context('spawn')
  receiver, sender = context.Pipe(duplex=False)
  process = context.Process(
      target=_send, args=(sender, function, arguments), daemon=True)
  # Ctrl-C also reaches the new process, which this one ends.
  handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
  try:
    process.start()
  finally:
    signal.signal(signal.SIGINT, handler)
  sender.close()
  try:
    if not receiver.poll(seconds):
      raise TimeoutError(f'no result within {seconds} s')
    result, error, trace = receiver.recv()
  except EOFError:
    process.join()
    raise ChildProcessError(
        process.exitcode, f'{function.__name__} ended without a result'
    ) from None
  finally:
    process.kill()
    process.join()
  if error is not None:
    raise error from RuntimeError(trace)
  return result


def _send(sender, function, arguments):
  try:
    sender.send((function(*arguments), None, ''))
  except Exception as error:  # whatever it is, the caller raises it
    sender.send((None, error, traceback.format_exc()))


def _resident(field: str) -> float:
  """Resident memory of this process in megabytes: now or at its peak."""
  for line in pathlib.Path('/proc/self/status').read_text().splitlines():
    if line.startswith(field + ':'):
      return int(line.split()[1]) / 1024
  raise LookupError(f'/proc/self/status has no line {field}')
