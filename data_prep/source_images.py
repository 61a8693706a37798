"""Picture files of a data set: read whole, checked, or refused by name."""

import io
import os
from typing import Tuple

from PIL import Image

from axial_tf import errors

# The names under which TensorFlow can decode the bytes as they are.
_STORED_FORMATS = {'JPEG': 'jpeg', 'MPO': 'jpeg', 'PNG': 'png'}
_STORED_MODES = ('L', 'RGB')
_PNG_END = b'IEND\xaeB`\x82'
_UNREADABLE = (
    OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def read(path: str, max_pixels: int) -> Tuple[bytes, Image.Image]:
  """Returns the bytes of a picture and the picture, decoded to its end.

  Raises:
    errors.UserError: no such file, damaged, no picture, or more than
      `max_pixels` (seen before decoding).
  """
  try:
    with open(path, 'rb') as file:
      content = file.read()
  except OSError as error:
    raise errors.UserError(
        f'{path}: cannot be read ({os.strerror(error.errno)}), but the data '
        f'set lists it; copy the data again') from error
  try:
    decoded = Image.open(io.BytesIO(content))
    if decoded.width * decoded.height > max_pixels:
      raise errors.UserError(
          f'{path}: has {decoded.width}x{decoded.height} pixels (width x '
          f'height), more than the limit of {max_pixels}; shrink it or raise '
          f'--max_pixels')
    if decoded.format == 'PNG':
      # Loading alone forgives wrong checksums and a missing end; TensorFlow,
      # which reads the same bytes in training, does not.
      decoded.verify()
      if _PNG_END not in content:
        raise OSError('its end is missing')
      decoded = Image.open(io.BytesIO(content))
    decoded.load()
  except errors.UserError:
    raise
  except _UNREADABLE as error:
    raise errors.UserError(
        f'{path}: damaged or no picture ({error}); copy the data '
        f'again') from error
  return content, decoded


def read_for_record(path: str, max_pixels: int
                    ) -> Tuple[bytes, str, Image.Image]:
  """Returns image bytes that TensorFlow can decode, their format, the image.

  Grey and RGB files in JPEG or PNG are stored as they are; others (CMYK,
  palettes, WebP ...) as a lossless RGB PNG.

  Raises:
    errors.UserError: as `read`.
  """
  content, decoded = read(path, max_pixels)
  stored = _STORED_FORMATS.get(decoded.format)
  if stored is None or decoded.mode not in _STORED_MODES:
    decoded = decoded.convert('RGB')
    content, stored = png_bytes(decoded), 'png'
  return content, stored, decoded


def png_bytes(image: Image.Image) -> bytes:
  """Returns a Pillow image as PNG."""
  buffer = io.BytesIO()
  image.save(buffer, format='PNG')
  return buffer.getvalue()
