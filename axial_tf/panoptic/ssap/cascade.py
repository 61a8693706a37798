"""Partitions a pyramid of maps into instances, from coarse to fine.

At each level, the pixels of things are the nodes of a graph, whose edges are
the pairs within a window. What lies inside the segments of one level is handed
to the next, twice as fine, as a region, which is a single node there: its edge
to a pixel is the sum of their pixels' edges, that between two regions is the
one that the coarser level was left with. Only pixels near the borders of
segments are decided again (SSAP, figure 3; details after a reimplementation,
unless "(ours)").
"""

from typing import List, NamedTuple, Sequence, Tuple

import numpy as np

from axial_tf.panoptic.ssap import contraction, windows

_NONE = contraction.Edges(
    np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


class Level(NamedTuple):
  """A level of the pyramid, as `edges.level_maps` returns it for one image.

  Attributes:
    weights: float32 [h, w, edges of a pixel].
    is_thing: bool [h, w].
  """
  weights: np.ndarray
  is_thing: np.ndarray


def partition(levels: Sequence[Level]) -> List[np.ndarray]:
  """Partitions all levels.

  Args:
    levels: from coarse to fine, each of 2 n - 1 pixels a side for n of the one
      before: pixel i of a level is pixel 2 i of the next.

  Returns:
    The segments of each level, int32 [h, w]: from 1 on, 0 on stuff.
  """
  found = []
  regions = np.zeros(levels[0].is_thing.shape, np.int64)
  of_node, edges = np.zeros(0, np.int64), _NONE
  for number, level in enumerate(levels):
    carried = contraction.between(of_node, edges)
    if number:
      regions = handed_down(found[-1], level.weights)
    nodes, numbers = _nodes(level.is_thing, regions)
    edges = _joined(_carried(carried, numbers),
                    _edges_of_pixels(level.weights, nodes, numbers.size))
    of_node = contraction.contract(int(nodes.max(initial=-1)) + 1, edges)
    # The last place is that of pixels that are no node, which have -1.
    found.append(np.append(of_node + 1, 0)[nodes].astype(np.int32))
  return found


def _nodes(is_thing: np.ndarray, regions: np.ndarray
           ) -> Tuple[np.ndarray, np.ndarray]:
  """Numbers the nodes: first regions, then the pixels of things outside them.

  Returns:
    int64 [h, w] nodes, -1 for none; and int64 [regions], the regions' ids.
  """
  numbers = np.unique(regions[regions > 0])
  is_free = is_thing & (regions == 0)
  nodes = np.full(regions.shape, -1, np.int64)
  nodes[regions > 0] = np.searchsorted(numbers, regions[regions > 0])
  nodes[is_free] = numbers.size + np.arange(np.count_nonzero(is_free))
  return nodes, numbers


def _carried(edges: contraction.Edges, numbers: np.ndarray
             ) -> contraction.Edges:
  """Returns the edges between segments that still have a region.

  Args:
    edges: edges whose nodes are segments - 1.
    numbers: int64 [regions], ascending, the segments that have one.
  """
  if not numbers.size:
    return _NONE
  ends = [np.searchsorted(numbers, end + 1) for end in edges[:2]]
  last = numbers.size - 1
  is_left = np.logical_and(*(
      numbers[np.minimum(place, last)] == end + 1
      for place, end in zip(ends, edges[:2])))
  return contraction.Edges(
      *(place[is_left] for place in ends), edges.weights[is_left])


def _edges_of_pixels(weights: np.ndarray, nodes: np.ndarray, regions: int
                     ) -> contraction.Edges:
  """Lists the edges of which at least one pixel is in no region."""
  found = []
  offsets = windows.forward_offsets(_window(weights))
  for channel, offset in enumerate(offsets):
    here, there = _pair(nodes.shape, offset)
    first, second = nodes[here], nodes[there]
    is_edge = (np.minimum(first, second) >= 0) & (
        np.maximum(first, second) >= regions)
    found.append(contraction.Edges(
        first[is_edge], second[is_edge],
        weights[here][..., channel][is_edge].astype(np.float64)))
  return _joined(*found)


def handed_down(segments: np.ndarray, weights: np.ndarray) -> np.ndarray:
  """Enlarges the inner parts of segments to the next level.

  Pixels that lie between those of the coarser level are of its region only if
  all 2 or 4 of these are, and if the sum of their edges to these is positive:
  an instance that fell between the coarse pixels stays free (ours).

  Args:
    segments: int [h, w], 0 for none.
    weights: float32 [2 h - 1, 2 w - 1, edges of a pixel], of the next level.

  Returns:
    int64 [2 h - 1, 2 w - 1], 0 where pixels are to be decided.
  """
  inside = inner(segments)
  height, width = inside.shape
  regions = np.zeros(weights.shape[:2], np.int64)
  regions[::2, ::2] = inside
  for offsets in (((-1, 0), (1, 0)), ((0, -1), (0, 1)),
                  ((-1, -1), (-1, 1), (1, -1), (1, 1))):
    dy, dx = (abs(n) for n in offsets[0])
    coarse = [inside[max(y, 0):height + min(y, 0),
                     max(x, 0):width + min(x, 0)] for y, x in offsets]
    total = sum(_weights_to(weights, *offset)[dy::2, dx::2]
                for offset in offsets)
    agrees = np.logical_and.reduce([other == coarse[0] for other in coarse])
    regions[dy::2, dx::2] = np.where(agrees & (total > 0), coarse[0], 0)
  return regions


def inner(segments: np.ndarray) -> np.ndarray:
  """Clears pixels of which one of the 4 neighbors is of another segment.

  What is outside the map counts as the same segment (ours).
  """
  padded = np.pad(segments, 1, mode='edge')
  height, width = segments.shape
  is_inner = np.logical_and.reduce([
      padded[y:y + height, x:x + width] == segments
      for y, x in ((0, 1), (2, 1), (1, 0), (1, 2))])
  return np.where(is_inner, segments, 0)


def _weights_to(weights: np.ndarray, dy: int, dx: int) -> np.ndarray:
  """Returns the weights [h, w] to the pixel at an offset; 0 outside."""
  offsets = windows.forward_offsets(_window(weights))
  if (dy, dx) in offsets:
    return weights[..., offsets.index((dy, dx))]
  found = np.zeros(weights.shape[:2], weights.dtype)
  here, there = _pair(found.shape, (-dy, -dx))
  found[there] = weights[here][..., offsets.index((-dy, -dx))]
  return found


def _pair(size: Tuple[int, int], offset: Tuple[int, int]):
  """Returns slices of the pixels with a neighbor at an offset, and of these."""
  here, there = (tuple(
      slice(max(-sign * n, 0), max(length - max(sign * n, 0), 0))
      for n, length in zip(offset, size)) for sign in (1, -1))
  return here, there


def _window(weights: np.ndarray) -> int:
  return windows.side(2 * weights.shape[-1] + 1)


def _joined(*edges: contraction.Edges) -> contraction.Edges:
  return contraction.Edges(*(np.concatenate(part) for part in zip(*edges)))
