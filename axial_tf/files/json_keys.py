"""The keys of JSON files that users write or download."""

from collections.abc import Mapping
import re
from typing import Any, Collection, Dict, List, Tuple, Type

from axial_tf import errors

# Longer rows of digits are names, not numbers.
_INTEGER = re.compile(r'([0-9]{1,18})(?:\.0)?')


def check(content: Any, what: str, *, required: Collection[str] = (),
          optional: Collection[str] = ()) -> None:
  """Checks that `content` is a JSON object with just these keys.

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


def entries(content: Any, key: str, path: str) -> List[Dict[str, Any]]:
  """Returns the objects listed under a key of a file's content.

  Raises:
    errors.UserError: there is no such list.
  """
  listed = content.get(key) if isinstance(content, Mapping) else None
  if not isinstance(listed, list) or not all(
      isinstance(entry, Mapping) for entry in listed):
    raise errors.UserError(
        f'{path}: expected a list {key!r} of JSON objects, found none; check '
        f'that this is the file you mean')
  return listed


def field(entry: Any, key: str, types: Tuple[Type, ...], what: str,
          where: str) -> Any:
  """Returns the value of a key, of one of the types int, str, list.

  Where an integer may stand, it is also read from `number`'s other forms.

  Args:
    entry: JSON object.
    key: key of a value in it.
    types: those that it may have; 'isthing' may be a bool, too.
    what: the entry's name, for errors.
    where: what the message begins with.

  Raises:
    errors.UserError: there is none, or of another type.
  """
  value = entry.get(key) if isinstance(entry, Mapping) else None
  if int in types:
    value = number(value)
  if not isinstance(value, types) or (
      isinstance(value, bool) and key != 'isthing'):
    expected = ' or '.join(
        {int: 'integer', str: 'text', list: 'list'}[t] for t in types)
    raise errors.UserError(
        f'{where}: {what}: expected {key!r} with a value of type {expected}, '
        f'got {value!r:.60}')
  return value
