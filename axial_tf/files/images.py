"""Reads the pixels of an image as a person sees them, uint8 RGB.

All other modules rely on this; `image_decoding` computes the same inside a
TensorFlow graph, bit for bit:

  orientation   upright, as the EXIF data says, see `exif`
  depth         the upper 8 of 16 bits per channel; 32-bit integers and
                floating-point pixels, whose white is unknown, are refused
  transparency  composited on white
  CMYK          (255 - ink) (255 - black) / 255, rounded down
  others        grey, palettes and the like are converted to RGB
"""

import contextlib
import functools
import importlib
import io
import os
import threading
from typing import Iterator, NamedTuple, Optional, Tuple, Union
import warnings

import numpy as np
from PIL import Image

from axial_tf import errors
from axial_tf.files import exif, strips

ImageLike = Union[str, os.PathLike, np.ndarray, Image.Image]

# Endings of the names of image files, in lower case.
ENDINGS = ('.avif', '.bmp', '.gif', '.heic', '.heif', '.jpeg', '.jpg', '.pgm',
           '.png', '.pnm', '.ppm', '.tif', '.tiff', '.webp')

# Pillow reads more, some of which run other programs (EPS) or hold no pixels.
_FORMATS = ('JPEG', 'PNG', 'BMP', 'GIF', 'PPM', 'TIFF', 'WEBP')
# With Pillow's own decoder, or with those of pillow-avif and pillow-heif.
_PLUGIN_FORMATS = ('AVIF', 'HEIF')
# Formats that `image_decoding` also decodes. MPO is JPEG with further images.
_IN_GRAPHS = {'JPEG': 'jpeg', 'MPO': 'jpeg', 'PNG': 'png'}

# Pixels of the largest image of any size.
_LARGEST = 2 ** 31 - 1
# Guards Pillow's own limit.
_LIMIT = threading.Lock()


class Stored(NamedTuple):
  """The pixels of a file before it is rotated upright.

  Attributes:
    rgb: uint8 [height, width, 3].
    orientation: see `exif.upright`.
    graph_format: 'jpeg' or 'png' if `image_decoding` decodes the file, else
      None.
  """

  rgb: np.ndarray
  orientation: int
  graph_format: Optional[str]

  @property
  def upright(self) -> np.ndarray:
    """The pixels as a person sees them."""
    return np.ascontiguousarray(exif.upright(self.rgb, self.orientation))


def as_rgb(image: ImageLike, any_size: bool = False) -> np.ndarray:
  """Returns a file, Pillow image or array as uint8 RGB [height, width, 3].

  Args:
    image: path of an image file, a Pillow image, or a uint8 array of shape
      [height, width, 3] (RGB), [height, width, 4] (with transparency),
      [height, width, 1] or [height, width] (grey).
    any_size: whether to read files of more pixels than Pillow allows.

  Raises:
    errors.UserError: the file is missing, damaged or not an image; the array
      has another type or shape; the image has no pixels.
  """
  if isinstance(image, np.ndarray):
    return _from_array(image)
  if isinstance(image, Image.Image):
    return of_pillow(image, 'image').upright
  if isinstance(image, (str, os.PathLike)):
    return _from_file(os.fspath(image), any_size)
  raise errors.UserError(
      f'expected a file name, a Pillow image or a uint8 array, got '
      f'{type(image).__name__}')


def _from_file(path: str, any_size: bool) -> np.ndarray:
  if not os.path.exists(path):
    raise errors.UserError(f'{path}: no such file; check the path')
  if os.path.isdir(path):
    raise errors.UserError(f'{path}: is a folder, expected an image file')
  try:
    with open(path, 'rb') as file:
      content = file.read()
  except OSError as error:
    raise errors.UserError(
        f'{path}: cannot be read ({error.strerror}); check the path and your '
        f'access to it') from error
  return from_bytes(content, path, any_size)


def from_bytes(content: bytes, name: str, any_size: bool = False
               ) -> np.ndarray:
  """Returns an image file's content as uint8 RGB [height, width, 3].

  Args:
    content: content of the file.
    name: name in errors.
    any_size: see `as_rgb`.

  Raises:
    errors.UserError: damaged or not an image.
  """
  with quiet(), _unlimited() if any_size else contextlib.nullcontext():
    image = open_image(content, name)
  if any_size and image.width * image.height > _LARGEST:
    raise errors.UserError(
        f'{name}: expected at most {_LARGEST} pixels, got {image.width}x'
        f'{image.height}; split it')
  with quiet():
    with image:
      return of_pillow(image, name, content).upright


def open_image(content: bytes, name: str) -> Image.Image:
  """Returns an image file's content as a Pillow image, not yet decoded.

  Raises:
    errors.UserError: not an image, or a format that cannot be read here.
  """
  try:
    return Image.open(io.BytesIO(content), formats=formats())
  except Image.UnidentifiedImageError as error:
    if content[4:8] == b'ftyp':
      raise errors.UserError(
          f'{name}: is a HEIC or AVIF file, which Pillow cannot read here; '
          f'install pillow-heif (HEIC) or pillow-avif-plugin (AVIF), or save '
          f'it as JPEG or PNG') from error
    raise errors.UserError(
        f'{name}: damaged or not an image; expected one of '
        f'{", ".join(formats())}') from error
  except Image.DecompressionBombError as error:
    raise errors.UserError(
        f'{name}: has more pixels than are read at once; shrink it, or segment '
        f'it in tiles (axial_tf.predict --tile)') from error
  except Exception as error:  # Decoders stumble over damage in many ways.
    raise _damaged(name, error) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
  """Suppresses Pillow's warnings: what matters raises an error."""
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    yield


