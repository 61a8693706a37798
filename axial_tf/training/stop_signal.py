"""SIGTERM, as preempted machines and job schedulers send it."""

import signal
import sys
import threading


class StopSignal:
  """A context in which SIGTERM asks for a stop at the next good moment.

  Attributes:
    requested: whether it came.
  """

  def __init__(self):
    self.requested = False
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
    self.requested = True

  def check(self, step: int) -> None:
    """Ends the program, with the status of SIGTERM, if a stop was asked for."""
    if self.requested:
      print(f'stopped by SIGTERM at step {step}; the same command continues',
            file=sys.stderr, flush=True)
      sys.exit(128 + signal.SIGTERM)
