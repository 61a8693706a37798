"""Draws values over an image as heat: dark for small, bright for large."""

import numpy as np

# From black via violet, red and orange to light yellow. Lightness grows
# evenly, so that the picture can also be read without seeing hues.
_ANCHORS = np.float32([
    (0, 0, 8), (84, 16, 110), (186, 54, 86), (248, 142, 12), (252, 254, 170)])


def heat_colors(values: np.ndarray) -> np.ndarray:
  """Returns float32 colors [..., 3] for values [...] in 0..1."""
  place = np.clip(values, 0, 1) * (len(_ANCHORS) - 1)
  lower = np.minimum(place.astype(int), len(_ANCHORS) - 2)
  share = (place - lower)[..., np.newaxis]
  return _ANCHORS[lower] * (1 - share) + _ANCHORS[lower + 1] * share


def heat_on_grey(image: np.ndarray, values: np.ndarray) -> np.ndarray:
  """Lays heat over a darkened grey copy of the image.

  Args:
    image: uint8 RGB [height, width, 3].
    values: [height, width] in 0..1; small ones are transparent.

  Returns:
    uint8 RGB [height, width, 3].
  """
  grey = 0.55 * image.mean(-1, keepdims=True)
  # Faint heat must not vanish, hence the root.
  opacity = 0.9 * np.sqrt(np.clip(values, 0, 1))[..., np.newaxis]
  mixed = grey * (1 - opacity) + heat_colors(values) * opacity
  return np.round(mixed).astype(np.uint8)