@contextlib.contextmanager
def _unlimited() -> Iterator[None]:
  """Lets Pillow open images of any size."""
  with _LIMIT:
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
      yield
    finally:
      Image.MAX_IMAGE_PIXELS = limit


@functools.cache
def formats() -> Tuple[str, ...]:
  """Returns Pillow's names of the formats that can be read here."""
  for plugin in ('pillow_avif', 'pillow_heif'):
    try:
      module = importlib.import_module(plugin)
    except Exception:  # Not installed, or unusable: its files are refused.
      continue
    if plugin == 'pillow_heif':
      module.register_heif_opener()
  Image.init()
  return (*_FORMATS, *(name for name in _PLUGIN_FORMATS if name in Image.OPEN))


def of_pillow(image: Image.Image, name: str, content: bytes = b'') -> Stored:
  """Returns the pixels of a Pillow image.

  Args:
    image: Pillow image, decoded or not.
    name: name in errors.
    content: content of the file it comes from, if there is one.

  Raises:
    errors.UserError: damaged, or pixels of an unsupported type.
  """
  try:
    image.load()
    orientation = _orientation(image, content)
    rgb = _from_array(_channels(image, name, content))
  except errors.UserError:
    raise
  except MemoryError as error:
    raise errors.UserError(
        f'{name}: {image.width}x{image.height} pixels do not fit into memory; '
        f'shrink or split it') from error
  except Exception as error:  # Decoders stumble over damage in many ways.
    raise _damaged(name, error) from error
  return Stored(rgb, orientation, graph_format(image))


def graph_format(image: Image.Image) -> Optional[str]:
  """Returns 'jpeg' or 'png' if `image_decoding` decodes a file, else None."""
  if image.mode == 'CMYK' and 'adobe' not in image.info:
    return None  # TensorFlow decodes these wrongly.
  return _IN_GRAPHS.get(image.format)


def _damaged(name: str, error: Exception) -> errors.UserError:
  return errors.UserError(
      f'{name}: damaged or not an image ({error}); copy it again')


def _orientation(image: Image.Image, content: bytes) -> int:
  if image.format in _IN_GRAPHS:
    return (exif.orientation(content) if content
            else exif.of_block(image.info.get('exif', b'')))
  try:
    found = image.getexif().get(exif.TAG, 1)
  except Exception:  # Damaged data is ignored.
    return 1
  return found if found in range(1, 9) else 1


def _channels(image: Image.Image, name: str, content: bytes) -> np.ndarray:
  """Returns uint8 grey, RGB or RGBA."""
  transparent = image.info.get('transparency')
  if image.format == 'PNG' and transparent is not None:
    depth = content[24] if content else 8
    if image.mode == 'L':  # Pillow scales the pixels only.
      transparent *= 255 // (2**min(depth, 8) - 1)
      grey = np.asarray(image)
      return np.where(grey == transparent, np.uint8(255), grey)
    if image.mode == 'RGB' and (depth == 16 or max(transparent) > 255):
      raise errors.UserError(
          f'{name}: has a transparent color of 16 bits per channel; save it '
          f'with an alpha channel or with 8 bits')
  if image.mode.startswith('I;16') or (
      image.mode == 'I' and image.format in ('PNG', 'PPM')):
    values = np.asarray(image)
    grey = np.uint8(values >> 8)
    return grey if transparent is None else np.where(
        values == transparent, np.uint8(255), grey)
  if image.mode in ('I', 'F'):
    kind = 'floating-point' if image.mode == 'F' else '32-bit integer'
    raise errors.UserError(
        f'{name}: has {kind} pixels, expected 8 or 16 bits per channel; '
        f'convert it first')
  if image.mode == 'CMYK':
    # As TensorFlow does; Pillow rounds.
    light = 255 - np.asarray(image).astype(np.uint16)
    return np.uint8(light[..., :3] * light[..., 3:] // 255)
  if transparent is not None or image.mode in (
      'RGBA', 'LA', 'PA', 'RGBa', 'La'):
    return np.asarray(image.convert('RGBA'))
  # All at once would take two more copies.
  rgb = np.empty([image.height, image.width, 3], np.uint8)
  for rows in strips.of(rgb.shape):
    strip = image.crop((0, rows.start, image.width, rows.stop))
    rgb[rows] = np.asarray(strip.convert('RGB'))
  return rgb


def _from_array(image: np.ndarray) -> np.ndarray:
  shape = list(image.shape)
  if (image.dtype != np.uint8 or image.ndim not in (2, 3)
      or (image.ndim == 3 and shape[2] not in (1, 3, 4))):
    raise errors.UserError(
        f'expected an image as uint8 [height, width, 3] or [height, width] '
        f'with values 0..255, got {image.dtype} {shape}')
  if not image.size:
    raise errors.UserError(f'expected an image with pixels, got shape {shape}')
  if image.ndim == 2:
    image = image[..., np.newaxis]
  if image.shape[2] == 4:
    return _on_white(Image.fromarray(image))
  return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def _on_white(image: Image.Image) -> np.ndarray:
  background = Image.new('RGBA', image.size, 'white')
  return np.asarray(Image.alpha_composite(background, image).convert('RGB'))


def png_bytes(image: Union[np.ndarray, Image.Image]) -> bytes:
  """Returns an image as a PNG file.

  Args:
    image: Pillow image, uint8 RGB [height, width, 3], or uint8 or uint16 grey
      [height, width].
  """
  if isinstance(image, np.ndarray):
    image = Image.fromarray(image)
  buffer = io.BytesIO()
  image.save(buffer, format='PNG')
  return buffer.getvalue()
