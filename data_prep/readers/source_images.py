"""Reads image files of a data set completely, with checks."""

import os
import pathlib
from typing import NamedTuple, Optional, Tuple

import numpy as np
from PIL import Image
import tensorflow as tf

from axial_tf import errors
from axial_tf.files import image_decoding, images, paths

_PNG_END = b'IEND\xaeB`\x82'

# Limit in bytes of all common file systems.
LONGEST_NAME = 255
# Instead, `read` has a limit that the user can choose.
Image.MAX_IMAGE_PIXELS = None


class MissingFile(errors.UserError):
  """A file that a data set lists does not exist."""


def inside(folder: pathlib.Path, name: str, lister: pathlib.Path) -> str:
  """Returns the path of a file that a data set lists.

  Args:
    folder: folder that must contain it; links that the user made there are
      followed.
    name: its name relative to the folder.
    lister: the file that lists it, for errors.

  Raises:
    MissingFile: no such file.
    errors.UserError: a name that leads out of the folder, or is not valid.
  """
  if paths.leads_out(name):
    raise errors.UserError(
        f'{lister}: the file name {name!r:.200} leads out of {folder}; use '
        f'names relative to it')
  full = os.path.join(folder, name)
  possible = _is_possible(name)
  if possible and os.path.isfile(full):
    return full
  if possible and os.path.islink(full):
    raise MissingFile(
        f'{full}: is a link to {os.readlink(full)}, which does not exist; make '
        f'that available, or copy the data again')
  raise (MissingFile if possible else errors.UserError)(
      f'{os.path.join(folder, ascii(name)[1:-1][:200])}: no such file, but '
      f'{lister} lists it; copy the data again')


def _is_possible(name: str) -> bool:
  try:
    return b'\0' not in os.fsencode(name) and (
        0 < len(os.fsencode(os.path.basename(name))) <= LONGEST_NAME)
  except UnicodeEncodeError:  # Half of a surrogate pair, from broken JSON.
    return False


def read(path: str, max_pixels: int) -> Tuple[bytes, Image.Image]:
  """Returns the bytes of an image and the completely decoded image.

  Raises:
    errors.UserError: no such file, damaged, not an image, or more than
      `max_pixels` (checked before decoding).
  """
  try:
    with open(path, 'rb') as file:
      content = file.read()
  except OSError as error:
    raise errors.UserError(
        f'{path}: cannot be read ({os.strerror(error.errno)}), but the data '
        f'set lists it; copy the data again') from error
  try:
    with images.quiet():
      decoded = _decoded(content, path, max_pixels)
  except errors.UserError:
    raise
  except Exception as error:  # Decoders fail on damaged files in many ways.
    raise errors.UserError(
        f'{path}: damaged or not an image ({error}); copy the data '
        f'again') from error
  return content, decoded


def _decoded(content: bytes, path: str, max_pixels: int) -> Image.Image:
  decoded = images.open_image(content, path)
  if decoded.width * decoded.height > max_pixels:
    raise errors.UserError(
        f'{path}: has {decoded.width}x{decoded.height} pixels (width x '
        f'height), more than the limit of {max_pixels}; shrink it or raise '
        f'--max_pixels')
  if decoded.format == 'PNG':
    # Loading alone tolerates wrong checksums and a missing end; TensorFlow,
    # which reads the same bytes in training, does not.
    decoded.verify()
    if _PNG_END not in content:
      raise OSError('its end is missing')
    decoded = images.open_image(content, path)
  decoded.load()
  return decoded


class ForRecord(NamedTuple):
  """An image as stored in a record.

  Attributes:
    content: bytes that the decoder of the records turns into `image`.
    image_format: 'jpeg' or 'png'.
    image: upright RGB image.
    stored_size: (width, height) before the rotation by EXIF data.
  """

  content: bytes
  image_format: str
  image: Image.Image
  stored_size: Tuple[int, int]

  def require_upright(
      self, size: Tuple[Optional[int], Optional[int]], path: str) -> None:
    """Checks that a label was not made for the image before its rotation.

    Args:
      size: (width, height) of the label.
      path: path of the image.

    Raises:
      errors.UserError: the label fits the image only before the rotation by
        EXIF data.
    """
    if self.image.size != size and self.stored_size == size:
      raise errors.UserError(
          f'{path}: its EXIF orientation rotates it to {self.image.width}x'
          f'{self.image.height} pixels (width x height), but its label has '
          f'{size[0]}x{size[1]}; rotate the label like the displayed image, or '
          f'remove the orientation from the image')


def read_for_record(path: str, max_pixels: int,
                    is_turned_later: bool = False) -> ForRecord:
  """Reads an image for a record.

  JPEG and PNG files are stored unchanged if the decoder of the records gives
  the same pixels as `images`; others (rotated by EXIF data, WebP ...) as a
  lossless RGB PNG of these pixels.

  Args:
    path: path of the image.
    max_pixels: limit of pixels, see `read`.
    is_turned_later: whether the decoder of the records applies EXIF data.

  Raises:
    errors.UserError: as `read`; or TensorFlow cannot decode it.
  """
  content, decoded = read(path, max_pixels)
  stored = images.of_pillow(decoded, path, content)
  image = Image.fromarray(stored.upright)
  image_format = stored.graph_format
  is_same = image_format is not None and np.array_equal(
      _decoded_in_training(content, path), stored.rgb)
  if not is_same or not (stored.orientation == 1 or is_turned_later):
    content, image_format = images.png_bytes(image), 'png'
  return ForRecord(content, image_format, image, decoded.size)


def _decoded_in_training(content: bytes, path: str) -> np.ndarray:
  try:
    return _decode(content).numpy()
  except tf.errors.OpError as error:
    # Pillow tolerates some damage that TensorFlow does not.
    raise errors.UserError(
        f'{path}: damaged: TensorFlow cannot decode it '
        f'({errors.first_line(error)[:200]}); copy the data again, or save it '
        f'as PNG') from error


@tf.function(
    autograph=False, input_signature=[tf.TensorSpec([], tf.string)])
def _decode(content):
  return image_decoding.decode(content, upright=False)
