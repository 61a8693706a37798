"""What a client sends to a server in place of an image.

A server decodes JPEG, PNG, GIF and BMP, knows nothing of EXIF rotation and
drops transparency. Files for which that makes a difference are sent as PNGs of
what a person sees; all others as they are.
"""

import io
import os
from typing import Union

import numpy as np
from PIL import Image

from axial_tf import errors, images

ImageLike = Union[str, os.PathLike, bytes, np.ndarray, Image.Image]

_DECODED_BY_SERVER = ('JPEG', 'PNG')  # And some kinds of BMP.
_EXIF_ORIENTATION = 0x0112


def content(image: ImageLike) -> bytes:
  """Returns the content of an image file that a server understands.

  Args:
    image: name or content of an image file, uint8 array [height, width, 3]
      (RGB) or [height, width] (grey), or Pillow image.

  Raises:
    errors.UserError: the file is missing or cannot be read, or the array is no
      image.
  """
  if isinstance(image, bytes):
    return _of_file(image)
  if isinstance(image, (str, os.PathLike)):
    try:
      with open(image, 'rb') as file:
        return _of_file(file.read())
    except OSError as error:
      raise errors.UserError(
          f'{os.fspath(image)}: cannot be read ({error.strerror}); check the '
          f'path') from error
  return images.png_bytes(images.as_rgb(image))


def _of_file(file: bytes) -> bytes:
  try:
    with Image.open(io.BytesIO(file), formats=images.FORMATS) as image:
      if (image.format in _DECODED_BY_SERVER and image.mode in ('RGB', 'L')
          and 'transparency' not in image.info
          and image.getexif().get(_EXIF_ORIENTATION, 1) == 1):
        return file
    return images.png_bytes(images.from_bytes(file, 'image'))
  except Exception:  # Decoders stumble over damage in many ways.
    return file  # The server says what is wrong with it.
