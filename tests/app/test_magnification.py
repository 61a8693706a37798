"""A click finds the pixel of the image that is shown there."""

import numpy as np
import pytest

from axial_tf.app import magnification


@pytest.mark.parametrize('size', [
    (1, 1), (33, 49), (180, 240), (400, 719), (720, 720), (1025, 2049),
    (5000, 30)])
def test_pixels_of_the_picture_are_those_of_the_image(size):
  places = np.stack(np.meshgrid(
      np.arange(size[0]), np.arange(size[1]), indexing='ij'), -1)
  shown = magnification.Magnification.of(*size)
  picture = shown.apply(places)
  assert max(picture.shape) <= 2048
  assert max(picture.shape) >= min(361, 721 * max(size))
  rng = np.random.default_rng(0)
  for _ in range(50):
    y, x = (int(rng.integers(n)) for n in picture.shape[:2])
    assert shown.pixel(y + 0.7, x) == tuple(picture[y, x])
