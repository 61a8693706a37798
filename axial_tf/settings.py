"""Checks types and ranges of the frozen dataclasses that hold settings.

Gin checks the names of parameters but not their types, so each settings class
first calls `check_types(self)` in its `__post_init__` and then checks its
ranges with `require`.
"""

import collections.abc
import dataclasses
import types
import typing
from typing import Any, Mapping, Optional

from axial_tf import errors
from axial_tf.files import json_files, paths

# The type of a field that holds a path or a pattern of paths; ~ is expanded.
Path = typing.NewType('Path', str)


def check_types(settings) -> None:
  """Checks every field of a dataclass instance against its annotation.

  An int is accepted where a float is expected; a list (gin writes tuples in
  both ways) is converted where a tuple is expected; in a `Path`, ~ is expanded
  to the home folder.

  Raises:
    errors.UserError: a field holds a value of another type, or an invalid
      path.
  """
  hints = typing.get_type_hints(type(settings))
  for field in dataclasses.fields(settings):
    value = getattr(settings, field.name)
    converted = _convert(value, hints[field.name])
    if converted is _MISMATCH:
      raise errors.UserError(
          f'{type(settings).__name__}.{field.name}: expected '
          f'{_describe(hints[field.name])}, got {value!r} '
          f'({type(value).__name__})')
    if converted is not value:
      object.__setattr__(settings, field.name, converted)


def require(condition: bool, settings, field: str, expected: str) -> None:
  """Raises a UserError that names `field` unless `condition` holds."""
  if not condition:
    raise errors.UserError(
        f'{type(settings).__name__}.{field}: expected {expected}, got '
        f'{getattr(settings, field)!r}')


def from_dict(kind: type, values: Any, what: Optional[str] = None):
  """Makes settings from a dict, such as dataclasses.asdict or JSON returns.

  Fields that hold settings, or a list of them, are restored, too, by their
  annotations. They are left alone if they are not dicts. Fields that earlier
  versions had, in `kind.RETIRED`, may be there with their values when off.

  Args:
    kind: class of the settings.
    values: values by field; those with a default may be absent.
    what: name of the dict, for errors; None for the class name.

  Raises:
    errors.UserError: not a dict, a missing or an unknown field, or values
      out of range.
  """
  fields = dataclasses.fields(kind)
  retired = getattr(kind, 'RETIRED', {})
  if retired and isinstance(values, Mapping):
    values = {name: value for name, value in values.items()
              if name not in retired or value != retired[name]}
  json_files.require_keys(
      values, what or kind.__name__,
      optional=[field.name for field in fields], required=[
          field.name for field in fields
          if field.default is field.default_factory is dataclasses.MISSING])
  hints = typing.get_type_hints(kind)
  return kind(**{
      name: restore(value, hints[name], name)
      for name, value in values.items()})


def restore(value, hint, name: str = ''):
  """Returns a dict as the settings that `hint` names, or else `value`.

  Args:
    value: output of dataclasses.asdict for a field, or an argument, with this
      annotation.
    hint: a settings dataclass, such a class or None, a tuple of them, several
      such classes of distinct fields, or any other annotation.
    name: name of the field, for errors.
  """
  kinds = [option for option in (hint, *typing.get_args(hint))
           if dataclasses.is_dataclass(option)]
  if len(kinds) > 1 and isinstance(value, dict):
    kinds = [kind for kind in kinds if set(value) == {
        field.name for field in dataclasses.fields(kind)}]
  if len(kinds) == 1 and typing.get_origin(hint) is tuple:
    if not isinstance(value, (list, tuple)):
      raise errors.UserError(f'expected a list under "{name}"')
    return tuple(from_dict(kinds[0], entry, f'{name}[{place}]')
                 for place, entry in enumerate(value))
  if len(kinds) == 1 and isinstance(value, dict):
    return from_dict(kinds[0], value)
  return json_files.number(value) if hint is int else value


_MISMATCH = object()
_UNIONS = (typing.Union, getattr(types, 'UnionType', typing.Union))


def _convert(value, hint):
  """Returns `value` as the annotated type, or _MISMATCH."""
  origin, arguments = typing.get_origin(hint), typing.get_args(hint)
  if hint is typing.Any:
    return value
  if hint is Path:
    return (paths.require_utf8(paths.expand(value)) if isinstance(value, str)
            else _MISMATCH)
  if origin in _UNIONS:
    for option in arguments:
      converted = _convert(value, option)
      if converted is not _MISMATCH:
        return converted
    return _MISMATCH
  if origin is typing.Literal:
    return value if value in arguments else _MISMATCH
  if origin is tuple:
    return _convert_tuple(value, arguments)
  if origin is collections.abc.Callable:
    return value if callable(value) else _MISMATCH
  if hint is float and isinstance(value, int) and not isinstance(value, bool):
    return float(value)
  if hint is int and isinstance(value, bool):
    return _MISMATCH
  expected = origin or hint
  return value if isinstance(value, expected) else _MISMATCH


def _convert_tuple(value, arguments):
  if not isinstance(value, (tuple, list)):
    return _MISMATCH
  if len(arguments) == 2 and arguments[1] is Ellipsis:
    arguments = (arguments[0],) * len(value)
  if len(arguments) != len(value):
    return _MISMATCH
  converted = tuple(_convert(v, a) for v, a in zip(value, arguments))
  if any(c is _MISMATCH for c in converted):
    return _MISMATCH
  unchanged = isinstance(value, tuple) and all(
      new is old for new, old in zip(converted, value))
  return value if unchanged else converted


def _describe(hint) -> str:
  if hint is type(None):
    return 'None'
  if hint is Path:
    return 'str'
  if isinstance(hint, type) and not typing.get_args(hint):
    return hint.__name__
  return str(hint).replace('typing.', '')
