"""Sizes: images and labels stay together; value ranges."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.data import resizing


def test_resize_by_two_repeats_labels_and_averages_images():
  """Pixel centers: doubling puts two pixels into each old one."""
  panoptic = np.arange(1, 13, dtype=np.int32).reshape(3, 4)
  image = np.repeat(panoptic[..., None], 3, -1).astype(np.float32)
  larger, label = resizing.resize(image, panoptic, [6, 8])
  np.testing.assert_array_equal(
      label, np.repeat(np.repeat(panoptic, 2, 0), 2, 1))
  blocks = larger.numpy()[..., 0].reshape(3, 2, 4, 2)
  np.testing.assert_allclose(
      blocks.mean((1, 3))[1, 1:3], panoptic[1, 1:3], rtol=1e-6)
  half, half_label = resizing.resize(larger, label, [3, 4])
  np.testing.assert_array_equal(half_label, panoptic)
  assert half.dtype == tf.float32 and half_label.dtype == tf.int32


@pytest.mark.parametrize('size, enlarge, expected', [
    ((427, 640), False, (427, 640)),
    ((427, 640), True, (684, 1025)),
    ((2000, 1000), False, (1025, 512)),
    ((1025, 1025), True, (1025, 1025)),
    ((1, 5000), False, (1, 1025)),
])
def test_long_side(size, enlarge, expected):
  result = resizing.long_side_size(
      tf.constant(size[0]), tf.constant(size[1]), 1025, enlarge)
  assert tuple(result.numpy()) == expected


def test_value_ranges():
  np.testing.assert_allclose(
      resizing.to_model_range(np.array([0, 255], np.uint8)), [-1, 1])
  assert resizing.to_uint8(
      np.array([-3.0, 0.4, 0.6, 254.6, 300.0])).numpy().tolist() == [
          0, 0, 1, 255, 255]
