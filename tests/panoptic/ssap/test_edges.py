import numpy as np
import pytest
import tensorflow as tf

from axial_tf.panoptic.ssap import affinity_refinement, edges, windows


def _divergence(first, second):
  first, second = (tf.constant(p, tf.float32) for p in (first, second))
  return float(affinity_refinement.divergence(
      first, second, affinity_refinement.entropy(first),
      affinity_refinement.entropy(second)))


def test_refinement_of_equal_and_of_exclusive_classes():
  assert _divergence([1, 0, 0], [1, 0, 0]) == 0
  halved = affinity_refinement.refined(
      tf.constant(0.9), _divergence([1, 0, 0], [0, 1, 0]))
  np.testing.assert_allclose(halved, 0.45, rtol=1e-6)
  # The edge of such a pair: log(0.45 / 0.55).
  affinity = np.full([1, 1, 2, 25], 0.9, np.float32)
  weights = edges.edge_weights(
      tf.constant(affinity), tf.eye(2)[tf.newaxis, tf.newaxis], window=5)
  np.testing.assert_allclose(weights[0, 0, 0, 0], -0.2007, atol=1e-4)


def test_divergence_equals_its_definition():
  rng = np.random.default_rng(0)
  p, q = rng.dirichlet(np.ones(7), 2)
  middle = (p + q) / 2
  expected = (p * np.log(p / middle) + q * np.log(q / middle)).sum() / 2
  np.testing.assert_allclose(_divergence(p, q), expected, atol=1e-6)


@pytest.mark.parametrize('window', [3, 5])
def test_weights_equal_a_loop_over_pairs(window, compiled):
  rng = np.random.default_rng(1)
  affinity = rng.uniform(size=[1, 4, 5, window**2]).astype(np.float32)
  affinity[0, 0, 0] = 1.0
  affinity[0, 0, 1] = 1.0
  semantic = rng.dirichlet(np.ones(3), [1, 4, 5]).astype(np.float32)
  weights = compiled(lambda a, s: edges.edge_weights(
      a, s, window=window, refine=False))(
          tf.constant(affinity), tf.constant(semantic)).numpy()
  last = window**2 - 1
  for number, (dy, dx) in enumerate(windows.forward_offsets(window)):
    for y in range(4):
      for x in range(5):
        expected = 0.0
        if y + dy < 4 and 0 <= x + dx < 5:
          channel = last // 2 + 1 + number
          pair = (affinity[0, y, x, channel]
                  + affinity[0, y + dy, x + dx, last - channel]) / 2
          pair = min(max(pair, 1e-5), 1 - 1e-5)
          expected = np.log(pair / (1 - pair))
        np.testing.assert_allclose(
            weights[0, y, x, number], expected, atol=2e-3)


def test_things_are_countable_classes_inside_the_image():
  semantic = np.zeros([1, 3, 3, 2], np.float32)
  semantic[..., 1] = 1
  semantic[0, 0, 0] = 1, 0
  level = edges.level_maps(
      tf.fill([1, 3, 3, 25], 0.9), tf.constant(semantic), stride=4,
      size=(9, 8), thing_ids=(1,), window=5)
  np.testing.assert_array_equal(level['is_thing'][0], [
      [False, True, False], [True, True, False], [True, True, False]])
