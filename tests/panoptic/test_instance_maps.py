"""Types of pixels and the centers that they belong to."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.panoptic import instance_maps

# Class 1 and 3 are things, 0 and 2 are stuff, 9 is void.
_IDS = {'thing_ids': (1, 3), 'label_divisor': 10, 'ignore_label': 9}


def test_kinds():
  panoptic = tf.constant([[0, 10, 11, 12], [12, 20, 90, 99], [30, 31, 20, 40]])
  maps = instance_maps.instance_maps(
      panoptic, small_area=2, reach=3, **_IDS)
  void, crowd, stuff, thing, small = range(5)
  kind, _ = instance_maps.kind_and_center(maps['instance'])
  np.testing.assert_array_equal(kind, [
      [stuff, crowd, small, thing], [thing, stuff, void, void],
      [crowd, small, stuff, stuff]])


def test_compiled_or_not_the_maps_are_equal_and_small():
  rng = np.random.default_rng(0)
  for _ in range(5):
    panoptic = tf.constant(
        rng.choice([0, 10, 11, 12, 20, 31, 90], [7, 8]), tf.int32)
    plain, compiled = (
        instance_maps.instance_maps(
            panoptic, small_area=9, reach=3, compiled=compiled, **_IDS)
        for compiled in (False, True))
    for key in plain:
      np.testing.assert_array_equal(plain[key], compiled[key])
  assert {key: (value.dtype, value.shape.as_list())
          for key, value in compiled.items()} == {
              'instance': (tf.int32, [7, 8]),
              'center_r2': (tf.int16, [7, 8])}


def test_centers_of_instances():
  maps = instance_maps.instance_maps(
      tf.constant([[11, 11, 11, 0, 31]]), small_area=0, reach=1, **_IDS)
  _, center = instance_maps.kind_and_center(maps['instance'])
  np.testing.assert_array_equal(
      center.numpy()[0, [0, 1, 2, 4]], [[0, 1]] * 3 + [[0, 4]])
  far = tf.int16.max
  np.testing.assert_array_equal(maps['center_r2'], [[1, 0, 1, 1, 0]])
  maps = instance_maps.instance_maps(
      tf.constant([[11, 0, 0, 20, 90, 10]]), small_area=0, reach=1, **_IDS)
  np.testing.assert_array_equal(
      maps['center_r2'], [[0, 1, far, far, far, far]])


@pytest.mark.parametrize('shape', [(1, instance_maps.LARGEST_SIDE),
                                   (instance_maps.LARGEST_SIDE, 1)])
def test_the_largest_side(shape):
  panoptic = np.full(shape, 90, np.int32)
  panoptic[-1, -1] = 11
  maps = instance_maps.instance_maps(
      tf.constant(panoptic), small_area=9, reach=2, **_IDS)
  kind, center = instance_maps.kind_and_center(maps['instance'][-1, -1])
  assert kind == instance_maps.SMALL_INSTANCE
  np.testing.assert_array_equal(center, [shape[0] - 1, shape[1] - 1])
