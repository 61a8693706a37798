"""Paths as users write them: home folders, patterns, links, odd names.

Imports nothing heavy: command-line tools use it before TensorFlow loads.
"""

import atexit
import contextlib
import glob
import os
import re
import shutil
import sys
import tempfile
from typing import Dict, Iterator, List, Optional

from axial_tf import errors

# TensorFlow treats these as a pattern, even in the path of a single file.
_PATTERN = re.compile(r'[*?\[\\]')
_LONGEST_NAME, _LONGEST_PATH = 255, 4000
# Links to local folders whose names look like patterns.
_links: Dict[str, str] = {}


def is_remote(path: str) -> bool:
  """Whether a path belongs to a file system such as gs://."""
  return '://' in path


def expand(path: str) -> str:
  """Returns a path with ~ and ~user replaced by home folders.

  Raises:
    errors.UserError: there is no such user, no home folder, or no file system
      can have such a path.
  """
  expanded = os.path.expanduser(path)
  longest = max(len(name.encode(errors='replace'))
                for name in expanded.split('/'))
  if longest > _LONGEST_NAME or len(expanded) > _LONGEST_PATH or (
      '\0' in expanded):
    raise errors.UserError(
        f'{path[:60]}...: expected names of at most {_LONGEST_NAME} bytes in a '
        f'path of at most {_LONGEST_PATH}, got {longest} and {len(expanded)}; '
        f'shorten it')
  if expanded.startswith('~') and not os.path.lexists(path.partition('/')[0]):
    raise errors.UserError(
        f'{path}: expected the home folder of a user after ~, found none; '
        f'write ./{path} for a folder of this name')
  return expanded


def require_utf8(path: str) -> str:
  """Returns a path that TensorFlow can open.

  Raises:
    errors.UserError: it is not UTF-8.
  """
  try:
    path.encode()
  except UnicodeEncodeError as error:
    raise errors.UserError(
        f'{printable(path)}: expected a path in UTF-8, which TensorFlow needs '
        f'here; rename it, or use a link to it') from error
  return path


def require_local(path: str) -> None:
  """Raises a UserError for a path such as gs://..."""
  if is_remote(path):
    raise errors.UserError(
        f'{path}: expected a path on this machine, got a remote one; copy the '
        f'files, or mount the folder')


def printable(path: str) -> str:
  r"""Returns a path as text for people and JSON: \xe9 for a byte not in UTF-8.
  """
  try:
    return os.fsencode(path).decode('utf-8', 'backslashreplace')
  except UnicodeEncodeError:  # Half of a surrogate pair, from broken JSON.
    return path.encode('utf-8', 'backslashreplace').decode()


def leads_out(name: str) -> bool:
  """Whether a relative name from a file of a data set leaves its folder."""
  return os.path.isabs(name) or '..' in name.split('/')


def matching(pattern: str, recursive: bool = False) -> List[str]:
  """Returns the paths that a path or pattern stands for, sorted.

  Names that exist are taken literally, be it the whole path or its leading
  folders: with a folder a[1], 'a[1]/*.png' are the images in it.

  Args:
    pattern: local or remote.
    recursive: whether ** stands for any depth; in local paths only.

  Raises:
    errors.UserError: a remote folder cannot be listed.
  """
  if is_remote(pattern):
    return _remote_matching(pattern)
  if os.path.lexists(pattern):
    return [pattern]
  folder, name = os.path.split(pattern)
  rest = [name]
  while folder not in ('', '/') and not os.path.isdir(folder):
    folder, name = os.path.split(folder)
    rest.insert(0, name)
  found = glob.glob(
      os.path.join(glob.escape(folder), *rest), recursive=recursive)
  if not recursive:
    return sorted(found)
  # ** loops in a folder that links to itself.
  places = {(os.path.realpath(os.path.dirname(path)), os.path.basename(path)):
            path for path in sorted(found, key=len, reverse=True)}
  return sorted(places.values())


def exists(path: str) -> bool:
  """Whether there is a local or remote file or folder."""
  return _file_system(path).exists(path)


def isdir(path: str) -> bool:
  """Whether there is a local or remote folder."""
  return _file_system(path).isdir(path)


def listdir(folder: str) -> List[str]:
  """Returns the names in a local or remote folder, whatever their bytes."""
  if not is_remote(folder):
    return os.listdir(folder)
  return [name.rstrip('/') for name in _file_system(folder).listdir(folder)]


def walk(folder: str) -> Iterator[str]:
  """Yields the files in a local folder and its subfolders, links followed.

  A folder that links to itself is visited once.
  """
  seen = set()
  for parent, folders, names in os.walk(folder, followlinks=True):
    status = os.stat(parent)
    if (status.st_dev, status.st_ino) in seen:
      folders.clear()
      continue
    seen.add((status.st_dev, status.st_ino))
    folders.sort()
    for name in names:
      yield os.path.join(parent, name)


def literal(path: str) -> str:
  """Returns another path of a file, which TensorFlow takes for no pattern.

  Its readers of checkpoints look for files that match the path they are given,
  so they never find those in a folder a[1]. Here such a folder gets a link with
  a harmless name, which is removed when the program ends.

  Args:
    path: a folder, or a checkpoint in a folder that exists.

  Raises:
    errors.UserError: the file itself has such a name, or the folder is remote.
  """
  parts = path.split('/')
  odd = [place for place, part in enumerate(parts) if _PATTERN.search(part)]
  if not odd:
    return path
  folder, inner = '/'.join(parts[:odd[-1] + 1]), parts[odd[-1] + 1:]
  if is_remote(path) or not os.path.isdir(folder):
    raise errors.UserError(
        f'{path}: expected a name without *, ?, [ and \\, which TensorFlow '
        f'takes for a pattern; rename it')
  target = os.path.abspath(folder)
  if target not in _links:
    place = tempfile.mkdtemp(prefix='axial_tf-')
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    _links[target] = os.path.join(place, 'folder')
    os.symlink(target, _links[target], target_is_directory=True)
  return os.path.join(_links[target], *inner)


def require_reachable(path: Optional[str]) -> None:
  """Checks that a remote path can be reached; prints it, as it may take long.

  Args:
    path: path to check; None and local paths are skipped.

  Raises:
    errors.UserError: it cannot.
  """
  if path is None or not is_remote(path):
    return
  with _reaching(path):
    exists(path)


def _file_system(path: str):
  """Returns tf.io.gfile for remote paths, os.path for local ones."""
  if not is_remote(path):
    return os.path
  import tensorflow as tf

  return tf.io.gfile


def _remote_matching(pattern: str) -> List[str]:
  with _reaching(pattern):
    return sorted(_file_system(pattern).glob(pattern))


@contextlib.contextmanager
def _reaching(path: str):
  import tensorflow as tf

  print(f'looking for {path} ...', file=sys.stderr, flush=True)
  try:
    yield
  except tf.errors.OpError as error:
    raise errors.UserError(
        f'{path}: cannot be reached ({errors.first_line(error)}); check the '
        f'path, the network and your access to it, or give a local '
        f'folder') from error
