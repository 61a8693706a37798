"""Draws what one pixel attends to, as in the paper's figures."""

from typing import Any, Tuple

import numpy as np
from PIL import Image, ImageDraw

from axial_tf.visualize import canvas, heat

# Attention is spread over many cells, so it is shown relative to the largest.
_TITLES = ('height', 'width', 'product')
_WIDE = 480  # From this width in pixels on, four in a row are too many.
# A single cell, of a few pixels in a fine layer, must be visible on a large
# image: it fades out over at least this share of the longer side.
_LEAST_REACH = 0.01


def attention_pictures(image: np.ndarray, attention: Any,
                       pixel: Tuple[int, int]) -> np.ndarray:
  """Shows a pixel's attention along its column, its row, and both together.

  Args:
    image: uint8 RGB [height, width, 3], at the size that the network saw.
    attention: a `models.attention_probe.PixelAttention` of this image.
    pixel: (y, x) of the query in the image, marked by a cross.

  Returns:
    uint8 RGB: the image and three pictures below their titles, side by side,
    or in two rows if the image is wide.

  Raises:
    errors.UserError: this is not an image.
  """
  canvas.check_image(image)
  row, column = attention.query
  column_alone = np.zeros_like(attention.product)
  column_alone[:, column] = attention.height
  row_alone = np.zeros_like(attention.product)
  row_alone[row] = attention.width
  pictures = [_mark(image, pixel)]
  for weights in (column_alone, row_alone, attention.product):
    values = _enlarge(weights, image.shape[:2], attention.pixels_per_cell)
    values = values / max(float(values.max()), 1e-12)
    pictures.append(_mark(heat.heat_on_grey(image, values), pixel))
  titles = ('query', *_TITLES)
  if image.shape[1] < _WIDE:
    return canvas.side_by_side(pictures, titles)
  return canvas.stack([
      canvas.side_by_side(pictures[i:i + 2], titles[i:i + 2]) for i in (0, 2)])


def _enlarge(weights, size, pixels_per_cell):
  """Resizes weights [h, w] to [height, width].

  Linear between the cells, or averaged over several where they are small.
  """
  least = _LEAST_REACH * max(size)
  along_y, along_x = (
      _interpolation(pixels, cells, step, max(step, least))
      for pixels, cells, step in zip(size, weights.shape, pixels_per_cell))
  return along_y @ weights @ along_x.T


def _interpolation(
    pixels: int, cells: int, step: float, reach: float) -> np.ndarray:
  """Returns [pixels, cells], the weight of each cell in each pixel.

  Cells are `step` pixels apart and reach as far as `reach` pixels.
  """
  distance = np.abs(
      np.arange(pixels)[:, np.newaxis] - step * np.arange(cells))
  taken = np.maximum(0.0, 1.0 - distance / reach)
  return taken / np.maximum(taken.sum(1, keepdims=True), 1.0)


def _mark(picture: np.ndarray, pixel: Tuple[int, int]) -> np.ndarray:
  """Draws a cross, visible on any background, that leaves its middle free."""
  marked = Image.fromarray(picture)
  draw = ImageDraw.Draw(marked)
  y, x = pixel
  arm = max(4, min(picture.shape[:2]) // 30)
  thin = 1 + min(picture.shape[:2]) // 400
  for color, width in (('black', thin + 2), ((0, 255, 120), thin)):
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
      draw.line([x + 2 * dx, y + 2 * dy, x + arm * dx, y + arm * dy],
                fill=color, width=width)
  return np.asarray(marked)
