"""Reads JSON files that users write or download, and checks their content."""

from collections.abc import Mapping
import json
import re
from typing import Any, Collection, Dict, List, Optional, Tuple, Type, Union

from axial_tf import errors
from axial_tf.files import text_files

# Longer runs of digits are names, not numbers.
_INTEGER = re.compile(r'([0-9]{1,18})(?:\.0)?')
_Types = Union[Type, Tuple[Type, ...]]


def read(path: str, expected: str = 'a JSON file',
         advice: str = 'check the path') -> Any:
  """Returns the content of a JSON file, in any encoding of `text_files`.

  Args:
    path: local path or one of a remote file system (gs://).
    expected: noun phrase for errors: what the file should be.
    advice: what to do about a file that is missing or not JSON.

  Raises:
    errors.UserError: there is no such file, it cannot be read or is not JSON.
  """
  text = text_files.read(path, expected, advice)
  try:
    return json.loads(text)
  except (ValueError, RecursionError) as error:
    raise errors.UserError(
        f'{path}: not a readable JSON file ({errors.first_line(error)}); '
        f'expected {expected}; {advice}') from error


def require_keys(content: Any, what: str, *, required: Collection[str] = (),
                 optional: Collection[str] = ()) -> None:
  """Checks that `content` is a JSON object with only these keys.

  Raises:
    errors.UserError: another type, a missing or an unknown key; the message
      begins with `what`.
  """
  if not isinstance(content, Mapping):
    raise errors.UserError(
        f'{what}: expected a JSON object, got {content!r:.80}')
  missing = sorted(set(required) - set(content))
  if missing:
    raise errors.UserError(f'{what}: missing {missing[0]!r}; add it')
  unknown = sorted(set(content) - set(required) - set(optional))
  if unknown:
    raise errors.UserError(
        f'{what}: unknown key {unknown[0]!r}; remove it (known: '
        f'{", ".join(sorted(set(required) | set(optional)))})')


def number(value: Any) -> Any:
  """Returns an integer for 48, 48.0, '48' and '048', other values unchanged.

  Ids are compared in this form: some tools write them as numbers in one list
  and as text in another.
  """
  if isinstance(value, float) and value.is_integer():
    return int(value)
  if isinstance(value, str):
    match = _INTEGER.fullmatch(value)
    return int(match[1]) if match else value
  return value


def entries(content: Any, key: str, path: str,
            fields: Optional[Mapping[str, _Types]] = None,
            advice: str = 'check that this is the file you mean'
            ) -> List[Dict[str, Any]]:
  """Returns the objects listed under a key of a file's content.

  Args:
    content: parsed JSON.
    key: name of the list.
    path: name of the file, for errors.
    fields: keys and types of the values that each object must have, which are
      replaced by what `field` returns.
    advice: what to do about a wrong list, for errors.

  Raises:
    errors.UserError: there is no such list, or an object in it lacks a field.
  """
  listed = content.get(key) if isinstance(content, Mapping) else None
  if not isinstance(listed, list):
    raise errors.UserError(
        f'{path}: expected a list under {key!r}, found none; {advice}')
  for place, entry in enumerate(listed):
    where = f'{path}: {key}[{place}]'
    if not isinstance(entry, Mapping):
      raise errors.UserError(
          f'{where}: expected a JSON object, got {entry!r:.80}; {advice}')
    for name, types in (fields or {}).items():
      entry[name] = field(entry, name, types, where, advice)
  return listed


def field(entry: Any, key: str, types: _Types, where: str,
          advice: str = 'correct it') -> Any:
  """Returns the value of a key, which must have one of some types.

  Where an integer is allowed, so are the other forms that `number` reads. A
  bool is not an integer.

  Args:
    entry: JSON object.
    key: name of the value in it.
    types: int, str, bool or list, or a tuple of these.
    where: file and entry, for errors.
    advice: what to do about a wrong value, for errors.

  Raises:
    errors.UserError: there is none, or it has another type.
  """
  types = types if isinstance(types, tuple) else (types,)
  value = entry.get(key) if isinstance(entry, Mapping) else None
  if int in types:
    value = number(value)
  if not isinstance(value, types) or (
      isinstance(value, bool) and bool not in types):
    expected = ' or '.join(kind.__name__ for kind in types)
    got = 'nothing' if value is None else f'{value!r:.80}'
    raise errors.UserError(
        f'{where}: expected {key!r} ({expected}), got {got}; {advice}')
  return value
