"""Counts the pixels of each value of a label map."""

from typing import Dict

import numpy as np


def areas(label_map: np.ndarray) -> Dict[int, int]:
  """Returns the pixels by value of an integer map [height, width].

  Labels are runs of equal values: sorting runs instead of pixels is many times
  faster.
  """
  flat = label_map.ravel()
  starts = np.flatnonzero(np.r_[True, flat[1:] != flat[:-1]])
  lengths = np.diff(np.r_[starts, flat.size])
  values, run_value = np.unique(flat[starts], return_inverse=True)
  pixels = np.bincount(run_value, lengths).astype(np.int64)
  return dict(zip(values.tolist(), pixels.tolist()))
