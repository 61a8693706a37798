"""Prepares the file content that a client sends for an image.

A server decodes JPEG and PNG like `images`; these are sent unchanged, all
others as PNGs of their pixels.
"""

import os
from typing import Union

import numpy as np
from PIL import Image

from axial_tf import errors
from axial_tf.files import images

ImageLike = Union[str, os.PathLike, bytes, np.ndarray, Image.Image]


def content(image: ImageLike) -> bytes:
  """Returns the content of an image file that a server understands.

  Args:
    image: name or content of an image file, uint8 array [height, width, 3]
      (RGB) or [height, width] (grey), or Pillow image.

  Raises:
    errors.UserError: the file is missing or cannot be read, or the array is
      not an image.
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
    with images.quiet(), images.open_image(file, 'image') as image:
      if images.graph_format(image) is not None:
        return file
    return images.png_bytes(images.from_bytes(file, 'image'))
  except errors.UserError:
    return file  # The server will report the problem.
