"""Reads the pictures that a page receives, with the checks of a server."""

import os
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from axial_tf import errors
from axial_tf.export import image_bytes


class Upload(NamedTuple):
  """A picture as a person sees it.

  Attributes:
    name: name of its file, without folders.
    pixels: uint8 RGB [height, width, 3].
  """

  name: str
  pixels: np.ndarray


class Uploads:
  """Reads files of unknown origin from one folder, and none elsewhere."""

  def __init__(self, folder: str, max_pixels: int):
    """Prepares to read.

    Args:
      folder: folder of the files.
      max_pixels: height times width of the largest image that is decoded; a
        larger one is refused by the size that its header claims.
    """
    self._folder = os.path.realpath(folder)
    self._decode = tf.function(
        lambda content: image_bytes.decode(content, max_pixels),
        autograph=False, input_signature=[tf.TensorSpec([], tf.string)])

  def read(self, path: str) -> Upload:
    """Reads one file, JPEG or PNG.

    Raises:
      errors.UserError: it is not such an image, it is too large, or it lies
        elsewhere.
    """
    real = os.path.realpath(path)
    name = os.path.basename(real)
    if os.path.commonpath([self._folder, real]) != self._folder:
      raise errors.UserError(
          f'{name}: expected a picture that was sent to this page; drop it on '
          f'the page')
    try:
      with open(real, 'rb') as file:
        content = file.read()
    except OSError as error:
      raise errors.UserError(
          f'{name}: is no longer on the server; drop it on the page again'
      ) from error
    pixels, problem = self._decode(content)
    problem = problem.numpy().decode()
    if problem:
      raise errors.UserError(f'{name}: {problem}')
    return Upload(name, pixels.numpy())
