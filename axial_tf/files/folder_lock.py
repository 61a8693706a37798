"""Locks a folder for one process, even across machines that share it.

On a disk, the lock is the kernel's (flock), which is released at once when a
process dies. Some network disks do not pass it to other machines; for these,
the lock file names its owner, which renews it while alive. Object stores
(gs://) create no file atomically: of two starts within the same two seconds,
both may succeed there.
"""

import contextlib
import errno
import fcntl
import os
import threading
import time
from typing import Iterator, Optional

from axial_tf import errors
from axial_tf.files import process_identity

# Files whose names begin with this are locks, not data.
PREFIX = '.lock'
# Seconds between two renewals, and the age at which the lock of another machine
# counts as left behind.
RENEWAL = 20.0
EXPIRY = 180.0
# Seconds after which another writer to an object store is visible.
_SETTLING = 2.0


@contextlib.contextmanager
def held(folder: str, flag: str, name: str = '', patience: float = 0.0
         ) -> Iterator[None]:
  """Holds the lock of a folder, which is created if it does not exist.

  Args:
    folder: path of the folder, local or of another file system that
      tf.io.gfile knows (gs://).
    flag: name of the command-line flag that sets the folder, for errors.
    name: name of the locked part of the folder; locks of different parts are
      independent.
    patience: seconds to wait for another process to release it.

  Raises:
    errors.UserError: a living process holds it, or the folder cannot be made
      or written to.
  """
  folder = os.fspath(folder)
  path = os.path.join(folder, f'{PREFIX}-{name}' if name else PREFIX)
  lock = _RemoteLock(path) if '://' in path else _LocalLock(path)
  deadline = time.monotonic() + patience
  while True:
    taken = _acquire(lock, folder, flag)
    if taken:
      break
    if taken is False and time.monotonic() >= deadline:
      raise errors.UserError(_refusal(folder, flag, lock.owner))
    time.sleep(0.1)
  ended = threading.Event()
  renewal = threading.Thread(target=_renew, args=(lock, ended), daemon=True)
  renewal.start()
  try:
    yield
  finally:
    ended.set()
    renewal.join()
    with contextlib.suppress(OSError):
      lock.release()


class _LocalLock:
  """A lock file on a disk.

  Attributes:
    owner: the process that holds the lock, as far as the file names it.
  """

  def __init__(self, path: str):
    self.owner: Optional[process_identity.ProcessIdentity] = None
    self._path = path
    self._file = -1

  def acquire(self) -> Optional[bool]:
    """Takes the lock unless a living process holds it; None: try again."""
    os.makedirs(os.path.dirname(self._path) or '.', exist_ok=True)
    self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
    taken = False
    try:
      kernels = _flock(self._file)
      self.owner = process_identity.ProcessIdentity.parse(
          os.pread(self._file, 65536, 0))
      if not self._is_current():
        return None  # Its owner has just removed it.
      if self._is_held(kernels):
        return False
      if kernels is False:
        os.unlink(self._path)  # A machine that is gone has left it locked.
        return None
      taken = True
    finally:
      if not taken:
        os.close(self._file)
    self.owner = process_identity.ProcessIdentity.current()
    os.ftruncate(self._file, 0)
    os.pwrite(self._file, self.owner.to_json(), 0)
    return True

  def _is_current(self) -> bool:
    """Whether the path still refers to the open file."""
    try:
      return os.path.samestat(os.fstat(self._file), os.stat(self._path))
    except FileNotFoundError:
      return False

  def _is_held(self, kernels: Optional[bool]) -> bool:
    """Whether the owner is alive.

    Args:
      kernels: result of `_flock`.
    """
    if self.owner is None:
      return kernels is False
    if self.owner.is_on_this_machine:
      if kernels is not None:
        return not kernels
      if self.owner.is_visible:
        return self.owner.is_alive()
    return time.time() - os.fstat(self._file).st_mtime < EXPIRY

  def renew(self) -> None:
    """Shows other machines that this process lives."""
    os.utime(self._path)

  def release(self) -> None:
    """Removes the file, unless another process has taken it over."""
    try:
      if self._is_current():
        os.unlink(self._path)
    finally:
      os.close(self._file)


class _RemoteLock:
  """A lock file in an object store; same attribute as _LocalLock."""

  def __init__(self, path: str):
    import tensorflow as tf  # Slow to load, and only needed here.

    self.owner: Optional[process_identity.ProcessIdentity] = None
    self._gfile = tf.io.gfile
    self._missing = tf.errors.NotFoundError
    self._path = path

  def acquire(self) -> Optional[bool]:
    """Takes the lock unless a living process holds it."""
    self.owner = self._read()
    if self.owner is not None:
      if (self.owner.is_alive() if self.owner.is_visible else
          time.time() - self._gfile.stat(self._path).mtime_nsec / 1e9 < EXPIRY):
        return False
      self._gfile.remove(self._path)
    mine = process_identity.ProcessIdentity.current()
    self._gfile.makedirs(os.path.dirname(self._path))
    self._write(mine)
    time.sleep(_SETTLING)
    self.owner = self._read()
    return self.owner == mine

  def _read(self) -> Optional[process_identity.ProcessIdentity]:
    try:
      with self._gfile.GFile(self._path, 'rb') as file:
        return process_identity.ProcessIdentity.parse(file.read())
    except self._missing:
      return None

  def _write(self, owner: process_identity.ProcessIdentity) -> None:
    with self._gfile.GFile(self._path, 'wb') as file:
      file.write(owner.to_json())

  def renew(self) -> None:
    """Shows other machines that this process lives."""
    with _as_os_error():
      self._write(self.owner)

  def release(self) -> None:
    """Removes the file, unless another process has taken it over."""
    with _as_os_error():
      if self._read() == self.owner:
        self._gfile.remove(self._path)


def _acquire(lock, folder: str, flag: str) -> Optional[bool]:
  try:
    with _as_os_error():
      return lock.acquire()
  except OSError as error:
    raise errors.UserError(
        f'cannot write to {folder}: {errors.first_line(error)}; check the '
        f'permissions or give another --{flag}') from error


@contextlib.contextmanager
def _as_os_error():
  """Turns an error of TensorFlow's file systems into an OSError."""
  try:
    yield
  except Exception as error:
    if isinstance(error, OSError) or not hasattr(error, 'error_code'):
      raise
    raise OSError(errors.first_line(error)) from error


def _renew(lock, ended: threading.Event) -> None:
  while not ended.wait(RENEWAL):
    with contextlib.suppress(OSError):  # The next one may succeed.
      lock.renew()


def _flock(file: int) -> Optional[bool]:
  """Returns whether the kernel's lock was free; None if it is unsupported."""
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return True
  except OSError as error:
    if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
      return False
    return None


def _refusal(folder: str, flag: str,
             owner: Optional[process_identity.ProcessIdentity]) -> str:
  who, where = 'another process', ''
  if owner is not None:
    since = time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(owner.since))
    who = f'process {owner.pid} on {owner.host} since {since}'
    if not owner.is_on_this_machine:
      where = (f' (if it has died there, its lock expires after '
               f'{EXPIRY / 60:.0f} minutes)')
  return (f'{folder}: is in use by {who}; wait until it has ended, stop it, or '
          f'give another --{flag}{where}')
