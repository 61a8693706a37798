"""Prints a line of progress after each training loop; writes metrics."""

import contextlib
import datetime
import json
import os
import resource
import sys
import time
from typing import Any, Dict, Optional

import tensorflow as tf
from tqdm import tqdm

from axial_tf.files import model_folders


class ProgressLine:
  """An Orbit train action: step, losses, rate, time left, memory."""

  def __init__(self, global_step, train_steps: int, batch_size: int):
    self._global_step = global_step
    self._train_steps = train_steps
    self._batch_size = batch_size
    self._last_step = int(global_step.numpy())
    self._last_time = time.monotonic()
    self._seconds_per_step = None

  def restart_clock(self) -> None:
    """Excludes the time until now (a validation, say) from the rate."""
    self._last_time = time.monotonic()

  def __call__(self, output) -> None:
    step, now = int(self._global_step.numpy()), time.monotonic()
    seconds_per_step = (now - self._last_time) / max(1, step - self._last_step)
    first = self._seconds_per_step is None  # This loop traced the graph.
    self._seconds_per_step = seconds_per_step
    self._last_step, self._last_time = step, now
    losses = '  '.join(
        f'{name} {float(value):.3g}' for name, value in output.items()
        if name != 'training_loss')
    left = datetime.timedelta(
        seconds=round((self._train_steps - step) * seconds_per_step))
    rate = self._batch_size / seconds_per_step
    print(
        f'step {step}/{self._train_steps}  {losses}  {rate:.1f} images/s  '
        f'{left} left  {peak_memory()}'
        + (' (first loop includes start-up)' if first else ''),
        file=sys.stderr, flush=True)


def peak_memory() -> str:
  """Returns the peak memory in use: of the GPUs, or else of the host, as text.
  """
  gpus = tf.config.list_logical_devices('GPU')
  if gpus:
    used = max(tf.config.experimental.get_memory_info(gpu.name)['peak']
               for gpu in gpus)
    return f'{used / 1e9:.2f} GB of GPU'
  # Linux counts in kilobytes.
  used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
  return f'{used / 1e9:.2f} GB'


def append_metrics(model_dir: str, step: int, metrics: dict) -> None:
  """Adds one JSON line to `model_dir/metrics.jsonl`."""
  record = {'step': step, **metrics}
  with tf.io.gfile.GFile(
      os.path.join(model_dir, model_folders.METRICS), 'a') as file:
    file.write(json.dumps(record) + '\n')


def metrics_at(model_dir: str, step: int) -> Optional[Dict[str, Any]]:
  """Returns the metrics of the last validation at a step; None without one."""
  path = os.path.join(model_dir, model_folders.METRICS)
  found = None
  if tf.io.gfile.exists(path):
    with tf.io.gfile.GFile(path) as file:
      for line in file:
        with contextlib.suppress(json.JSONDecodeError):  # A power cut.
          record = json.loads(line)
          if record['step'] == step:
            found = record
  return found


def validation_bar():
  """A progress bar over validation images."""
  return tqdm(desc='validation', unit=' images', leave=False,
              file=sys.stderr, mininterval=0.5)
