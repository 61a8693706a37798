"""Shrinks large images and their labels before they are stored."""

import io
from typing import Optional, Tuple

import numpy as np
from PIL import Image

from axial_tf.data.common import resizing
from axial_tf.files import images

_JPEG_QUALITY = 95


def shrink(
    content: bytes, image_format: str, image: Image.Image,
    panoptic: Optional[np.ndarray], max_long_side: Optional[int]
) -> Tuple[bytes, str, Image.Image, Optional[np.ndarray]]:
  """Shrinks an image whose longer side exceeds `max_long_side`.

  Args:
    content, image_format, image: fields of a `source_images.ForRecord`.
    panoptic: its label int32 [height, width], or None.
    max_long_side: limit in pixels; None keeps every size.

  Returns:
    The same four. If they are shrunk, the image is resized with bilinear,
    antialiased interpolation and re-encoded in its format; the label with
    nearest-neighbour interpolation, which creates no new labels.
  """
  size = shrunk_size(image.size, max_long_side)
  if size == image.size:
    return content, image_format, image, panoptic
  image = image.resize(size, Image.Resampling.BILINEAR)
  if image_format == 'jpeg':
    buffer = io.BytesIO()
    image.save(buffer, format='JPEG', quality=_JPEG_QUALITY)
    content = buffer.getvalue()
  else:
    content, image_format = images.png_bytes(image), 'png'
  if panoptic is not None:
    panoptic = resizing.nearest_array(panoptic, *size[::-1])
  return content, image_format, image, panoptic


def shrunk_size(size: Tuple[int, int],
                max_long_side: Optional[int]) -> Tuple[int, int]:
  """Returns (width, height) with the longer side at most `max_long_side`."""
  longest = max(size)
  if max_long_side is None or longest <= max_long_side:
    return size
  width, height = (
      max(1, round(side * max_long_side / longest)) for side in size)
  return width, height
