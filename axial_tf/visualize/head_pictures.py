"""Draws the heads of a network, or the targets that they learn."""

from typing import Callable, Dict, Iterable, Mapping, NamedTuple, Tuple

import numpy as np

from axial_tf.data.common import resizing
from axial_tf.visualize import affinities, picture_sizes
from axial_tf.visualize import heads as heads_lib

Pictures = Dict[str, np.ndarray]


def draw(pixels: np.ndarray, is_thing: np.ndarray,
         heads: Mapping[str, np.ndarray], seen: Tuple[int, int]) -> Pictures:
  """Returns pictures by name, uint8 RGB.

  Args:
    pixels: uint8 RGB [height, width, 3], the image as it is to be shown.
    is_thing: bool [height, width], pixels of things.
    heads: the heads that a decoding lists, or targets of the same names, of one
      image that may have padding at the right and bottom.
    seen: its height and width without padding, in pixels of the heads' image.
  """
  return _kind(heads).draw(pixels, is_thing, heads, seen)


def names(heads: Iterable[str]) -> Tuple[str, ...]:
  """Returns the names of the pictures of a network with these heads."""
  return _kind(heads).names


def _kind(heads: Iterable[str]) -> '_Kind':
  return next(kind for head, kind in _KINDS.items() if head in heads)


class _Kind(NamedTuple):
  names: Tuple[str, ...]
  draw: Callable[..., Pictures]


def _centers(pixels, is_thing, heads, seen) -> Pictures:
  shown = pixels.shape[:2]
  heatmap, offset = (heads[name][:seen[0], :seen[1]]
                     for name in ('center_heatmap', 'offset'))
  return {
      'heatmap': heads_lib.center_heatmap(
          pixels, resizing.nearest_array(heatmap, *shown)),
      'offsets': heads_lib.offset_wheel(
          pixels, picture_sizes.resize_offset(offset, *shown), is_thing),
  }


def _affinities(pixels, is_thing, heads, seen) -> Pictures:
  del is_thing  # Levels have things of their own.
  return {
      'affinities': affinities.affinity_levels(pixels, heads, seen),
      'partitions': affinities.partition_levels(pixels, heads, seen),
  }


# By a head that only this kind of network has.
_KINDS = {
    'center_heatmap': _Kind(('heatmap', 'offsets'), _centers),
    'edge_weights_64': _Kind(('affinities', 'partitions'), _affinities),
}
