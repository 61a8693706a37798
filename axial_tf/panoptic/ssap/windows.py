"""Numbers the pixels of a window, and the levels of the affinity pyramid.

Channel i of an affinity map concerns a pixel and the one at `offsets()[i]` from
it, row by row; channel 12 of a 5x5 window is the pixel itself. The same two
pixels, seen from the other one, have channel 24 - i.
"""

import math
from typing import Tuple

# Strides of the pyramid's maps, from coarse to fine.
STRIDES = (64, 32, 16, 8, 4)


def channels(window: int) -> int:
  """Returns the number of pixels in a window."""
  return window * window


def side(count: int) -> int:
  """Returns the side of the window with this many channels."""
  return math.isqrt(count)


def offsets(window: int) -> Tuple[Tuple[int, int], ...]:
  """Returns (dy, dx) of each channel, in pixels of the map."""
  reach = range(-(window // 2), window // 2 + 1)
  return tuple((dy, dx) for dy in reach for dx in reach)


def forward_offsets(window: int) -> Tuple[Tuple[int, int], ...]:
  """Returns (dy, dx) of the channels after the pixel's own.

  Each pair of pixels has one of them, so these are the edges of a graph.
  """
  return offsets(window)[channels(window) // 2 + 1:]


def mirrored(window: int) -> Tuple[int, ...]:
  """Returns the channel of the mirrored image that becomes each channel.

  In the mirrored image, right neighbors are left ones: dx changes its sign.
  """
  return tuple(
      row * window + window - 1 - column
      for row in range(window) for column in range(window))
