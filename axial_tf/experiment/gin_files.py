"""Finds gin files and resolves their include statements.

Gin's own search mistakes any folder (`./runs`, say) for a Python package and
does not know the including file. Here an include is first searched next to
that file. The files that the package ships include each other, whatever the
current folder contains.
"""

import io
import os
import re
from typing import Iterator, List, Optional, Tuple

import tensorflow as tf

from axial_tf import errors
from axial_tf.files import paths, text_files

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# A wheel has gin_configs inside the package, a source tree next to it; with the
# parent folders, `gin_configs/experiments/x.gin` is found, too.
_SHIPPED = tuple(
    os.path.join(root, folder)
    for root in (os.path.dirname(_PACKAGE), _PACKAGE)
    for folder in ('gin_configs', ''))
# Earlier names of shipped folders, which experiments of users include.
_EARLIER = {'runs/': 'recipes/'}
_INCLUDE = re.compile(r'include\s')
_INCLUDED = re.compile(r'''include\s+(['"])([^'"\n]+)\1\s*(?:#.*)?$''')


def is_include(line: str) -> bool:
  """Whether a line of gin is an include statement."""
  return _INCLUDE.match(line) is not None


def chunks(file: str) -> Iterator[io.StringIO]:
  """Yields the text of a file and of all it includes, in gin's order.

  Each chunk has the attribute `name`, the path of its file, and starts with
  blank lines, so that gin's errors report the line number in the file.

  Args:
    file: path of a gin file: in the current folder, absolute or remote, or
      one that the package ships (`experiments/demo.gin`).

  Raises:
    errors.UserError: a file is missing, is not text, or includes itself.
  """
  yield from _chunks(_find(file, None), ())


def _chunks(path: str, including: Tuple[str, ...]) -> Iterator[io.StringIO]:
  if path in including:
    raise errors.UserError(
        f'{including[-1]}: includes {path}, which includes it in turn; remove '
        f'one of the include statements')
  lines = text_files.read(path, 'a gin file').splitlines(keepends=True)
  start = 0
  for number, line in enumerate(lines):
    if not is_include(line):
      continue
    match = _INCLUDED.match(line)
    if match is None:
      raise errors.UserError(
          f'{path}: line {number + 1}: expected include \'FILE.gin\', got '
          f'{line.strip()!r}')
    yield _chunk(path, lines, start, number)
    yield from _chunks(_find(match.group(2), path), (*including, path))
    start = number + 1
  yield _chunk(path, lines, start, len(lines))


def _chunk(path: str, lines: List[str], start: int, end: int) -> io.StringIO:
  chunk = io.StringIO('\n' * start + ''.join(lines[start:end]))
  chunk.name = path
  return chunk


def _find(name: str, including: Optional[str]) -> str:
  """Returns the path of a gin file that is given, or included by another."""
  name = paths.expand(name)
  if '://' in name or os.path.isabs(name):
    folders = ('',)
  elif including is None:
    folders = ('', *_SHIPPED)
  elif _is_shipped(including):
    folders = (os.path.dirname(including), *_SHIPPED, '')
  else:
    folders = (os.path.dirname(including), '', *_SHIPPED)
  candidates = [os.path.join(folder, name) for folder in folders]
  for earlier, today in _EARLIER.items():
    if name.startswith(earlier):
      candidates += [os.path.join(folder, today + name[len(earlier):])
                     for folder in _SHIPPED]
  for path in candidates:
    paths.require_reachable(path)
    if tf.io.gfile.exists(path) and not tf.io.gfile.isdir(path):
      return path
  if any(tf.io.gfile.isdir(path) for path in candidates):
    raise errors.UserError(f'{name}: expected a gin file, got a folder')
  looked = 'looked in the current folder and in gin_configs/'
  if including is not None:
    looked = f'looked next to {including}, ' + looked[len('looked '):]
  raise errors.UserError(f'{name}: no such gin file; {looked}')


def _is_shipped(path: str) -> bool:
  real = os.path.realpath(path)
  return any(
      real.startswith(os.path.realpath(folder) + os.sep)
      for folder in _SHIPPED if os.path.basename(folder) == 'gin_configs')
