"""Finds the runs of equal values in label maps, without TensorFlow.

Label maps are piecewise constant: sorting their runs instead of their pixels
is many times faster.
"""

from typing import Dict, Tuple

import numpy as np


def find(*maps: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
  """Returns where runs of equal values begin, and their lengths.

  Args:
    *maps: arrays of one size; a run ends where any of them changes. Arrays of
      several axes are flattened row by row.
  """
  changes = np.ones(maps[0].size, bool)
  changes[1:] = False
  for flat in (each.reshape(-1) for each in maps):
    changes[1:] |= flat[1:] != flat[:-1]
  starts = np.flatnonzero(changes)
  return starts, np.diff(starts, append=changes.size)


def areas(label_map: np.ndarray) -> Dict[int, int]:
  """Returns the number of pixels of each value of an integer map."""
  starts, lengths = find(label_map)
  values, index = np.unique(label_map.reshape(-1)[starts], return_inverse=True)
  pixels = np.bincount(index, lengths, values.size).astype(np.int64)
  return dict(zip(values.tolist(), pixels.tolist()))
