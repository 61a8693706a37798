"""Areas, centers and distances against their definitions."""

import hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest
import tensorflow as tf

from axial_tf.panoptic import instance_centers

_SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(_SHAPES.flatmap(
    lambda shape: hnp.arrays(np.int32, shape, elements=st.integers(0, 4))))
def test_areas_and_centers_by_runs_are_those_by_pixels(slot):
  ends = instance_centers.runs_of(tf.constant(slot))
  area, centers = instance_centers.areas_and_centers(
      tf.constant(slot), ends, slots=6)
  assert area[5] == 0 and not np.any(centers[5])
  for value in range(5):
    y, x = np.nonzero(slot == value)
    assert area[value] == len(y)
    expected = [round(float(sum(axis)) / len(axis)) if len(axis) else 0
                for axis in (y, x)]  # Python rounds half to even, too.
    np.testing.assert_array_equal(centers[value], expected)


def test_sums_do_not_overflow():
  slot = tf.zeros([2049, 4097], tf.int32)
  area, centers = instance_centers.areas_and_centers(
      slot, instance_centers.runs_of(slot), slots=1)
  assert area[0] == 2049 * 4097
  np.testing.assert_array_equal(centers[0], [1024, 2048])


@pytest.mark.parametrize('reach, dtype', [
    (1, tf.int16), (25, tf.int16), (127, tf.int16), (130, tf.int32)])
@pytest.mark.parametrize('compile_with_xla', [False, True])
def test_squared_distance_to_the_nearest_window(
    reach, dtype, compile_with_xla):
  height, width = 40, 50
  centers = np.array([[0, 0], [39, 49], [20, 20], [22, 24], [5, 5]], np.int32)
  draw = tf.function(
      lambda centers, count: instance_centers.squared_distance(
          centers, count, height, width, reach),
      jit_compile=compile_with_xla)
  y, x = np.mgrid[:height, :width]
  for count in (0, 1, 4):
    got = draw(tf.constant(centers), tf.constant(count))
    assert got.dtype == dtype
    expected = np.full([height, width], dtype.max, np.int64)
    for center in centers[:count]:
      dy, dx = y - center[0], x - center[1]
      inside = np.maximum(abs(dy), abs(dx)) <= reach
      expected = np.where(
          inside, np.minimum(expected, dy**2 + dx**2), expected)
    np.testing.assert_array_equal(got, expected)
