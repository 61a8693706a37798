"""Masks of train ids."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.panoptic import label_ids


@pytest.mark.parametrize('kind', [np.asarray, tf.constant])
def test_members_differ_from_labels_below_between_and_beyond(kind):
  np.testing.assert_array_equal(
      label_ids.member_mask(kind(np.int32([[7, 11, 12, 30, 255]])), (11, 30)),
      [[False, True, False, True, False]])


@pytest.mark.parametrize('kind', [np.asarray, tf.constant])
def test_no_class_is_a_member_of_nothing(kind):
  np.testing.assert_array_equal(
      label_ids.member_mask(kind(np.int32([0, 5])), ()), [False, False])
