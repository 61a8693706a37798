"""Keeps what a model made of the latest pictures, within a limit of memory."""

import collections
import secrets
import threading
from typing import Generic, TypeVar

from axial_tf import errors

Item = TypeVar('Item')  # With `bytes`, the memory that it takes.


class Kept(Generic[Item]):
  """The latest items that fit; others are dropped, the least used first.

  A key cannot be guessed: whoever has it has sent the picture.
  """

  def __init__(self, limit: int):
    """Starts without items.

    Args:
      limit: bytes that all items may take; the newest is kept in any case.
    """
    self._limit = limit
    self._items = collections.OrderedDict()
    self._lock = threading.Lock()

  def add(self, item: Item, replaced: str = '') -> str:
    """Keeps an item and returns its key.

    Args:
      item: the item.
      replaced: key of an item that is dropped, if it is still kept.
    """
    key = secrets.token_urlsafe(16)
    with self._lock:
      self._items.pop(replaced, None)
      self._items[key] = item
      total = sum(kept.bytes for kept in self._items.values())
      while total > self._limit and len(self._items) > 1:
        total -= self._items.popitem(last=False)[1].bytes
    return key

  def get(self, key: str) -> Item:
    """Returns an item.

    Raises:
      errors.UserError: it is not kept, or no longer.
    """
    with self._lock:
      if key not in self._items:
        raise errors.UserError(
            'this picture is no longer kept, as others needed its memory; '
            'drop it on the page again' if key else
            'expected a picture, got none; drop one on the page')
      self._items.move_to_end(key)
      return self._items[key]

  def drop(self, key: str) -> None:
    """Forgets an item, if it is kept."""
    with self._lock:
      self._items.pop(key, None)
