"""Shrinking images with their labels."""

import io

import hypothesis
from hypothesis import strategies as st
import numpy as np
from PIL import Image
import pytest

from axial_tf.data.common import resizing as data_resizing
from data_prep.readers import resizing


def _encoded(pixels, image_format):
  image = Image.fromarray(pixels)
  buffer = io.BytesIO()
  image.save(buffer, format=image_format)
  return buffer.getvalue(), image_format.lower(), image


def test_images_that_are_small_enough_are_unchanged():
  given = _encoded(np.zeros((20, 30, 3), np.uint8), 'PNG')
  panoptic = np.zeros((20, 30), np.int32)
  for limit in (None, 30, 1000):
    result = resizing.shrink(*given, panoptic, limit)
    assert all(new is old for new, old in zip(result, (*given, panoptic)))


@pytest.mark.parametrize('image_format', ['JPEG', 'PNG'])
def test_pixels_are_averaged_and_the_format_kept(image_format):
  stripes = np.zeros((40, 64, 3), np.uint8)
  stripes[:, ::2] = 200
  panoptic = np.arange(40 * 64, dtype=np.int32).reshape(40, 64) * 6000
  content, stored, image, label = resizing.shrink(
      *_encoded(stripes, image_format), panoptic, 16)
  assert stored == image_format.lower()
  decoded = Image.open(io.BytesIO(content))
  assert decoded.format == image_format
  assert decoded.size == image.size == (16, 10)
  # Without antialiasing the stripes would turn black or white.
  np.testing.assert_allclose(np.asarray(decoded), 100, atol=10)
  # Each block of 4x4 pixels gives the one right below its middle.
  np.testing.assert_array_equal(label, panoptic[2::4, 2::4])
  assert label.dtype == np.int32


def test_images_without_label():
  *_, image, label = resizing.shrink(
      *_encoded(np.zeros((8, 4), np.uint8), 'PNG'), None, 4)
  assert image.size == (2, 4)
  assert image.mode == 'L'
  assert label is None


@hypothesis.given(st.integers(1, 6000), st.integers(1, 6000),
                  st.integers(1, 6000))
def test_sizes(width, height, limit):
  new = resizing.shrunk_size((width, height), limit)
  assert min(new) >= 1
  assert max(new) == min(limit, max(width, height))
  scale = max(new) / max(width, height)
  for before, after in zip((width, height), new):
    assert abs(before * scale - after) <= 0.5 or after == 1


@hypothesis.given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_the_label_below_the_middle_of_a_pixel_is_picked(width, height, limit):
  size = resizing.shrunk_size((width, height), limit)
  places = np.stack(np.indices([height, width]), -1)
  picked = data_resizing.nearest_array(places, *size[::-1])
  assert picked.shape == (*size[::-1], 2)
  for axis, (old, new) in enumerate(zip((height, width), size[::-1])):
    middle = (np.arange(new) + 0.5) * old / new
    index = picked.take(0, 1 - axis)[:, axis]
    assert (np.abs(index + 0.5 - middle) <= 0.5 + 1e-9).all()
