"""Drops harmless lines that TensorFlow's C++ code writes to standard error.

TF_CPP_MIN_LOG_LEVEL does not: some have the level of real errors, others do not
heed it.
"""

import contextlib
import io
import os
import re
import select
import signal
import sys
from typing import Iterator, Optional

# Beginnings of messages below the level of an error, of errors that are none,
# and of lines without a place in the source.
_PLACE = (
    rb'(?:\d{4}-\d\d-\d\d [\d:.]+: %s |%s\d{4} [\d:.]+ +\d+ )[^\s:]+:\d+\] ')
_HARMLESS = re.compile(b'|'.join((
    _PLACE % (b'I', b'I'),
    _PLACE % (b'[WE]', b'[WE]') + rb'(?:' + b'|'.join((
        # Several parts of TensorFlow bring the same plugin.
        rb'Unable to register cu(?:DNN|FFT|BLAS) factory: Attempting to ',
        rb'computation placer already registered\. Please check linkage ',
        # Streams have no priorities on this device.
        rb'SetPriority unimplemented for this stream\.$',
        # Without a driver; the line of the devices says so.
        rb'failed call to cuInit: .*UNKNOWN ERROR \(303\)$',
        rb'could not open file to read NUMA node: ',
        # Another implementation is used.
        rb'oneDNN supports DT_BOOL only on platforms with AVX-512\.',
        # XLA's choice among algorithms is less exact.
        rb'Delay kernel timed out: measured time has sub-optimal accuracy',
        # The cost of an operation of unknown shape cannot be estimated.
        rb'Error in PredictCost\(\) for the op: ',
        # One optimization of a graph with dropout is left out.
        rb'layout failed: INVALID_ARGUMENT: Size of values 0 does not match '
        rb'size of permutation 4 ')) + rb')',
    rb'WARNING: All log messages before absl::InitializeLog\(\) is called are '
    rb'written to STDERR$',
    rb'Your kernel may have been built without NUMA support\.$')))
# The filter starts without the packages of the environment, which takes long.
_PROGRAM = (
    'import sys; sys.path.append(sys.argv[1]); import log_filter; '
    'log_filter.copy()')
# Seconds until an unfinished line is shown, and its most bytes.
_PATIENCE, _MOST = 0.05, 1 << 14
# Seconds to wait for the last lines, unless another process still writes.
_END = 2.0


@contextlib.contextmanager
def active() -> Iterator[bool]:
  """Filters what is written to file descriptor 2 in the meantime.

  Python's sys.stderr gets a descriptor of its own, which is not filtered:
  errors and progress bars are shown at once, and on a terminal, as before. A
  separate process filters, so that the last lines of a crash are shown, too;
  Ctrl-C does not reach it.

  Yields:
    Whether it does: not if TF_CPP_MIN_LOG_LEVEL is below 2, which asks for more
    lines, if sys.stderr is redirected, or if no process can be started.
  """
  import subprocess  # The filter itself starts faster without it.

  if not _is_wanted():
    yield False
    return
  reading, writing = os.pipe()
  try:
    process = subprocess.Popen(
        [sys.executable, '-I', '-S', '-c', _PROGRAM,
         os.path.dirname(__file__)], stdin=reading, stdout=2,
        start_new_session=True)
  except OSError:  # There may be no more processes.
    process = None
    os.close(writing)
  finally:
    os.close(reading)
  if process is None:
    yield False
    return
  before = sys.stderr
  before.flush()
  # Loggers may hold it for longer: it stays open.
  unfiltered = sys.stderr = io.TextIOWrapper(
      open(os.dup(2), 'wb', buffering=0), before.encoding, before.errors,
      line_buffering=True, write_through=True)
  os.dup2(writing, 2)
  os.close(writing)
  try:
    yield True
  finally:
    sys.stderr = before
    before.flush()
    os.dup2(unfiltered.fileno(), 2)
    with contextlib.suppress(subprocess.TimeoutExpired):
      process.wait(_END)


def descriptor() -> Optional[int]:
  """Returns the unfiltered standard error, for other programs; None: any."""
  is_file = isinstance(sys.stderr, io.TextIOWrapper)
  return sys.stderr.fileno() if is_file else None


def _is_wanted() -> bool:
  level = os.environ.get('TF_CPP_MIN_LOG_LEVEL', '')
  return level.isdigit() and int(level) >= 2 and descriptor() == 2


class Lines:
  """Divides what arrives into lines, and keeps those to show."""

  def __init__(self):
    self._begun = b''
    self._is_shown = False  # The beginning of the line already is.

  @property
  def is_waiting(self) -> bool:
    """Whether a line has begun and is not shown yet."""
    return bool(self._begun)

  def add(self, data: bytes) -> bytes:
    """Returns the bytes to show now that `data` has arrived."""
    *lines, self._begun = (self._begun + data).split(b'\n')
    shown = b''
    for line in lines:
      if self._is_shown or not _HARMLESS.match(line):
        shown += line + b'\n'
      self._is_shown = False
    if self._is_shown or len(self._begun) > _MOST:
      shown += self.rest()
    return shown

  def rest(self) -> bytes:
    """Returns the beginning of an unfinished line, to show it."""
    rest, self._begun = self._begun, b''
    self._is_shown = self._is_shown or bool(rest)
    return rest


def _write(data: bytes) -> None:
  while data:
    try:
      data = data[os.write(1, data):]
    except BlockingIOError:
      select.select([], [1], [])


def copy() -> None:
  """Copies standard input to standard output without the harmless lines."""
  for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)  # It ends when its input does.
  lines = Lines()
  with contextlib.suppress(BrokenPipeError):
    while True:
      patience = _PATIENCE if lines.is_waiting else None
      if not select.select([0], [], [], patience)[0]:
        _write(lines.rest())
        continue
      data = os.read(0, 1 << 16)
      if not data:
        break
      _write(lines.add(data))
    rest = lines.rest()
    _write(b'' if _HARMLESS.match(rest) else rest)
