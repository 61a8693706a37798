"""Partitions a pyramid as `cascade` does, in operations of TensorFlow.

It is for one image of a served model, see `contraction_in_graph` about time and
ties. Comments in `cascade` say why each step is as it is.
"""

from typing import Dict, List, Sequence, Tuple

import tensorflow as tf

from axial_tf.panoptic import shapes
from axial_tf.panoptic.ssap import contraction_in_graph, windows
from axial_tf.panoptic.ssap import edges as edges_lib


def partition(levels: Sequence[Dict[str, tf.Tensor]], window: int
              ) -> List[tf.Tensor]:
  """Partitions all levels.

  Args:
    levels: results of `edges.level_maps` for one image, without a batch axis,
      from coarse to fine; see `cascade.partition`.
    window: side of the window.

  Returns:
    The segments of each level, int32 [h, w]: from 1 on, 0 on stuff.
  """
  found = []
  regions = tf.zeros(tf.shape(levels[0]['is_thing']), tf.int64)
  none = tf.zeros([0], tf.int64)
  of_node, edges = none, (none, none, tf.zeros([0], tf.float64))
  for number, level in enumerate(levels):
    carried = _between(of_node, edges)
    if number:
      regions = handed_down(found[-1], level['weights'], window)
    nodes, place, has_region, count = _nodes(level['is_thing'], regions)
    edges = _joined(
        _carried(carried, place, has_region),
        _edges_of_pixels(level['weights'], nodes, count, window))
    of_node = contraction_in_graph.contract(tf.reduce_max(nodes) + 1, edges)
    found.append(tf.cast(tf.gather(
        tf.concat([[0], of_node + 1], 0), nodes + 1), tf.int32))
  return found


def _nodes(is_thing: tf.Tensor, regions: tf.Tensor):
  """Numbers the nodes: first regions, then the pixels of things outside them.

  Returns:
    int64 [h, w] nodes, -1 for none; int64 [ids] nodes of regions; bool [ids],
    whether there is such a region; and int64 [], their number.
  """
  ids = tf.reduce_max(regions) + 1
  present = tf.reshape(regions, [-1, 1])
  has_region = tf.scatter_nd(
      present, tf.ones_like(present[:, 0]), [ids]) * tf.cast(
          tf.range(ids) > 0, tf.int64) > 0
  place = tf.cumsum(tf.cast(has_region, tf.int64), exclusive=True)
  count = tf.math.count_nonzero(has_region)
  is_free = tf.reshape(is_thing & tf.equal(regions, 0), [-1])
  free = tf.reshape(
      count + tf.cumsum(tf.cast(is_free, tf.int64), exclusive=True),
      tf.shape(regions))
  nodes = tf.where(
      regions > 0, tf.gather(place, regions),
      tf.where(tf.reshape(is_free, tf.shape(regions)), free, -1))
  return nodes, place, has_region, count


def _carried(edges, place: tf.Tensor, has_region: tf.Tensor):
  """Returns the edges between segments that still have a region."""
  first, second, weights = edges
  is_left = (_at(has_region, first + 1, False)
             & _at(has_region, second + 1, False))
  return tuple(
      tf.gather(place, tf.boolean_mask(ends, is_left) + 1)
      for ends in (first, second)) + (tf.boolean_mask(weights, is_left),)


def _at(values: tf.Tensor, index: tf.Tensor, default) -> tf.Tensor:
  """Gathers from a vector, with a default for indices after its end."""
  return tf.gather(
      tf.concat([values, [default]], 0),
      tf.minimum(index, tf.size(values, tf.int64)))


def _between(segments: tf.Tensor, edges):
  """Returns the edges between segments, whose numbers are their nodes."""
  first, second, weights = edges
  first, second = tf.gather(segments, first), tf.gather(segments, second)
  is_cut = tf.not_equal(first, second)
  return contraction_in_graph.summed(
      tf.size(segments, tf.int64), tuple(
          tf.boolean_mask(values, is_cut)
          for values in (first, second, weights)))


def _edges_of_pixels(weights: tf.Tensor, nodes: tf.Tensor, regions: tf.Tensor,
                     window: int):
  """Lists the edges of which at least one pixel is in no region."""
  second = tf.stack([
      _shifted(nodes + 1, *offset) - 1
      for offset in windows.forward_offsets(window)], -1)
  first = tf.broadcast_to(nodes[..., tf.newaxis], tf.shape(second))
  is_edge = (tf.minimum(first, second) >= 0) & (
      tf.maximum(first, second) >= regions)
  return tuple(tf.boolean_mask(values, is_edge) for values in (
      first, second, tf.cast(weights, tf.float64)))


def handed_down(segments: tf.Tensor, weights: tf.Tensor, window: int
                ) -> tf.Tensor:
  """Enlarges the inner parts of segments, see `cascade.handed_down`."""
  inside = inner(tf.cast(segments, tf.int64))
  height, width = shapes.sizes(inside)
  parts = {(0, 0): inside}
  for offsets in (((-1, 0), (1, 0)), ((0, -1), (0, 1)),
                  ((-1, -1), (-1, 1), (1, -1), (1, 1))):
    dy, dx = (abs(n) for n in offsets[0])
    coarse = [inside[max(y, 0):height + min(y, 0),
                     max(x, 0):width + min(x, 0)] for y, x in offsets]
    total = tf.add_n([
        _weights_to(weights, *offset, window)[dy::2, dx::2]
        for offset in offsets])
    agrees = tf.reduce_all(
        [tf.equal(other, coarse[0]) for other in coarse], 0)
    parts[dy, dx] = tf.pad(
        tf.where(agrees & (total > 0), coarse[0], 0), [[0, dy], [0, dx]])
  rows = [tf.reshape(tf.stack([parts[dy, 0], parts[dy, 1]], -1),
                     [height, 2 * width]) for dy in (0, 1)]
  regions = tf.reshape(tf.stack(rows, 1), [2 * height, 2 * width])
  return regions[:2 * height - 1, :2 * width - 1]


def inner(segments: tf.Tensor) -> tf.Tensor:
  """Clears pixels of which one of the 4 neighbors is of another segment."""
  padded = tf.pad(segments, [[1, 1], [1, 1]], 'SYMMETRIC')
  height, width = shapes.sizes(segments)
  is_inner = tf.reduce_all([
      tf.equal(padded[y:y + height, x:x + width], segments)
      for y, x in ((0, 1), (2, 1), (1, 0), (1, 2))], 0)
  return tf.where(is_inner, segments, 0)


def _weights_to(weights: tf.Tensor, dy: int, dx: int, window: int
                ) -> tf.Tensor:
  """Returns the weights [h, w] to the pixel at an offset; 0 outside."""
  offsets = windows.forward_offsets(window)
  if (dy, dx) in offsets:
    return weights[..., offsets.index((dy, dx))]
  return _shifted(weights[..., offsets.index((-dy, -dx))], dy, dx)


def _shifted(maps: tf.Tensor, dy: int, dx: int) -> tf.Tensor:
  return edges_lib.shifted(maps[tf.newaxis, ..., tf.newaxis], dy, dx)[0, ..., 0]


def _joined(*edges) -> Tuple[tf.Tensor, ...]:
  return tuple(tf.concat(part, 0) for part in zip(*edges))
