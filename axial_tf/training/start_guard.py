"""Kills a TensorFlow start-up that may never return.

While TensorFlow connects to other machines, neither Python threads nor Python
signal handlers run. A small separate process watches instead.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from typing import Iterator

# Watches the waiting process through a pipe: nothing arrives within the time,
# or a signal (a byte), or the end of the wait (end of file).
_WATCH = '''
import os, select, signal, sys
process, seconds, message = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
news = select.select([0], [], [], seconds)[0]
if (not news or os.read(0, 1)) and os.getppid() == process:
  if not news:
    print("error: " + message, file=sys.stderr, flush=True)
  os.kill(process, signal.SIGKILL)
'''


@contextlib.contextmanager
def limited(seconds: float, message: str) -> Iterator[None]:
  """Kills this process if the block takes too long or a signal arrives.

  Args:
    seconds: time that the block may take.
    message: line to print if it takes longer.
  """
  watch = subprocess.Popen(
      [sys.executable, '-I', '-S', '-c', _WATCH, str(os.getpid()),
       str(seconds), message], stdin=subprocess.PIPE, start_new_session=True)
  try:
    with _forwarded_signals(watch.stdin.fileno()):
      yield
  finally:
    watch.stdin.close()
    watch.wait()


@contextlib.contextmanager
def _forwarded_signals(pipe: int) -> Iterator[None]:
  """Writes incoming signals to a pipe at once."""
  if threading.current_thread() is not threading.main_thread():
    yield
    return
  os.set_blocking(pipe, False)
  previous = signal.set_wakeup_fd(pipe, warn_on_full_buffer=False)
  try:
    yield
  finally:
    signal.set_wakeup_fd(previous)
    # TensorFlow has replaced this handler with its own.
    handler = signal.getsignal(signal.SIGTERM)
    if handler is not None:
      signal.signal(signal.SIGTERM, handler)
