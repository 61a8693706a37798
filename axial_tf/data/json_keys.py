"""The keys of JSON objects that users write."""

from collections.abc import Mapping
from typing import Any, Collection

from axial_tf import errors


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
