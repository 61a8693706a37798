"""Sums fractions exactly, so that their order does not matter.

A float64 above 1/2 is a multiple of 2**-53; smaller ones are rounded down to
one. Whole numbers of these parts, in two digits, have exact sums, however
workers divide the images.
"""

from typing import Tuple

import numpy as np

_PARTS = 53
_LOW_PARTS = 26


def split(values: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
  """Returns the high and the low digit, int64, of float64 values in 0..1."""
  parts = np.ldexp(values, _PARTS).astype(np.int64)
  return parts >> _LOW_PARTS, parts & ((1 << _LOW_PARTS) - 1)


def join(high: int, low: int) -> float:
  """Returns the number whose digits, summed one by one, are these."""
  return ((int(high) << _LOW_PARTS) + int(low)) / (1 << _PARTS)
