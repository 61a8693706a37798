"""Draws the levels of SSAP: affinities, and the partition of each level."""

import colorsys
from typing import Mapping, Tuple

import numpy as np
from PIL import Image

from axial_tf.panoptic.ssap import cascade_settings, decoding, windows
from axial_tf.visualize import canvas, heat

_LARGEST = 240  # Longest side of a panel, in pixels.


def affinity_levels(image: np.ndarray, heads: Mapping[str, np.ndarray],
                    seen: Tuple[int, int]) -> np.ndarray:
  """Returns a panel for each level, where pixels differ from their neighbors.

  Heat is 1 minus the mean affinity of a pixel to those after it in its window:
  bright where a segment ends.

  Args:
    image: uint8 RGB [height, width, 3].
    heads: heads of one image, see `decoding.decode`.
    seen: height and width of the image as the network saw it.
  """
  def panel(small, stride):
    weights = heads[f'{decoding.EDGES}{stride}'].astype(np.float64)
    distance = (1 / (1 + np.exp(weights))).mean(-1)
    return heat.heat_on_grey(small, _at(distance, stride, seen, small))

  return _panels(image, windows.STRIDES, panel)


def partition_levels(image: np.ndarray, heads: Mapping[str, np.ndarray],
                     seen: Tuple[int, int],
                     settings: cascade_settings.CascadeSettings) -> np.ndarray:
  """Returns a panel for each level of the cascade, with its segments' colors.

  Args:
    image: see `affinity_levels`, as for the next two arguments.
    settings: the levels of the cascade.
  """
  segments = dict(zip(settings.strides, decoding.partitions(heads, settings)))

  def panel(small, stride):
    of_level = _at(segments[stride], stride, seen, small)
    colors = _colors(int(segments[stride].max(initial=0)))[of_level]
    grey = 0.55 * small.mean(-1, keepdims=True)
    weight = np.where(of_level > 0, 0.7, 0.0)[..., np.newaxis]
    return np.round(grey * (1 - weight) + colors * weight).astype(np.uint8)

  return _panels(image, settings.strides, panel)


def _panels(image, strides, panel) -> np.ndarray:
  scale = min(1.0, _LARGEST / max(image.shape[:2]))
  size = tuple(max(1, round(n * scale)) for n in image.shape[1::-1])
  small = np.asarray(
      Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
  return canvas.side_by_side(
      [panel(small, stride) for stride in strides],
      [f'stride {stride}' for stride in strides])


def _at(values: np.ndarray, stride: int, seen: Tuple[int, int],
        picture: np.ndarray) -> np.ndarray:
  """Returns the nearest values [h, w] of a level at the pixels of a picture."""
  rows, columns = (
      np.minimum(np.round(np.arange(n) * (size / n / stride)).astype(int),
                 cells - 1)
      for n, size, cells in zip(picture.shape, seen, values.shape))
  return values[rows[:, np.newaxis], columns]


def _colors(count: int) -> np.ndarray:
  """Returns float64 colors [count + 1, 3]; that of 0 is not used."""
  # Multiples of irrational numbers spread evenly over 0..1.
  return 255 * np.array([
      colorsys.hls_to_rgb(
          number * 0.618034 % 1, 0.35 + 0.35 * (number * 0.414214 % 1), 0.9)
      for number in range(count + 1)])
