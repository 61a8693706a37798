"""Combines pictures and writes them to files."""

from typing import Optional, Sequence, Tuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from axial_tf import errors
from axial_tf.files import atomic_files
from axial_tf.files import images as images_lib

_PANEL_GAP = 4  # White pixels between adjacent pictures.


def side_by_side(
    images: Sequence[np.ndarray],
    titles: Optional[Sequence[str]] = None) -> np.ndarray:
  """Puts pictures next to each other, each below its title.

  Args:
    images: uint8 RGB pictures; smaller ones are placed on top of white panels.
    titles: one for each picture, or None.

  Raises:
    errors.UserError: no pictures, or not as many titles as pictures.
  """
  if not images or (titles is not None and len(titles) != len(images)):
    raise errors.UserError(
        f'expected pictures and as many titles, got {len(images)} pictures '
        f'and {titles!r}')
  for image in images:
    check_image(image)
  height = max(image.shape[0] for image in images)
  # Titles grow with the pictures, as far as they fit the narrowest one.
  size = 0 if titles is None else min(
      int(np.clip(height / 25, 16, 40)),
      *(_fitting_size(title, image.shape[1])
            for title, image in zip(titles, images)))
  top = size + 8 if size else 0
  width = sum(i.shape[1] for i in images) + _PANEL_GAP * (len(images) - 1)
  panel = Image.new('RGB', (width, top + height), 'white')
  draw = ImageDraw.Draw(panel)
  left = 0
  for number, image in enumerate(images):
    panel.paste(Image.fromarray(image), (left, top))
    if size:
      draw.text((left + image.shape[1] / 2, top / 2), titles[number], 'black',
                font(size), anchor='mm')
    left += image.shape[1] + _PANEL_GAP
  return np.asarray(panel)


def stack(images: Sequence[np.ndarray]) -> np.ndarray:
  """Puts pictures above each other, white where one is narrower.

  Args:
    images: uint8 RGB pictures, the uppermost first.

  Raises:
    errors.UserError: no pictures.
  """
  if not images:
    raise errors.UserError('expected pictures to stack, got none')
  for image in images:
    check_image(image)
  width = max(image.shape[1] for image in images)
  return np.concatenate([
      np.pad(image, [(0, 0), (0, width - image.shape[1]), (0, 0)],
             constant_values=255) for image in images])


def save_png(image: np.ndarray, path: str) -> None:
  """Writes a PNG as a whole or not at all; makes the folder if needed.

  Args:
    image: uint8 RGB [height, width, 3].
    path: path of the file; an existing one is replaced.

  Raises:
    errors.UserError: the file cannot be written.
  """
  check_image(image)
  atomic_files.write(path, images_lib.png_bytes(image))


def check_image(image) -> None:
  """Raises a UserError unless this is a picture."""
  if (not isinstance(image, np.ndarray) or image.dtype != np.uint8
      or image.ndim != 3 or image.shape[2] != 3):
    described = (f'{image.dtype} {list(image.shape)}'
                 if isinstance(image, np.ndarray) else type(image).__name__)
    raise errors.UserError(
        f'expected a picture uint8 [height, width, 3], got {described}')


def swatches(
    entries: Sequence[Tuple[str, Tuple[int, int, int]]],
    width: int) -> np.ndarray:
  """Returns a strip [height, width, 3] of colors, each with its name.

  Entries (name, RGB) flow into as many rows as needed. The letters grow with
  the width; the strip is wider where a name needs it.
  """
  size = int(np.clip(width / 70, 13, 28))
  letters = font(size)
  side, row = size - 1, size + 7
  extents = [side + 5 + int(np.ceil(letters.getlength(name))) + size
             for name, _ in entries]
  width = max([width, *(10 + extent - size for extent in extents)])
  places, left, top = [], 6, 4
  for extent in extents:
    if left > 6 and left + extent - size + 4 > width:
      left, top = 6, top + row
    places.append((left, top))
    left += extent
  strip = Image.new('RGB', (width, top + row), 'white')
  draw = ImageDraw.Draw(strip)
  for (name, color), (left, top) in zip(entries, places):
    draw.rectangle([left, top + 1, left + side, top + 1 + side],
                   fill=color, outline=(90, 90, 90))
    draw.text((left + side + 5, top), name, 'black', letters)
  return np.asarray(strip)


def _fitting_size(text: str, width: int) -> int:
  """Returns the font size, at least 6, at which `text` fits into `width`."""
  return max(6, int(16 * width / max(font(16).getlength(text) + 4, 1)))


def font(size: int):
  """Returns the font of all pictures, `size` pixels high."""
  return ImageFont.load_default(size)
