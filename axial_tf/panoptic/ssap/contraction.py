"""Partitions a graph by greedy additive edge contraction.

The edge of the largest weight is contracted and parallel edges add up, until no
weight is positive (Keuper et al., "Efficient Decomposition of Image and Mesh
Graphs by Lifted Multicuts", ICCV 2015). Which of several equal weights comes
first is arbitrary, and decides.

Most of a graph needs no order: where nodes that positive edges connect have no
negative edge among them, all sums stay positive and all of them become one. The
queue sees only the other components.
"""

import heapq
from typing import Dict, List, NamedTuple, Tuple

import numpy as np


class Edges(NamedTuple):
  """Undirected edges; those between the same two nodes add up.

  Attributes:
    first: int64 [edges], a node of each edge.
    second: int64 [edges], its other node, a different one.
    weights: float64 [edges].
  """
  first: np.ndarray
  second: np.ndarray
  weights: np.ndarray


def contract(count: int, edges: Edges) -> np.ndarray:
  """Partitions the nodes 0 ... count - 1.

  Returns:
    int64 [count], the segment of each node; segments count from 0, in the order
    of their first nodes.
  """
  edges = summed(count, edges)
  is_positive = edges.weights > 0
  parents = components(
      count, edges.first[is_positive], edges.second[is_positive])
  first = parents[edges.first]
  is_inside = first == parents[edges.second]
  in_conflict = np.zeros(count, bool)
  in_conflict[first[is_inside & (edges.weights < 0)]] = True
  is_open = is_inside & in_conflict[first]
  if is_open.any():
    nodes = np.flatnonzero(in_conflict[parents])
    place = np.zeros(count, np.int64)
    place[nodes] = np.arange(nodes.size)
    parents[nodes] = nodes[_contract_in_order(nodes.size, Edges(
        place[edges.first[is_open]], place[edges.second[is_open]],
        edges.weights[is_open]))]
  return np.unique(_lowest(parents), return_inverse=True)[1].reshape(-1)


def summed(count: int, edges: Edges) -> Edges:
  """Adds up parallel edges.

  Args:
    count: number of nodes.
    edges: edges between them.

  Returns:
    Edges from a lower to a higher node, ascending, at most one for two nodes.
  """
  low = np.minimum(edges.first, edges.second)
  pairs, inverse = np.unique(
      low * count + np.maximum(edges.first, edges.second),
      return_inverse=True)
  return Edges(*np.divmod(pairs, max(count, 1)), np.bincount(
      inverse.reshape(-1), edges.weights, pairs.size))


def between(segments: np.ndarray, edges: Edges) -> Edges:
  """Returns the edges between segments, whose numbers are their nodes.

  Args:
    segments: int64 [nodes], the segment of each node.
    edges: edges between nodes.
  """
  first, second = segments[edges.first], segments[edges.second]
  is_cut = first != second
  return summed(
      int(segments.max(initial=-1)) + 1,
      Edges(first[is_cut], second[is_cut], edges.weights[is_cut]))


def components(count: int, first: np.ndarray, second: np.ndarray
               ) -> np.ndarray:
  """Finds the connected components of a graph.

  Args:
    count: number of nodes.
    first: int64 [edges], a node of each edge.
    second: int64 [edges], its other node.

  Returns:
    int64 [count], the lowest node of each node's component.
  """
  parents = np.arange(count)
  while first.size:
    low, high = np.minimum(first, second), np.maximum(first, second)
    np.minimum.at(parents, high, low)
    parents = _roots(parents)
    first, second = parents[low], parents[high]
    is_open = first != second
    first, second = first[is_open], second[is_open]
  return parents


def _roots(parents: np.ndarray) -> np.ndarray:
  """Follows parents until each node has a root, which is its own parent."""
  while True:
    further = parents[parents]
    if np.array_equal(further, parents):
      return parents
    parents = further


def _lowest(parents: np.ndarray) -> np.ndarray:
  """Names each tree by its lowest node."""
  roots = _roots(parents)
  lowest = np.full(parents.size, parents.size)
  np.minimum.at(lowest, roots, np.arange(parents.size))
  return lowest[roots]


def _contract_in_order(count: int, edges: Edges) -> np.ndarray:
  """Returns the parent of each node; no two edges are parallel.

  A queue holds positive edges, also outdated ones: an edge whose weight has
  changed since, or whose node is gone, is skipped when its turn comes.
  """
  neighbors: List[Dict[int, float]] = [{} for _ in range(count)]
  for u, v, weight in zip(*(values.tolist() for values in edges)):
    neighbors[u][v] = neighbors[v][u] = weight
  is_positive = edges.weights > 0
  queue: List[Tuple[float, int, int]] = list(zip(
      (-edges.weights[is_positive]).tolist(),
      edges.first[is_positive].tolist(), edges.second[is_positive].tolist()))
  heapq.heapify(queue)
  parents = list(range(count))
  while queue:
    weight, u, v = heapq.heappop(queue)
    if neighbors[u].get(v) != -weight:
      continue
    # The node with more neighbors keeps them.
    if len(neighbors[u]) < len(neighbors[v]):
      u, v = v, u
    kept, moved = neighbors[u], neighbors[v]
    parents[v], neighbors[v] = u, {}
    del kept[v], moved[u]
    for x, weight in moved.items():
      of_x = neighbors[x]
      del of_x[v]
      if x in kept:
        weight += kept[x]
      kept[x] = of_x[u] = weight
      if weight > 0:
        heapq.heappush(queue, (-weight, u, x))
  return np.array(parents, np.int64)
