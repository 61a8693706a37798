"""Sizes: images and labels stay together; value ranges."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.data.common import resizing


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


class TestCenterCrop:

  @pytest.mark.parametrize('size', [(40, 60), (60, 40), (33, 33), (1, 9)])
  def test_takes_the_middle_of_the_short_side(self, size):
    y, x = np.mgrid[:size[0], :size[1]] * 2
    image = np.stack([y, x, 0 * x], -1).astype(np.uint8)
    result = resizing.center_crop(tf.constant(image), (24, 24), 30)
    assert result.shape == [24, 24, 3]
    middle = (result.numpy()[..., :2].mean((0, 1)) + 1) * 127.5
    # A pixel of the resized image, by which the middle may be off, is this:
    pixel = 2 * min(size) / 30
    np.testing.assert_allclose(
        middle, np.array(size) - 1, atol=0.6 * pixel + 0.1)

  def test_an_image_of_the_right_size_stays(self):
    image = np.random.default_rng(0).integers(0, 256, [9, 9, 3], np.uint8)
    for short_side in (9, None):
      np.testing.assert_allclose(
          resizing.center_crop(image, (9, 9), short_side),
          image / 127.5 - 1, atol=1e-6)

  def test_without_a_short_side_the_whole_image_is_shown(self):
    image = np.zeros([20, 40, 3], np.uint8)
    image[:, :20] = 255
    result = resizing.center_crop(image, (8, 8), None).numpy()
    assert (result[:, :4] == 1).all() and (result[:, 4:] == -1).all()

  @pytest.mark.parametrize('size', [(100, 130), (31, 9), (300, 200)])
  def test_is_the_middle_of_the_resized_image(self, size):
    image = np.random.default_rng(1).integers(0, 256, [2, *size, 3], np.uint8)
    scale = 30 / min(size)
    height, width = (int(np.round(side * scale)) for side in size)
    whole = tf.image.resize(image, (height, width)).numpy() / 127.5 - 1
    top, left = (height - 24) // 2, (width - 24) // 2
    np.testing.assert_allclose(
        resizing.center_crop(image, (24, 24), 30),
        whole[:, top:top + 24, left:left + 24], atol=1e-4)

  def test_a_strip_of_any_length_costs_little(self):
    image = np.zeros([1, 200_000, 3], np.uint8)
    image[:, 100_000:] = 255
    result = resizing.center_crop(image, (224, 224), 256)
    assert result.shape == [224, 224, 3]
    assert result.numpy().min() < -0.8 and result.numpy().max() > 0.8
