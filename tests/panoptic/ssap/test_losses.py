import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.panoptic.ssap import (
  affinity_settings,
  affinity_targets,
  losses,
  targets,
  windows,
)

Settings = affinity_settings.AffinityLossSettings


def _targets(label):
  """Targets of labels [h, w], where 90 is void and 10 a crowd."""
  label = np.array(label, np.int32)[np.newaxis]
  return affinity_targets.affinity_targets(
      tf.constant(label), tf.constant(~np.isin(label, (10, 90))), 5)


def _loss(logits, label, **settings):
  is_object = tf.constant(np.isin(label, (11, 12)))[tf.newaxis]
  return float(losses.affinity_loss(
      logits, _targets(label), is_object, Settings(**settings),
      tf.constant([1, 2]))[0])


def _scene(size=65, seed=0):
  """Blocks of stuff 0 and of the instances 11 and 12, and a little void."""
  rng = np.random.default_rng(seed)
  cells = rng.choice([0, 11, 12, 90], [-(-size // 8)] * 2,
                     p=[0.5, 0.2, 0.2, 0.1])
  return np.kron(cells, np.ones([8, 8], int))[:size, :size].astype(np.int32)


def _outputs(label, perfect, classes=2):
  """Logits of a network that sees the label, or of none."""
  outputs = {}
  for stride in windows.STRIDES:
    level = label[:, ::stride, ::stride]
    of_level = affinity_targets.affinity_targets(
        tf.constant(level), tf.constant(level != 90), 5)
    sign = 2 * tf.cast(of_level['affinity'], tf.float32) - 1
    category = tf.one_hot(level // 10, classes)
    scale = 50.0 if perfect else 0.0
    outputs[f'affinity_logits_{stride}'] = scale * sign
    outputs[f'semantic_logits_{stride}'] = scale * category
  return outputs


def test_a_mean_over_valid_pairs_with_a_factor_on_objects():
  label = np.array([[11, 11, 0], [0, 90, 10]])
  of_label = _targets(label)
  logits = tf.random.stateless_normal([1, 2, 3, 25], [1, 2])
  valid = of_label['valid'].numpy()
  error = (1 / (1 + np.exp(-logits.numpy())) - of_label['affinity'].numpy())**2
  factor = np.where(label == 11, 5.0, 1.0)[np.newaxis, ..., np.newaxis]
  expected = (error * factor * valid).sum() / valid.sum()
  np.testing.assert_allclose(
      _loss(logits, label, easy_drop_rate=0.0, object_weight=5.0), expected,
      rtol=1e-5)


def test_only_easy_pixels_are_dropped_at_the_rate_and_repeatably():
  label = np.zeros([100, 100], np.int32)
  label[:50] = 11
  of_label = _targets(label)
  kept = losses.is_kept(of_label, 0.8, tf.constant([3, 4]))[0].numpy()
  assert kept[48:52].all()
  assert 0.17 < kept[:48].mean() < 0.23
  np.testing.assert_array_equal(
      kept, losses.is_kept(of_label, 0.8, tf.constant([3, 4]))[0])
  other = losses.is_kept(of_label, 0.8, tf.constant([3, 5]))[0].numpy()
  assert (kept != other).any()


def test_void_and_crowds_alone_cost_nothing():
  logits = tf.random.stateless_normal([1, 2, 2, 25], [1, 2])
  assert _loss(logits, [[90, 90], [10, 10]]) == 0.0


@pytest.mark.parametrize('jit_compile', [False, True])
def test_all_losses_of_a_network(jit_compile):
  label = np.stack([_scene(), np.full([65, 65], 90, np.int32)])
  of_label = targets.expand(
      tf.map_fn(
          lambda one: targets.compact(
              one, thing_ids=(1,), label_divisor=10, ignore_label=9),
          tf.constant(label),
          fn_output_signature={'panoptic': tf.int32, 'kind': tf.uint8}),
      label_divisor=10, ignore_label=9)

  @tf.function(jit_compile=jit_compile)
  def compute(outputs):
    return losses.ssap_losses(
        outputs, of_label, ignore_label=9, panoptic=tf.constant(label),
        settings=Settings(easy_drop_rate=0.0, object_weight=1.0))

  blind, perfect = (compute(_outputs(label, p)) for p in (False, True))
  # Affinities of 1/2, and classes of probability 1/2.
  factor = 1 + 0.3 + 0.1 + 0.03 + 0.01
  np.testing.assert_allclose(
      blind['affinity_loss'], [factor / 4, 0], rtol=1e-5)
  np.testing.assert_allclose(
      blind['coarse_semantic_loss'], [4 * np.log(2), 0], rtol=1e-5)
  np.testing.assert_allclose(
      blind['semantic_loss'], [np.log(2), 0], rtol=1e-5)
  np.testing.assert_allclose(blind['total_loss'], sum(
      blind[key] for key in (
          'affinity_loss', 'coarse_semantic_loss', 'semantic_loss')))
  assert perfect['affinity_loss'][0] < 1e-6
  assert perfect['coarse_semantic_loss'][0] < 1e-6


@pytest.mark.parametrize('field, value', [
    ('semantic_weight', -1.0), ('level_weights', (1.0, 0.3)),
    ('semantic_top_k', 0.0), ('easy_drop_rate', 1.0),
    ('object_weight', float('inf'))])
def test_bad_settings(field, value):
  with pytest.raises(errors.UserError, match=f'{field}: expected'):
    Settings(**{field: value})
