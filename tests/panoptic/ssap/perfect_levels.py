"""Levels of a pyramid with the affinities of a label, for tests."""

from typing import List

import numpy as np

from axial_tf.panoptic.ssap import cascade, windows

_WEIGHT = 11.5


def levels(label: np.ndarray, things: np.ndarray, *, coarsest: int = 16,
           window: int = 5, noise: float = 0.0, seed: int = 0
           ) -> List[cascade.Level]:
  """Returns levels from every `coarsest`-th pixel to every pixel.

  Args:
    label: int [h, w], sides of a multiple of `coarsest` and 1.
    things: bool [h, w].
    coarsest: power of 2.
    window: side of the window.
    noise: standard deviation of noise in the weights, which are +-11.5.
    seed: seed of the noise.
  """
  rng = np.random.default_rng(seed)
  found = []
  while coarsest:
    of_level = label[::coarsest, ::coarsest]
    height, width = of_level.shape
    reach = window // 2
    padded = np.pad(of_level, reach, constant_values=-1)
    weights = []
    for dy, dx in windows.forward_offsets(window):
      other = padded[reach + dy:reach + dy + height,
                     reach + dx:reach + dx + width]
      weight = np.where(of_level == other, _WEIGHT, -_WEIGHT)
      weight += noise * rng.normal(size=weight.shape)
      weights.append(np.where(other < 0, 0, weight))
    found.append(cascade.Level(
        np.stack(weights, -1).astype(np.float32),
        things[::coarsest, ::coarsest]))
    coarsest //= 2
  return found
