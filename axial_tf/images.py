"""Image files and arrays as a person sees them, as uint8 RGB.

Photographs are turned the way their EXIF data says; grey, palette, CMYK and
16-bit images become RGB; transparent parts show white.
"""

import io
import os
from typing import BinaryIO, Union
import warnings

import numpy as np
from PIL import Image, ImageOps

from axial_tf import errors

ImageLike = Union[str, os.PathLike, np.ndarray, Image.Image]

# Pillow knows more, some of which run other programs (EPS) or hold no pixels.
FORMATS = ('JPEG', 'PNG', 'BMP', 'GIF', 'PPM', 'TIFF', 'WEBP')


def as_rgb(image: ImageLike) -> np.ndarray:
  """Returns a file, Pillow image or array as uint8 RGB [height, width, 3].

  Args:
    image: path of an image file, a Pillow image, or a uint8 array of shape
      [height, width, 3] (RGB), [height, width, 4] (with transparency),
      [height, width, 1] or [height, width] (grey).

  Raises:
    errors.UserError: the file is missing, damaged or no image; the array has
      another type or shape; the image has no pixels.
  """
  if isinstance(image, np.ndarray):
    return _from_array(image)
  if isinstance(image, Image.Image):
    return _from_pillow(image, 'image')
  if isinstance(image, (str, os.PathLike)):
    return _from_file(os.fspath(image))
  raise errors.UserError(
      f'expected a file name, a Pillow image or a uint8 array, got '
      f'{type(image).__name__}')


def _from_file(path: str) -> np.ndarray:
  if not os.path.exists(path):
    raise errors.UserError(f'{path}: no such file; check the path')
  if os.path.isdir(path):
    raise errors.UserError(f'{path}: is a folder, expected an image file')
  return _decode(path, path)


def from_bytes(content: bytes, name: str) -> np.ndarray:
  """Returns an image file's content as uint8 RGB [height, width, 3].

  Args:
    content: of the file.
    name: in errors.

  Raises:
    errors.UserError: damaged or no image.
  """
  return _decode(io.BytesIO(content), name)


def _decode(file: Union[str, BinaryIO], name: str) -> np.ndarray:
  try:
    with warnings.catch_warnings():
      # Pillow warns of sizes that it goes on to read; its error stops others.
      warnings.simplefilter('ignore', Image.DecompressionBombWarning)
      with Image.open(file, formats=FORMATS) as image:
        return _from_pillow(image, name)
  except errors.UserError:
    raise
  except Image.UnidentifiedImageError as error:
    raise errors.UserError(
        f'{name}: not an image that can be read; expected one of '
        f'{", ".join(FORMATS)}') from error
  except Exception as error:  # Decoders stumble over damage in many ways.
    raise errors.UserError(
        f'{name}: cannot be read as an image ({error}); it may be damaged or '
        f'incomplete') from error


def _from_pillow(image: Image.Image, name: str) -> np.ndarray:
  image = ImageOps.exif_transpose(image)
  if image.mode.startswith('I'):
    # 16-bit grey; Pillow would cut off the values instead of scaling them.
    grey = np.clip(np.asarray(image).astype(np.float64), 0, 65535)
    return _from_array(np.round(grey / 257).astype(np.uint8))
  if image.mode == 'F':
    raise errors.UserError(
        f'{name}: has floating-point pixels, expected 8 or 16 bits per '
        f'channel; convert it first')
  if image.mode in ('RGBA', 'LA', 'PA') or 'transparency' in image.info:
    image = _on_white(image.convert('RGBA'))
  return _from_array(np.asarray(image.convert('RGB')))


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
    return np.asarray(_on_white(Image.fromarray(image)).convert('RGB'))
  return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def _on_white(image: Image.Image) -> Image.Image:
  background = Image.new('RGBA', image.size, 'white')
  return Image.alpha_composite(background, image)


def png_bytes(image: np.ndarray) -> bytes:
  """Returns uint8 RGB [height, width, 3] as a PNG file."""
  buffer = io.BytesIO()
  Image.fromarray(image).save(buffer, format='PNG')
  return buffer.getvalue()
