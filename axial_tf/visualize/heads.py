"""Draws the outputs of the instance heads: centers and offsets."""

import colorsys
from typing import Optional

import numpy as np
from PIL import Image, ImageDraw

from axial_tf import errors
from axial_tf.visualize import canvas, heat

_STRIP = 54  # Height of the wheel's legend below a small picture, in pixels.
_NARROWEST = 64  # Width of a scale that can still be read.


def center_heatmap(image: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
  """Returns the heatmap of centers over the image, with a color scale below.

  Args:
    image: uint8 RGB [height, width, 3].
    heatmap: [height, width]; 0 is no center, 1 a certain one. The head is
      linear, so values may be slightly out of range.

  Raises:
    errors.UserError: the sizes differ.
  """
  _check_size(image, heatmap.shape, 'heatmap')
  width = max(image.shape[1], _NARROWEST)
  unit = _unit(width)
  strip = Image.new('RGB', (width, 26 * unit), 'white')
  draw = ImageDraw.Draw(strip)
  font = canvas.font(12 * unit)
  left, right = 16 * unit, min(width - 16 * unit, 216 * unit)
  bar = heat.heat_colors(np.linspace(0, 1, right - left))
  bar = np.broadcast_to(
      np.round(bar).astype(np.uint8), [10 * unit, *bar.shape])
  strip.paste(Image.fromarray(np.ascontiguousarray(bar)), (left, 8 * unit))
  draw.text((left - 4 * unit, 13 * unit), '0', 'black', font, anchor='rm')
  draw.text((right + 4 * unit, 13 * unit), '1', 'black', font, anchor='lm')
  return canvas.stack([heat.heat_on_grey(image, heatmap), np.asarray(strip)])


def offset_wheel(image: np.ndarray, offset: np.ndarray,
                 is_thing: Optional[np.ndarray] = None,
                 to: str = 'center') -> np.ndarray:
  """Returns directions to the center as hues, with a color wheel below.

  A pixel has the color of the wheel in the direction of its center; the
  farther away the center is, the stronger the color.

  Args:
    image: uint8 RGB [height, width, 3], shown in grey outside things.
    offset: [height, width, 2], (y, x) in pixels from pixel to center.
    is_thing: bool [height, width], pixels whose offsets have a meaning; None
      for all.
    to: name, for the legend, of what the offsets point to.

  Returns:
    uint8 RGB, white at the right where the legend is wider than the image.
    Pixels without a finite offset are grey.

  Raises:
    errors.UserError: the sizes differ.
  """
  _check_size(image, offset.shape[:2], 'offset')
  if is_thing is None:
    is_thing = np.ones(image.shape[:2], bool)
  _check_size(image, is_thing.shape, 'mask of things')
  is_thing = is_thing & np.isfinite(offset).all(-1)
  offset = np.where(is_thing[..., np.newaxis], offset, 0)
  distance = np.hypot(offset[..., 0], offset[..., 1])
  # A few stray offsets must not make all others pale.
  reach = float(np.percentile(distance[is_thing], 99)) if is_thing.any() else 1
  reach = max(reach, 1.0)
  colors = _direction_colors(offset / reach)
  grey = 0.55 * image.mean(-1, keepdims=True)
  picture = np.where(is_thing[..., np.newaxis], colors, grey)
  return canvas.stack([
      np.round(picture).astype(np.uint8), _wheel(image.shape[1], reach, to)])


def _wheel(width: int, reach: float, to: str) -> np.ndarray:
  """Returns a strip with the wheel, radius 1, and its scale.

  It is `width` wide, or wider if the text needs it.
  """
  unit = _unit(width)
  radius = 22 * unit
  y, x = np.mgrid[-radius:radius + 1, -radius:radius + 1] / radius
  colors = _direction_colors(np.stack([y, x], -1))
  colors[np.hypot(y, x) > 1] = 255
  font = canvas.font(12 * unit)
  pixels = 'pixel' if round(reach) == 1 else 'pixels'
  lines = f'direction to the {to}', f'rim: {reach:.0f} {pixels} away'
  width = max(width, 68 * unit + int(max(map(font.getlength, lines))))
  strip = Image.new('RGB', (width, _STRIP * unit), 'white')
  strip.paste(
      Image.fromarray(np.round(colors).astype(np.uint8)), (6 * unit, 4 * unit))
  draw = ImageDraw.Draw(strip)
  for line, middle in zip(lines, (18, 35)):
    draw.text((60 * unit, middle * unit), line, 'black', font, anchor='lm')
  return np.asarray(strip)


def _unit(width: int) -> int:
  """Returns the factor by which a legend is enlarged for a picture's width."""
  return max(1, width // 640)


# Hues of right, down, left and up, and of the directions in between.
_HUES = np.float32(
    [colorsys.hsv_to_rgb(i / 360, 1.0, 1.0) for i in range(361)]) * 255


def _direction_colors(vectors: np.ndarray) -> np.ndarray:
  """Colors [..., 3] of (y, x) vectors: white for 0, full hue from length 1."""
  angle = np.degrees(np.arctan2(vectors[..., 0], vectors[..., 1])) % 360
  length = np.clip(np.hypot(vectors[..., 0], vectors[..., 1]), 0, 1)
  length = length[..., np.newaxis]
  return 255 * (1 - length) + _HUES[np.round(angle).astype(int)] * length


def _check_size(image: np.ndarray, shape, name: str) -> None:
  canvas.check_image(image)
  if tuple(shape) != image.shape[:2]:
    raise errors.UserError(
        f'expected a {name} of the image\'s size {list(image.shape[:2])}, got '
        f'{list(shape)}')
