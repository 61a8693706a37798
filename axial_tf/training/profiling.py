"""Profiles some steps, for TensorBoard's Profile tab."""

import sys

import tensorflow as tf


class StepProfiler:
  """Records the activity of host and devices from one step to another.

  A run that resumes in between starts recording at its first step.
  """

  def __init__(self, log_dir: str, first: int, last: int):
    """Takes the folder that TensorBoard reads; both steps are recorded."""
    self._log_dir = log_dir
    self._first, self._last = first, last
    self._is_running = False

  def before(self, step: int) -> None:
    """Called before each step, counted from 1."""
    if not self._is_running and self._first <= step <= self._last:
      tf.profiler.experimental.start(self._log_dir)
      self._is_running = True

  def after(self, step: int, last_result: tf.Variable) -> None:
    """Called after each step; `last_result` is what the step updates last."""
    if self._is_running and step >= self._last:
      last_result.numpy()  # Devices may lag behind the host.
      tf.profiler.experimental.stop()
      self._is_running = False
      print(f'profile of steps {self._first} to {self._last}: '
            f'{self._log_dir}/plugins/profile; see it with tensorboard '
            f'--logdir={self._log_dir} (package tensorboard-plugin-profile)',
            file=sys.stderr, flush=True)
