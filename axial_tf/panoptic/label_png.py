"""Segment ids as colors: id = R + 256 G + 65536 B, COCO's panoptic convention.

Needs no TensorFlow, so that the client of a server can read its answers.
"""

import io

import numpy as np
from PIL import Image

from axial_tf import errors


def from_rgb(rgb):
  """Returns the ids of colors: int32 [..., 3], of NumPy or TensorFlow."""
  return rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2]


def from_image(image: Image.Image, source: str) -> np.ndarray:
  """Returns the ids int32 [height, width] of a picture in color.

  Pictures with a palette hold the ids in their colors, as RGB ones do; an alpha
  channel must be opaque everywhere, as colors that nobody sees may be lost.

  Args:
    image: Pillow image.
    source: name of the picture for errors.

  Raises:
    errors.UserError: it is grey, of another kind, or transparent in part.
  """
  if image.mode not in ('RGB', 'RGBA', 'P', 'PA'):
    raise errors.UserError(
        f'{source}: expected an RGB PNG (id = R + 256 G + 65536 B), got mode '
        f'{image.mode}; write the ids as RGB')
  # Four bytes per pixel are one integer each, without arithmetic.
  pixels = np.array(image.convert('RGBX' if image.mode == 'RGB' else 'RGBA'))
  if image.mode != 'RGB' and (pixels[..., 3] < 255).any():
    y, x = np.argwhere(pixels[..., 3] < 255)[0]
    raise errors.UserError(
        f'{source}: expected opaque colors (id = R + 256 G + 65536 B), but its '
        f'pixel in row {y}, column {x} has the alpha value '
        f'{pixels[y, x, 3]}; write the ids as RGB, without alpha')
  return pixels.view('<i4')[..., 0] & 0xffffff


def encode(ids: np.ndarray) -> bytes:
  """Returns ids int32 [height, width] in 0..2**24-1 as RGB PNG bytes.

  Raises:
    ValueError: other values.
  """
  if ids.min() < 0 or ids.max() >= 2**24:
    raise ValueError(
        f'expected label values in 0..{2**24 - 1}, got {ids.min()}..'
        f'{ids.max()}')
  rgb = np.empty((*ids.shape, 3), np.uint8)
  for channel in range(3):
    rgb[..., channel] = (ids >> 8 * channel) & 255
  buffer = io.BytesIO()
  Image.fromarray(rgb).save(buffer, format='PNG', compress_level=6)
  return buffer.getvalue()
