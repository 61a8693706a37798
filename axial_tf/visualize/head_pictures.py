"""Draws the heads of a network, or the targets that they learn."""

from typing import Callable, Dict, Iterable, Mapping, NamedTuple, Tuple

import numpy as np

from axial_tf.data.common import resizing
from axial_tf.panoptic.ssap import cascade_settings
from axial_tf.visualize import affinities, picture_sizes
from axial_tf.visualize import heads as heads_lib

Pictures = Dict[str, np.ndarray]
_STRIDE = 4  # Pixels of an image between two of a map of keypoints.


def draw(pixels: np.ndarray, is_thing: np.ndarray,
         heads: Mapping[str, np.ndarray], seen: Tuple[int, int],
         merging=None) -> Pictures:
  """Returns pictures by name, uint8 RGB.

  Args:
    pixels: uint8 RGB [height, width, 3], the image as it is to be shown.
    is_thing: bool [height, width], pixels of things.
    heads: the heads that a decoding lists, or targets of the same names, of one
      image that may have padding at the right and bottom.
    seen: its height and width without padding, in pixels of the heads' image.
    merging: settings of the merging, whose steps an SSAP shows; None for the
      defaults.
  """
  return _kind(heads).draw(pixels, is_thing, heads, seen, merging)


def names(heads: Iterable[str]) -> Tuple[str, ...]:
  """Returns the names of the pictures of a network with these heads."""
  return _kind(heads).names


def _kind(heads: Iterable[str]) -> '_Kind':
  for head, kind in _KINDS.items():
    if head in heads:
      return kind
  raise ValueError(f'no pictures for {list(heads)}')


class _Kind(NamedTuple):
  names: Tuple[str, ...]
  draw: Callable[..., Pictures]


def _centers(pixels, is_thing, heads, seen, merging) -> Pictures:
  del merging  # Heads are drawn as they are.
  shown = pixels.shape[:2]
  heatmap, offset = (heads[name][:seen[0], :seen[1]]
                     for name in ('center_heatmap', 'offset'))
  return {
      'heatmap': heads_lib.center_heatmap(
          pixels, resizing.nearest_array(heatmap, *shown)),
      'offsets': heads_lib.offset_wheel(
          pixels, picture_sizes.resize_offset(offset, *shown), is_thing),
  }


def _keypoints(pixels, is_thing, heads, seen, merging) -> Pictures:
  """Draws all keypoints, the long offsets to centers, and the short ones.

  Those are drawn in disks: of all keypoints there, to the likeliest one.
  """
  del merging  # Heads are drawn as they are.
  shown = pixels.shape[:2]
  heat, long, short = (
      _enlarged(heads[name], seen, shown)
      for name in ('keypoint_heatmap', 'long_offset', 'short_offset'))
  unit = np.float32([n / m for n, m in zip(shown, seen)])
  best = heat.argmax(-1)[..., np.newaxis, np.newaxis]
  nearest = np.take_along_axis(
      short.reshape(*shown, -1, 2), best, axis=2)[:, :, 0]
  return {
      'heatmap': heads_lib.center_heatmap(pixels, heat.max(-1)),
      'offsets': heads_lib.offset_wheel(
          pixels, long.reshape(*shown, -1, 2)[:, :, -1] * unit, is_thing),
      'short_offsets': heads_lib.offset_wheel(
          pixels, nearest * unit, heat.max(-1) > 0.5, 'keypoint'),
  }


def _enlarged(head, seen, shown) -> np.ndarray:
  """Samples a head at stride 4 of an image at the size that is shown."""
  for axis in (0, 1):
    places = np.linspace(0, (seen[axis] - 1) / _STRIDE, shown[axis])
    head = head.take(np.round(places).astype(int), axis, mode='clip')
  return head


def _affinities(pixels, is_thing, heads, seen, merging) -> Pictures:
  del is_thing  # Levels have things of their own.
  return {
      'affinities': affinities.affinity_levels(pixels, heads, seen),
      'partitions': affinities.partition_levels(
          pixels, heads, seen, merging or cascade_settings.CascadeSettings()),
  }


# By a head that only this kind of network has.
_KINDS = {
    'center_heatmap': _Kind(('heatmap', 'offsets'), _centers),
    'keypoint_heatmap': _Kind(
        ('heatmap', 'offsets', 'short_offsets'), _keypoints),
    'edge_weights_64': _Kind(('affinities', 'partitions'), _affinities),
}
