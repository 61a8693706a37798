"""Measures medians of alternating runs, and peak memory in a new process."""

import multiprocessing
import pathlib
import time
from typing import Callable, Dict

import numpy as np


def median_times(functions: Dict[str, Callable], runs: int) -> Dict[str, float]:
  """Returns median milliseconds of functions, called in turn, after warm-up."""
  for function in functions.values():
    function()
  times = {name: [] for name in functions}
  for _ in range(runs):
    for name, function in functions.items():
      start = time.perf_counter()
      function()
      times[name].append(1e3 * (time.perf_counter() - start))
  return {name: float(np.median(values)) for name, values in times.items()}


def peak_memory(function: Callable[[], None]) -> float:
  """Megabytes that a call adds to the peak of this process (Linux only)."""
  before = _resident('VmRSS')
  pathlib.Path('/proc/self/clear_refs').write_text('5')  # resets VmHWM
  function()
  return _resident('VmHWM') - before


def in_new_process(function: Callable, *arguments):
  """Returns the result of a module's function, run in a new process."""
  context = multiprocessing.get_context('spawn')
  with context.Pool(1, maxtasksperchild=1) as pool:
    return pool.apply(function, arguments)


def _resident(field: str) -> float:
  """Resident memory of this process in megabytes: now or at its peak."""
  for line in pathlib.Path('/proc/self/status').read_text().splitlines():
    if line.startswith(field + ':'):
      return int(line.split()[1]) / 1024
  raise LookupError(f'/proc/self/status has no line {field}')
