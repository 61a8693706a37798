"""Reads the names of classes that annotation tools write next to masks."""

import pathlib
from typing import List, NamedTuple, Optional, Tuple

from axial_tf import errors
from axial_tf.files import text_files

# CVAT: name:red,green,blue:parts:actions, and comments.
_WITH_COLORS = 'labelmap.txt'
# labelme2voc: one name per line.
_IN_ORDER = 'class_names.txt'
Color = Tuple[int, int, int]


class Named(NamedTuple):
  """Name of a class, and its color if the file has one."""

  name: str
  color: Optional[Color]


def read(folder: pathlib.Path) -> List[Named]:
  """Returns the classes of labelmap.txt or class_names.txt, by value from 0.

  Returns an empty list without such a file.

  Raises:
    errors.UserError: a line is not valid, or a name or color occurs twice.
  """
  path = folder / _WITH_COLORS
  result = []
  if path.is_file():
    result = [_named(line, path)
              for line in text_files.lines(path, 'a list of names and colors')
              if line and not line.startswith('#')]
  elif (folder / _IN_ORDER).is_file():
    path = folder / _IN_ORDER
    result = [Named(line, None)
              for line in text_files.lines(path, 'a list of class names')]
  seen = set()
  for value in [v for named in result for v in named if v is not None]:
    if value in seen:
      raise errors.UserError(
          f'{path}: expected each name and color once, got {value!r} twice; '
          f'correct it')
    seen.add(value)
  return result


def _named(line: str, path: pathlib.Path) -> Named:
  parts = line.rsplit(':', 3)
  numbers = parts[1].split(',') if len(parts) == 4 else []
  if len(numbers) != 3 or not all(
      n.strip().isdecimal() and int(n) <= 255 for n in numbers):
    raise errors.UserError(
        f'{path}: expected lines name:red,green,blue:parts:actions with colors '
        f'in 0..255, got {line!r:.80}; correct it')
  red, green, blue = (int(number) for number in numbers)
  return Named(parts[0], (red, green, blue))
