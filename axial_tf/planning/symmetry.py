"""Measures whether pictures look the same when mirrored or turned.

A picture may be used mirrored for training if the data would also show it so.
One picture says little; many of one kind do: the mean of handwritten threes
differs from its mirrored self by more than chance, that of nuclei does not.
"""

import dataclasses
from typing import Callable, Dict, List, Optional

import numpy as np

# Side of the grid on which pictures are compared.
SIDE = 16
# Fewer pictures of a kind tell chance from difference badly.
LEAST = 24
# Each changes a picture [..., SIDE, SIDE].
CHANGES: Dict[str, Callable[[np.ndarray], np.ndarray]] = {
    'mirrored': lambda x: x[..., ::-1],
    'upside_down': lambda x: x[..., ::-1, :],
    'turned': lambda x: np.swapaxes(x, -1, -2),
}


@dataclasses.dataclass(frozen=True)
class Symmetry:
  """How far pictures of one kind are from their changed selves.

  Each is the mean difference in units of its standard deviation between
  pictures (Cohen's d), over the kind with the largest one; chance is taken
  out. None: there were too few pictures to tell.
  """

  mirrored: Optional[float] = None
  upside_down: Optional[float] = None
  turned: Optional[float] = None


def grid(picture: np.ndarray) -> np.ndarray:
  """Returns the pixels of a picture at SIDE x SIDE evenly spread places.

  Args:
    picture: [height, width]; a smaller side is centered on 0s first, so that
      shapes keep theirs.
  """
  side = max(picture.shape)
  before = [(side - n) // 2 for n in picture.shape]
  square = np.pad(picture, [
      (b, side - n - b) for b, n in zip(before, picture.shape)])
  places = ((np.arange(SIDE) + 0.5) * side / SIDE).astype(int)
  return square[np.ix_(places, places)].astype(np.float32)


def squeezed(picture: np.ndarray) -> np.ndarray:
  """Returns a picture as a square, so that its frame does not matter."""
  side = min(picture.shape)
  rows, columns = (
      (np.arange(side) + 0.5) * n / side for n in picture.shape)
  return picture[np.ix_(rows.astype(int), columns.astype(int))]


def of_kinds(kinds: List[List[np.ndarray]]) -> Symmetry:
  """Returns the largest differences over several kinds of pictures.

  Args:
    kinds: pictures of each kind, [SIDE, SIDE] each.
  """
  stacks = [np.stack(kind) for kind in kinds if len(kind) >= LEAST]
  return Symmetry(**{
      name: max(_difference(stack, change) for stack in stacks)
      for name, change in CHANGES.items()}) if stacks else Symmetry()


def _difference(pictures: np.ndarray,
                change: Callable[[np.ndarray], np.ndarray]) -> float:
  differences = pictures - change(pictures)
  variance = differences.var(0).mean()
  # The mean of n random differences has a square of variance / n by chance.
  excess = (differences.mean(0) ** 2).mean() - variance / len(pictures)
  return float(np.sqrt(max(excess, 0.0) / max(variance, 1e-9)))
