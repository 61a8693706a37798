"""Handles SIGTERM, which preempted machines and job schedulers send."""

import signal
import sys
import threading

from axial_tf.training import exchange


class StopSignal:
  """A context in which SIGTERM requests a stop at the next safe point."""

  def __init__(self):
    self._requested = False
    self._agreed = False
    self._previous = None

  def __enter__(self):
    # Python lets only the main thread handle signals.
    if threading.current_thread() is threading.main_thread():
      self._previous = signal.signal(signal.SIGTERM, self._request)
    return self

  def __exit__(self, *_):
    if self._previous is not None:
      signal.signal(signal.SIGTERM, self._previous)

  def _request(self, *_):
    self._requested = True

  def agreed(self) -> bool:
    """Returns whether any worker of the run received the signal.

    All workers must call it at the same step, and then stop together.
    """
    self._agreed = self._agreed or exchange.any_worker(self._requested)
    return self._agreed

  def check(self, step: int) -> None:
    """Ends the program, with the status of SIGTERM, if a stop was requested.

    All workers must call it at the same step.
    """
    if self.agreed():
      print(f'stopped by SIGTERM{"" if self._requested else " to a worker"} at '
            f'step {step}; rerun the same command to resume',
            file=sys.stderr, flush=True)
      sys.exit(128 + signal.SIGTERM)
