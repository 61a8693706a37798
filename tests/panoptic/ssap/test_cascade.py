"""The cascade recovers labels from perfect affinities, within its limits."""

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest
import tensorflow as tf

from axial_tf.panoptic.ssap import (
  cascade,
  cascade_in_graph,
  contraction,
)
from tests.panoptic.ssap import perfect_levels


def _blocks(rng, cells, side):
  """A label map [side, side] of blocks, 0 for stuff."""
  label = rng.integers(0, 5, [cells, cells])
  scale = -(-side // cells)
  return np.kron(label, np.ones([scale, scale], int))[:side, :side]


def _connected(label, reach=2):
  """Segments of pixels of one instance that a chain of windows connects."""
  pixels = np.argwhere(label > 0)
  place = np.full(label.shape, -1)
  place[tuple(pixels.T)] = np.arange(len(pixels))
  found = []
  for dy in range(-reach, reach + 1):
    for dx in range(-reach, reach + 1):
      other = pixels + [dy, dx]
      inside = ((other >= 0) & (other < label.shape)).all(1)
      mine, other = pixels[inside], other[inside]
      same = label[tuple(mine.T)] == label[tuple(other.T)]
      found.append((place[tuple(mine[same].T)], place[tuple(other[same].T)]))
  parents = contraction.components(
      len(pixels), *(np.concatenate(ends) for ends in zip(*found)))
  segments = np.zeros(label.shape, int)
  segments[tuple(pixels.T)] = parents + 1
  return segments


def _same_partition(first, second):
  """Whether two maps cover the same pixels with the same segments."""
  pairs = np.unique(
      np.stack([first.reshape(-1), second.reshape(-1)]), axis=1)
  return all(len(np.unique(ids)) == pairs.shape[1] for ids in pairs) and (
      ((first == 0) == (second == 0)).all())


def _refines(first, second):
  """Whether each segment of the first map is inside one of the second."""
  pairs = np.unique(
      np.stack([first.reshape(-1), second.reshape(-1)]), axis=1)
  return len(np.unique(pairs[0])) == pairs.shape[1]


@pytest.mark.parametrize('count', [300, pytest.param(
    2000, marks=pytest.mark.long)])
def test_connected_instances_are_recovered(count):
  rng = np.random.default_rng(0)
  for _ in range(count):
    label = _blocks(rng, int(rng.integers(1, 9)), 13)
    # Equal labels in two places are two instances.
    label = _connected(label)
    found = cascade.partition(
        perfect_levels.levels(label, label > 0, coarsest=4))[-1]
    assert _same_partition(found, label)


def test_instances_over_many_levels_are_recovered():
  rng = np.random.default_rng(0)
  for cells in range(2, 30):
    label = _connected(_blocks(rng, cells, 65))
    found = cascade.partition(
        perfect_levels.levels(label, label > 0, coarsest=32))[-1]
    assert _same_partition(found, label)


def test_of_noise_segments_are_pure_and_windows_stay_whole():
  rng = np.random.default_rng(1)
  for _ in range(150):
    label = rng.integers(0, 4, [33, 17])
    found = cascade.partition(perfect_levels.levels(label, label > 0))[-1]
    np.testing.assert_array_equal(found > 0, label > 0)
    assert _refines(found, label)
    assert _refines(_connected(label), found)


@hypothesis.settings(deadline=None, max_examples=30)
@hypothesis.given(st.integers(0, 2**32 - 1), st.floats(0, 30))
def test_one_level_is_a_flat_partition(seed, noise):
  rng = np.random.default_rng(seed)
  label = _blocks(rng, 4, 12)
  level, = perfect_levels.levels(
      label, label > 0, coarsest=1, noise=noise, seed=seed)
  nodes = np.cumsum(label.reshape(-1) > 0).reshape(label.shape) - 1
  rows = []
  for y, x in np.argwhere(label > 0):
    for channel, (dy, dx) in enumerate(
        cascade.windows.forward_offsets(5)):
      if y + dy < 12 and 0 <= x + dx < 12 and label[y + dy, x + dx]:
        rows.append((nodes[y, x], nodes[y + dy, x + dx],
                     level.weights[y, x, channel]))
  first, second, weights = zip(*rows) if rows else ((), (), ())
  segments = contraction.contract(int((label > 0).sum()), contraction.Edges(
      np.array(first, int), np.array(second, int),
      np.array(weights, np.float64)))
  found, = cascade.partition([level])
  np.testing.assert_array_equal(found[label > 0], segments + 1)


@pytest.fixture(scope='module')
def in_graph():
  """The cascade over three levels by operations of TensorFlow, traced once."""
  level = {'weights': tf.TensorSpec([None, None, 12]),
           'is_thing': tf.TensorSpec([None, None], tf.bool)}
  function = tf.function(
      lambda levels: cascade_in_graph.partition(levels, 5),
      input_signature=[[level] * 3], autograph=False)
  return lambda levels: [segments.numpy() for segments in function(
      [{'weights': tf.constant(level.weights),
        'is_thing': tf.constant(level.is_thing)} for level in levels])]


@pytest.mark.parametrize('size', [(9, 9), (17, 33), (41, 25)])
@pytest.mark.parametrize('noise', [0.0, 8.0, 20.0])
def test_the_graph_equals_the_cascade(in_graph, size, noise):
  rng = np.random.default_rng(2)
  label = _blocks(rng, 6, max(size))[:size[0], :size[1]]
  # Unequal noise has no ties; without it, no order is asked for.
  levels = perfect_levels.levels(
      label, label > 0, coarsest=4, noise=noise)
  for found, expected in zip(in_graph(levels), cascade.partition(levels)):
    np.testing.assert_array_equal(found, expected)


def test_an_instance_between_coarse_pixels_is_found():
  label = np.ones([33, 33], int)
  label[13:16, 13:16] = 2
  label[21, 3:30] = 3
  found = cascade.partition(perfect_levels.levels(label, label > 0))
  assert [level.max() for level in found] == [1, 1, 1, 2, 3]
  assert _same_partition(found[-1], label)


def test_parts_farther_apart_than_all_windows_are_split():
  label = np.zeros([129, 33], int)
  label[:41] = label[88:] = 1
  found = cascade.partition(
      perfect_levels.levels(label, label > 0, coarsest=16))[-1]
  assert found.max() == 2
  # A coarser level sees both in one window, and something inside of both.
  found = cascade.partition(
      perfect_levels.levels(label, label > 0, coarsest=32))[-1]
  assert found.max() == 1


@pytest.mark.parametrize('label, count', [
    (np.zeros([17, 17], int), 0),
    (np.ones([17, 17], int), 1),
    (np.arange(1, 17 * 17 + 1).reshape(17, 17), 17 * 17),
    (np.ones([1, 1], int), 1),
    (np.array([[1] * 16 + [2]]), 2),
])
def test_no_one_and_many_instances(label, count):
  found = cascade.partition(perfect_levels.levels(label, label > 0))[-1]
  assert found.max() == count
  assert _same_partition(found, label)


def test_a_ring_around_an_instance():
  label = np.zeros([33, 33], int)
  label[4:29, 4:29] = 1
  label[12:21, 12:21] = 2
  found = cascade.partition(perfect_levels.levels(label, label > 0))[-1]
  assert _same_partition(found, label)


def test_inner_parts_reach_the_border_of_the_map():
  segments = np.array([[1, 1, 2], [1, 1, 2], [1, 1, 2]])
  np.testing.assert_array_equal(
      cascade.inner(segments), [[1, 0, 0], [1, 0, 0], [1, 0, 0]])
