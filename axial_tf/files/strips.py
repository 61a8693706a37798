"""Cuts large arrays into strips of rows, which keeps temporary copies small."""

from typing import Iterator, Sequence

# Pixels of a strip; smaller arrays are one strip.
_PIXELS = 2 ** 22


def of(shape: Sequence[int]) -> Iterator[slice]:
  """Yields slices of rows that cover an array [height, width, ...]."""
  height, width = shape[:2]
  rows = max(1, _PIXELS // max(width, 1))
  for top in range(0, height, rows):
    yield slice(top, min(top + rows, height))
