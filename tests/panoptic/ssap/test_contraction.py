"""The partition of graphs: by hand, against an exhaustive search, and peers."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.panoptic.ssap import contraction, contraction_in_graph


@pytest.fixture(scope='module')
def in_graph():
  """The same partition by operations of TensorFlow, traced once."""
  node, edge = tf.TensorSpec([None], tf.int64), tf.TensorSpec(
      [None], tf.float64)
  function = tf.function(
      lambda count, first, second, weights: contraction_in_graph.contract(
          count, (first, second, weights)),
      input_signature=[tf.TensorSpec([], tf.int64), node, node, edge])
  return lambda count, edges: function(
      *(tf.constant(values) for values in (np.int64(count), *edges))).numpy()


def _edges(*rows):
  first, second, weights = zip(*rows) if rows else ((), (), ())
  return contraction.Edges(
      np.array(first, np.int64), np.array(second, np.int64),
      np.array(weights, np.float64))


def _random(seed, nodes, count, shift=0.0):
  rng = np.random.default_rng(seed)
  first, second = rng.integers(0, nodes, [2, count])
  is_edge = first != second
  return contraction.Edges(
      first[is_edge], second[is_edge],
      (rng.normal(size=count) + shift)[is_edge])


def _energy(segments, edges):
  """Sums of the weights between segments, of partitions [n, nodes]."""
  is_cut = segments[:, edges.first] != segments[:, edges.second]
  return (is_cut * edges.weights).sum(-1)


def _partitions(count):
  """Lists all partitions, numbered in the order of their first nodes."""
  found = [()]
  for _ in range(count):
    found = [(*part, segment) for part in found
             for segment in range(max(part, default=-1) + 2)]
  return np.array(found)


@pytest.mark.parametrize('count, edges, expected', [
    (0, _edges(), []),
    (1, _edges(), [0]),
    (3, _edges(), [0, 1, 2]),
    (2, _edges((0, 1, 0.0)), [0, 1]),
    (2, _edges((0, 1, -1.0), (1, 0, 2.0)), [0, 0]),
    (2, _edges((0, 1, 1.0), (1, 0, -2.0)), [0, 1]),
    # A circle: the heaviest edges win over -10.
    (4, _edges((0, 1, 1), (1, 2, 2), (2, 3, 3), (3, 0, -10)), [0, 1, 1, 1]),
    # A 2x3 grid with repulsion at both ends.
    (6, _edges((0, 1, 6), (1, 2, 5.5), (3, 4, 5.2), (4, 5, 5.1), (1, 4, 5),
               (0, 3, -20), (2, 5, -20)), [0, 0, 0, 1, 1, 1]),
])
def test_graphs_by_hand(count, edges, expected, in_graph):
  np.testing.assert_array_equal(contraction.contract(count, edges), expected)
  np.testing.assert_array_equal(in_graph(count, edges), expected)


def test_it_is_never_better_than_the_best_and_often_equal():
  equal = 0
  partitions = _partitions(8)
  for seed in range(40):
    edges = _random(seed, 8, 20)
    found = _energy(contraction.contract(8, edges)[np.newaxis], edges)
    best = _energy(partitions, edges).min()
    assert found >= best - 1e-9
    equal += found < best + 1e-9
  assert equal >= 25


def _naive(count, edges):
  """Contracts the heaviest edge of a dictionary until none is positive."""
  segments = np.arange(count)
  while True:
    total = {}
    for u, v, weight in zip(*edges):
      u, v = sorted((segments[u], segments[v]))
      if u != v:
        total[u, v] = total.get((u, v), 0.0) + weight
    (kept, moved), weight = max(
        total.items(), key=lambda item: item[1], default=((0, 0), 0.0))
    if weight <= 0:
      return np.unique(segments, return_inverse=True)[1].reshape(-1)
    segments[segments == moved] = kept


def test_the_queue_equals_a_search_for_the_heaviest_edge():
  for seed in range(60):
    edges = _random(seed, 20, 70, shift=0.3 * (seed % 3))
    np.testing.assert_array_equal(
        contraction.contract(20, edges), _naive(20, edges))


def test_the_graph_equals_the_queue(in_graph):
  for seed in range(40):
    edges = _random(seed, 60, 400, shift=0.2 * (seed % 4))
    np.testing.assert_array_equal(
        in_graph(60, edges), contraction.contract(60, edges))


def test_the_queue_equals_bioimage_cpp():
  graph = pytest.importorskip('bioimage_cpp').graph
  for seed in range(100):
    edges = contraction.summed(12, _random(seed, 12, 30))
    peer = graph.undirected_graph(12)
    peer.insert_edges(
        np.stack([edges.first, edges.second], 1).astype(np.uint64))
    objective = graph.multicut.MulticutObjective(peer, edges.weights)
    expected = graph.multicut.GreedyAdditiveMulticut().optimize(objective)
    found = contraction.contract(12, edges)
    np.testing.assert_array_equal(
        found[:, np.newaxis] == found,
        np.asarray(expected)[:, np.newaxis] == np.asarray(expected))


def test_components_are_named_by_their_lowest_node():
  edges = _random(3, 200, 150)
  found = contraction.components(200, edges.first, edges.second)
  expected = np.arange(200)
  for _ in range(200):
    for u, v in zip(edges.first, edges.second):
      expected[[u, v]] = expected[[u, v]].min()
  np.testing.assert_array_equal(found, expected)


def test_edges_between_segments_add_up():
  edges = _edges((0, 2, 1.0), (1, 2, 2.0), (3, 1, 4.0), (0, 1, 8.0))
  found = contraction.between(np.array([0, 0, 1, 1]), edges)
  assert [values.tolist() for values in found] == [[0], [1], [7.0]]
