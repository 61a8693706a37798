"""Writes and reads segment ids as colors: id = R + 256 G + 65536 B (COCO).

The four bytes of a pixel, of which the last is masked out, are read as one
int32: all CPUs that TensorFlow runs on are little-endian. TensorFlow is loaded
for graphs only: the client of a server does not need it.
"""

import io
import typing

import numpy as np
from PIL import Image

from axial_tf import errors
from axial_tf.files import images

if typing.TYPE_CHECKING:
  import tensorflow as tf


def from_rgb(rgb: np.ndarray) -> np.ndarray:
  """Returns the ids of colors, integers [..., 3] in 0..255."""
  return rgb @ np.int32([1, 256, 65536])


def decode(png: bytes, source: str) -> np.ndarray:
  """Returns the ids of a PNG file; arguments and errors as `from_image`."""
  with Image.open(io.BytesIO(png)) as image:
    return from_image(image, source)


def from_image(image: Image.Image, source: str) -> np.ndarray:
  """Returns the ids int32 [height, width] of a color image.

  Images with a palette hold the ids in their colors, as RGB ones do; an alpha
  channel must be opaque everywhere, as invisible colors may be lost.

  Args:
    image: Pillow image.
    source: name of the image for errors.

  Raises:
    errors.UserError: it is grey, of another mode, or partly transparent.
  """
  if image.mode not in ('RGB', 'RGBA', 'P', 'PA'):
    raise errors.UserError(
        f'{source}: expected an RGB PNG (id = R + 256 G + 65536 B), got mode '
        f'{image.mode}; write the ids as RGB')
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
    ValueError: values out of range.
  """
  if ids.min() < 0 or ids.max() >= 2**24:
    raise ValueError(
        f'expected label values in 0..{2**24 - 1}, got {ids.min()}..'
        f'{ids.max()}')
  pixels = np.ascontiguousarray(ids, '<i4').view(np.uint8)
  # Pillow reads the four bytes in place.
  return images.png_bytes(Image.frombuffer(
      'RGBX', ids.shape[::-1], pixels, 'raw', 'RGBX', 0, 1).convert('RGB'))


def encode_in_graph(ids: 'tf.Tensor') -> 'tf.Tensor':
  """Does the same in TensorFlow, without checking the values."""
  import tensorflow as tf

  return tf.io.encode_png(tf.bitcast(ids, tf.uint8)[..., :3])


def decode_in_graph(png: 'tf.Tensor') -> 'tf.Tensor':
  """Returns the ids int32 [height, width] of a PNG file, a string tensor."""
  import tensorflow as tf

  pixels = tf.io.decode_png(png, channels=4)
  return tf.bitwise.bitwise_and(tf.bitcast(pixels, tf.int32), 2**24 - 1)
