"""Chooses the size at which a page shows pictures, and maps clicks back."""

from typing import NamedTuple, Tuple

import numpy as np

# Longest side, in pixels, of what is shown: smaller pictures are enlarged, so
# that names fit on segments; of larger ones, each n-th row and column is shown.
_SMALLEST, _LARGEST = 720, 2048


class Magnification(NamedTuple):
  """A whole factor between the pixels of an image and those of its picture.

  Attributes:
    enlarged: picture pixels for each row and column of the image.
    step: rows and columns of the image for each of the picture; one of the two
      is 1.
  """

  enlarged: int
  step: int

  @classmethod
  def of(cls, height: int, width: int) -> 'Magnification':
    """Returns that of an image of this size."""
    longest = max(height, width)
    return cls(max(1, _SMALLEST // longest), -(-longest // _LARGEST))

  def apply(self, values: np.ndarray) -> np.ndarray:
    """Returns an array [height, width, ...] as it is shown."""
    thinned = values[::self.step, ::self.step]
    if self.enlarged > 1:
      thinned = thinned.repeat(self.enlarged, 0).repeat(self.enlarged, 1)
    return np.ascontiguousarray(thinned)

  def pixel(self, y: float, x: float) -> Tuple[int, int]:
    """Returns (y, x) in the image of a pixel of the picture."""
    return (int(y) // self.enlarged * self.step,
            int(x) // self.enlarged * self.step)


def readable(picture: np.ndarray) -> np.ndarray:
  """Returns a picture, enlarged by a whole factor if it is small."""
  return Magnification.of(*picture.shape[:2]).apply(picture)
