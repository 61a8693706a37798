"""Encoding, decoding and masks of panoptic labels."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.panoptic import label_ids


@given(st.data(), st.integers(2, 1000))
def test_decode_inverts_encode(data, divisor):
  pairs = data.draw(st.lists(st.tuples(
      st.integers(0, 255), st.integers(0, divisor - 1)), min_size=1))
  category, instance = np.array(pairs, np.int32).T
  for kind in (np.asarray, tf.constant):
    panoptic = label_ids.encode(kind(category), kind(instance), divisor)
    assert panoptic.dtype == np.int32
    got = label_ids.decode(panoptic, divisor)
    np.testing.assert_array_equal(got[0], category)
    np.testing.assert_array_equal(got[1], instance)


def test_ids_of_the_published_data_sets():
  assert label_ids.encode(255, 0, 1000) == 255000
  assert label_ids.encode(133, 255, 256) == 34303
  assert label_ids.decode(11003, 1000) == (11, 3)


@pytest.mark.parametrize('instance', [256, -1])
def test_encode_refuses_an_instance_that_changes_the_category(instance):
  with pytest.raises(errors.UserError, match='label_divisor 256'):
    label_ids.encode(np.int32([1, 1]), np.int32([1, instance]), 256)


def test_encode_accepts_an_empty_map():
  empty = np.zeros([0, 3], np.int32)
  assert label_ids.encode(empty, empty, 256).shape == (0, 3)


@pytest.mark.parametrize('kind', [np.asarray, tf.constant])
def test_members_are_told_from_labels_below_between_and_beyond(kind):
  np.testing.assert_array_equal(
      label_ids.member_mask(kind(np.int32([[7, 11, 12, 30, 255]])), (11, 30)),
      [[False, True, False, True, False]])


@pytest.mark.parametrize('kind', [np.asarray, tf.constant])
def test_no_class_is_a_member_of_nothing(kind):
  np.testing.assert_array_equal(
      label_ids.member_mask(kind(np.int32([0, 5])), ()), [False, False])
