"""The latest items that fit are kept."""

import dataclasses

import pytest

from axial_tf import errors
from axial_tf.app import kept


@dataclasses.dataclass(eq=False)
class _Item:
  bytes: int


def _is_kept(items, key):
  try:
    return items.get(key) is not None
  except errors.UserError:
    return False


def test_the_least_used_item_is_dropped_when_memory_is_short():
  items = kept.Kept(10)
  first, second = items.add(_Item(4)), items.add(_Item(4))
  items.get(first)
  third = items.add(_Item(4))
  assert [_is_kept(items, key) for key in (first, second, third)] == [
      True, False, True]
  with pytest.raises(errors.UserError, match='no longer kept.*drop it'):
    items.get(second)


def test_the_newest_item_is_kept_whatever_its_size():
  items = kept.Kept(10)
  small = items.add(_Item(1))
  large = items.add(_Item(11))
  assert _is_kept(items, large) and not _is_kept(items, small)


def test_a_replaced_item_makes_room_before_others():
  items = kept.Kept(10)
  old, other = items.add(_Item(5)), items.add(_Item(5))
  new = items.add(_Item(5), replaced=old)
  assert [_is_kept(items, key) for key in (old, other, new)] == [
      False, True, True]
  items.drop(other)
  items.drop(other)
  assert not _is_kept(items, other)


def test_without_a_key_a_picture_is_asked_for():
  with pytest.raises(errors.UserError, match='got none; drop one'):
    kept.Kept(10).get('')


def test_keys_differ_and_are_long():
  items = kept.Kept(100)
  keys = {items.add(_Item(1)) for _ in range(50)}
  assert len(keys) == 50 and min(map(len, keys)) > 20
