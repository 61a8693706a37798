"""Names a process so that others can find out whether it is still alive."""

import dataclasses
import json
import os
import socket
import time
from typing import Optional
import uuid


@dataclasses.dataclass(frozen=True)
class ProcessIdentity:
  """The identity of a process, unique across machines and containers.

  Attributes:
    host: name of its machine, for people.
    machine: identity of the machine since its last boot.
    container: identity of the PID namespace of `pid`.
    pid: number of the process.
    started: start time of the process in the kernel's ticks, which differs
      for a later process with the same pid.
    since: seconds since 1970 at which this identity was taken.
    token: random text, unlike that of any other identity.
  """

  host: str
  machine: str
  container: str
  pid: int
  started: str
  since: float
  token: str

  @classmethod
  def current(cls) -> 'ProcessIdentity':
    """Returns the identity of this process."""
    return cls(
        host=socket.gethostname(), machine=_machine(), container=_container(),
        pid=os.getpid(), started=_start_time(os.getpid()), since=time.time(),
        token=uuid.uuid4().hex)

  @classmethod
  def parse(cls, content: bytes) -> Optional['ProcessIdentity']:
    """Returns what `to_json` has written; None if it was cut short."""
    try:
      values = json.loads(content)
      return cls(**{field.name: values[field.name]
                    for field in dataclasses.fields(cls)})
    except (ValueError, LookupError, TypeError):
      return None

  def to_json(self) -> bytes:
    return json.dumps(dataclasses.asdict(self)).encode()

  @property
  def is_on_this_machine(self) -> bool:
    return self.machine == _machine()

  @property
  def is_visible(self) -> bool:
    """Whether this process can see whether that one is alive."""
    return self.is_on_this_machine and self.container == _container()

  def is_alive(self) -> bool:
    """Returns whether a visible process is alive."""
    try:
      os.kill(self.pid, 0)
    except ProcessLookupError:
      return False
    except PermissionError:
      pass  # It is another user's.
    return _start_time(self.pid) == self.started


def _machine() -> str:
  # Changes when the machine is restarted; containers share it.
  return _read('/proc/sys/kernel/random/boot_id') or socket.gethostname()


def _container() -> str:
  try:
    return os.readlink('/proc/self/ns/pid')
  except OSError:
    return ''


def _start_time(pid: int) -> str:
  # The program's name, in parentheses, may hold blanks and parentheses itself.
  fields = _read(f'/proc/{pid}/stat').rpartition(')')[2].split()
  return fields[19] if len(fields) > 19 else ''


def _read(path: str) -> str:
  """Returns the text of a file, '' if there is no such file."""
  try:
    with open(path, encoding='utf-8', errors='replace') as file:
      return file.read().strip()
  except OSError:
    return ''
