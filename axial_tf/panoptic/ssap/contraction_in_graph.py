"""Partitions a graph as `contraction` does, in operations of TensorFlow.

For a served model, where no Python runs: without ties the partition is that of
`contraction`, with ties another one is possible. Each contraction looks at all
edges that are left of the components in conflict, so this is for some thousand
nodes. Sizes depend on the data: XLA cannot compile it.
"""

from typing import Tuple

import tensorflow as tf

# Contractions after which edges that are gone are removed from the list.
_ROUND = 64
_GONE = -float('inf')

# First nodes and second nodes int64 [edges], and weights float64 [edges].
Edges = Tuple[tf.Tensor, tf.Tensor, tf.Tensor]


def contract(count: tf.Tensor, edges: Edges) -> tf.Tensor:
  """Partitions the nodes 0 ... count - 1.

  Args:
    count: int64 [], number of nodes.
    edges: edges between different nodes; parallel ones add up.

  Returns:
    int64 [count], the segment of each node; segments count from 0, in the order
    of their first nodes.
  """
  first, second, weights = summed(count, edges)
  is_positive = weights > 0
  parents = components(
      count, tf.boolean_mask(first, is_positive),
      tf.boolean_mask(second, is_positive))
  component = tf.gather(parents, first)
  is_inside = tf.equal(component, tf.gather(parents, second))
  conflicts = tf.boolean_mask(component, is_inside & (weights < 0))
  in_conflict = tf.scatter_nd(
      conflicts[:, tf.newaxis], tf.ones_like(conflicts), [count]) > 0
  is_open = is_inside & tf.gather(in_conflict, component)
  nodes = tf.where(tf.gather(in_conflict, parents))[:, 0]
  place = tf.cumsum(
      tf.cast(tf.gather(in_conflict, parents), tf.int64), exclusive=True)
  found = _contract_in_order(tf.size(nodes, tf.int64), (
      tf.gather(place, tf.boolean_mask(first, is_open)),
      tf.gather(place, tf.boolean_mask(second, is_open)),
      tf.boolean_mask(weights, is_open)))
  parents = tf.tensor_scatter_nd_update(
      parents, nodes[:, tf.newaxis], tf.gather(nodes, found))
  return numbered(parents)


def summed(count: tf.Tensor, edges: Edges) -> Edges:
  """Adds up parallel edges; each is from a lower to a higher node then."""
  first, second, weights = edges
  pairs, inverse = tf.unique(
      tf.minimum(first, second) * count + tf.maximum(first, second))
  total = tf.math.unsorted_segment_sum(weights, inverse, tf.size(pairs))
  # The order in which `contraction` has them.
  order = tf.argsort(pairs)
  pairs, total = tf.gather(pairs, order), tf.gather(total, order)
  count = tf.maximum(count, 1)
  return pairs // count, pairs % count, total


def components(count: tf.Tensor, first: tf.Tensor, second: tf.Tensor
               ) -> tf.Tensor:
  """int64 [count], the lowest node of each node's connected component."""
  def hook(parents, first, second):
    low, high = tf.minimum(first, second), tf.maximum(first, second)
    parents = _roots(tf.tensor_scatter_nd_min(
        parents, high[:, tf.newaxis], low))
    first, second = tf.gather(parents, low), tf.gather(parents, high)
    is_open = tf.not_equal(first, second)
    return (parents, tf.boolean_mask(first, is_open),
            tf.boolean_mask(second, is_open))

  node, ends = tf.TensorShape([None]), tf.TensorShape([None])
  return tf.while_loop(
      lambda parents, first, second: tf.size(first) > 0, hook,
      (tf.range(count), first, second),
      shape_invariants=(node, ends, ends))[0]


def numbered(values: tf.Tensor) -> tf.Tensor:
  """Numbers equal values int64 [n] from 0, in the order of their first."""
  return tf.unique(values, tf.int64)[1]


def _roots(parents: tf.Tensor) -> tf.Tensor:
  """Follows parents until each node has a root, which is its own parent."""
  def follow(parents, _):
    further = tf.gather(parents, parents)
    return further, tf.reduce_any(tf.not_equal(further, parents))

  return tf.while_loop(
      lambda _, changed: changed, follow, (parents, tf.constant(True)))[0]


def _contract_in_order(count: tf.Tensor, edges: Edges) -> tf.Tensor:
  """Returns the root of each node; no two edges are parallel."""
  def contract_largest(step, nodes, first, second, weights):
    index = tf.argmax(weights)
    kept, moved = first[index], second[index]
    nodes, first, second = (
        tf.where(tf.equal(ends, moved), kept, ends)
        for ends in (nodes, first, second))
    is_gone = tf.equal(first, second)
    # Edges of the node, by the other end: these may be parallel now.
    own = tf.where(
        (tf.equal(first, kept) | tf.equal(second, kept)) & ~is_gone
        & (weights > _GONE))[:, 0]
    other = tf.gather(first, own) + tf.gather(second, own) - kept
    ends, number = tf.unique(other)
    total = tf.math.unsorted_segment_sum(
        tf.gather(weights, own), number, tf.size(ends))
    lowest = tf.math.unsorted_segment_min(own, number, tf.size(ends))
    weights = tf.where(is_gone, tf.constant(_GONE, tf.float64), weights)
    weights = tf.tensor_scatter_nd_update(
        weights, own[:, tf.newaxis], tf.where(
            tf.equal(own, tf.gather(lowest, number)),
            tf.gather(total, number), tf.constant(_GONE, tf.float64)))
    return step + 1, nodes, first, second, weights

  def contract_some(nodes, first, second, weights):
    _, nodes, first, second, weights = tf.while_loop(
        lambda step, nodes, first, second, weights: (
            (step < _ROUND) & (tf.reduce_max(weights) > 0)),
        contract_largest, (0, nodes, first, second, weights))
    is_left = weights > _GONE
    return (nodes, *(tf.boolean_mask(values, is_left)
                     for values in (first, second, weights)))

  any_size = tf.TensorShape([None])
  return tf.while_loop(
      lambda nodes, first, second, weights: tf.reduce_any(weights > 0),
      contract_some, (tf.range(count), *edges),
      shape_invariants=(any_size,) * 4)[0]
