"""Resizes images and maps for TensorBoard."""

from typing import Tuple

import numpy as np
from PIL import Image

from axial_tf.data.common import resizing

# Longest side, in pixels, of a panel. Event files keep every picture.
_LARGEST = 640


def shown_size(height: int, width: int) -> Tuple[int, int]:
  """Returns (height, width), shrunk if a side is too long."""
  scale = min(1.0, _LARGEST / max(height, width))
  return max(1, round(height * scale)), max(1, round(width * scale))


def resize_image(image: np.ndarray, height: int, width: int) -> np.ndarray:
  """Returns uint8 RGB [height, width, 3]."""
  return np.asarray(Image.fromarray(image).resize(
      (width, height), Image.Resampling.BILINEAR))


def resize_offset(offset: np.ndarray, height: int, width: int) -> np.ndarray:
  """Returns offsets [height, width, 2] in the pixels of their new size."""
  resized = resizing.nearest_array(offset, height, width)
  return resized * np.float32(
      [height / offset.shape[0], width / offset.shape[1]])
