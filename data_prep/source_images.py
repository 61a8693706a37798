"""Picture files of a data set: read whole, checked, or refused by name."""

import io
import os
import pathlib
from typing import Tuple
import warnings

from PIL import Image, UnidentifiedImageError

from axial_tf import errors, paths

# The names under which TensorFlow can decode the bytes as they are.
_STORED_FORMATS = {'JPEG': 'jpeg', 'MPO': 'jpeg', 'PNG': 'png'}
_STORED_MODES = ('L', 'RGB')
# Pillow knows more, some of which run other programs (EPS) or hold no pixels.
_READ_FORMATS = ('JPEG', 'PNG', 'BMP', 'GIF', 'PPM', 'TIFF', 'WEBP')
_PNG_END = b'IEND\xaeB`\x82'

# How the names of picture files end, in lower case.
NAME_ENDINGS = (
    '.jpg', '.jpeg', '.png', '.bmp', '.gif', '.ppm', '.tif', '.tiff', '.webp')

# Bytes, on all file systems that are in use.
LONGEST_NAME = 255

# `read` has a limit of its own, which the user can choose.
Image.MAX_IMAGE_PIXELS = None


class MissingFile(errors.UserError):
  """A file that a data set lists is not there."""


def inside(folder: pathlib.Path, name: str, lister: pathlib.Path) -> str:
  """Returns the path of a file that a data set lists.

  Args:
    folder: in which it must be; links that the user made there are followed.
    name: relative to the folder.
    lister: the file that lists it, for errors.

  Raises:
    MissingFile: no such file.
    errors.UserError: a name that leads out of the folder, or of no file.
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
        f'{full}: is a link to {os.readlink(full)}, which is not there; make '
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
    decoded = _open(content)
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
      decoded = _open(content)
    decoded.load()
  except errors.UserError:
    raise
  except Exception as error:  # Decoders stumble over damage in many ways.
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
    try:
      decoded = decoded.convert('RGB')
    except ValueError as error:
      raise errors.UserError(
          f'{path}: expected a grey or color picture of 8 bits per channel, '
          f'got mode {decoded.mode}; convert it') from error
    content, stored = png_bytes(decoded), 'png'
  return content, stored, decoded


def _open(content: bytes) -> Image.Image:
  with warnings.catch_warnings():
    # What matters is refused; odd tags of no consequence are not news.
    warnings.simplefilter('ignore')
    try:
      return Image.open(io.BytesIO(content), formats=_READ_FORMATS)
    except UnidentifiedImageError:  # It would tell the address of the object.
      raise ValueError(
          f'its format is none of {", ".join(_READ_FORMATS)}') from None


def png_bytes(image: Image.Image) -> bytes:
  """Returns a Pillow image as PNG."""
  buffer = io.BytesIO()
  image.save(buffer, format='PNG')
  return buffer.getvalue()
