"""Counts and sums per bin."""

import numpy as np
import tensorflow as tf

from axial_tf.panoptic import histogram


def test_drops_what_is_outside(compiled):
  index = tf.constant([[0, 2, 2], [-1, 3, 9]])
  count = compiled(lambda i: histogram.histogram(i, 3))(index)
  np.testing.assert_array_equal(count, [1, 0, 2])
  assert count.dtype == tf.int32


def test_sums_weights_exactly(compiled):
  index = tf.constant([1, 1, 0, -5, 2])
  weights = tf.constant([2.0**40, 1.0, 5.0, 7.0, 7.0], tf.float64)
  total = compiled(lambda i, w: histogram.histogram(i, 2, w))(index, weights)
  np.testing.assert_array_equal(total, [5.0, 2.0**40 + 1])


def test_no_bins(compiled):
  count = compiled(lambda i: histogram.histogram(i, 0))(tf.constant([0, 1]))
  assert count.shape == [0]
