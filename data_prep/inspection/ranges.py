"""Computes minimum, median and maximum of values, as JSON and as text."""

from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

Range = Optional[Dict[str, float]]


def of_values(values: Sequence[int]) -> Range:
  """Returns 'min', 'median' and 'max', or None if there are no values."""
  if not len(values):
    return None
  values = np.asarray(values)
  return {'min': int(values.min()), 'median': float(np.median(values)),
          'max': int(values.max())}


def of_sizes(images: Mapping[Tuple[int, int], int]) -> Dict[str, Range]:
  """Returns the ranges of 'height' and 'width'.

  Args:
    images: number of images of each (height, width).
  """
  return {side: of_values(np.repeat(
      [size[axis] for size in images], list(images.values())))
      for axis, side in enumerate(('height', 'width'))}


def text(values: Range) -> str:
  """Returns a range as readable text."""
  if values is None:
    return '-'
  return f'{values["min"]} to {values["max"]}, median {values["median"]:g}'


def size_lines(sizes: Mapping[str, Range]) -> List[str]:
  """Returns one line for each side of the images."""
  return [f'{side}: {text(values)} pixels' for side, values in sizes.items()]
