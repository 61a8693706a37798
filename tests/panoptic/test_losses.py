"""Losses against the published ones, plain references and odd cases."""

import hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.panoptic import losses


def _example(batch=2, height=5, width=4, classes=3, seed=0):
  rng = np.random.default_rng(seed)
  size = (batch, height, width)
  outputs = {
      'semantic_logits': rng.normal(size=(*size, classes)),
      'center_heatmap': rng.normal(size=size),
      'offset': rng.normal(size=(*size, 2)),
  }
  targets = {
      'semantic': rng.integers(0, classes, size).astype(np.int32),
      'semantic_weight': rng.choice([1.0, 3.0], size),
      'center_heatmap': rng.uniform(size=size),
      'center_weight': rng.choice([0.0, 1.0], size),
      'offset': rng.normal(size=(*size, 2)),
      'offset_weight': rng.choice([0.0, 1.0], size),
  }
  return tf.nest.map_structure(_to_tensor, (outputs, targets))


def _to_tensor(value):
  return tf.constant(
      value, tf.int32 if value.dtype == np.int32 else tf.float32)


def _with_gradient(outputs, targets, **options):
  with tf.GradientTape() as tape:
    tape.watch(outputs)
    result = losses.panoptic_losses(outputs, targets, **options)
    total = tf.reduce_mean(result['total_loss'])
  return result, tape.gradient(total, outputs)


def test_published_losses_and_gradients(compiled, oracle):
  published = oracle('deeplab2/losses_small')
  outputs = {
      'semantic_logits': tf.constant(published['pred:semantic_logits']),
      'center_heatmap': tf.constant(published['pred:center_heatmap']),
      'offset': tf.constant(published['pred:offset_map']),
  }
  targets = {ours: tf.constant(published[f'gt:{theirs}']) for ours, theirs in {
      'semantic': 'semantic_gt', 'semantic_weight': 'semantic_loss_weight',
      'center_heatmap': 'instance_center_gt',
      'center_weight': 'center_loss_weight',
      'offset': 'instance_regression_gt',
      'offset_weight': 'regression_loss_weight'}.items()}
  result, gradient = compiled(
      lambda o, t: _with_gradient(o, t, ignore_label=0))(outputs, targets)
  for ours, theirs in (
      ('semantic_loss', 'semantic_loss'), ('center_loss', 'center_loss'),
      ('offset_loss', 'regression_loss'), ('total_loss', 'total_loss')):
    np.testing.assert_allclose(
        result[ours], published[f'loss:{theirs}'], rtol=1e-6, err_msg=ours)
  for ours, theirs in (
      ('semantic_logits', 'semantic_logits'),
      ('center_heatmap', 'center_heatmap'), ('offset', 'offset_map')):
    np.testing.assert_allclose(
        gradient[ours], published[f'grad:{theirs}'], rtol=1e-5, atol=1e-9,
        err_msg=ours)


def test_cross_entropy_equals_that_of_tensorflow(compiled):
  outputs, targets = _example(classes=7)
  logits, labels = outputs['semantic_logits'] * 30, targets['semantic']

  def ours(logits):
    return losses.weighted_cross_entropy(
        logits, labels, targets['semantic_weight'], ignore_label=6)

  def reference(logits):
    weights = tf.where(labels == 6, 0.0, targets['semantic_weight'])
    return weights * tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels, logits)

  def both(logits, function):
    with tf.GradientTape() as tape:
      tape.watch(logits)
      value = function(logits)
    return value, tape.gradient(value, logits)

  got = compiled(lambda x: both(x, ours))(logits)
  for value, expected in zip(got, both(logits, reference)):
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)


def test_all_pixels_equal_the_plain_mean():
  outputs, targets = _example()
  result = losses.panoptic_losses(
      outputs, targets, ignore_label=255,
      settings=losses.LossSettings(semantic_top_k=1.0))
  plain = tf.nn.sparse_softmax_cross_entropy_with_logits(
      targets['semantic'], outputs['semantic_logits'])
  expected = tf.reduce_mean(plain * targets['semantic_weight'], [1, 2])
  np.testing.assert_allclose(result['semantic_loss'], expected, rtol=1e-6)


_VALUES = st.one_of(st.sampled_from([0.0, 1.0, 2.0]), st.floats(
    0, 2.0**90, width=32, allow_subnormal=False))


@hypothesis.settings(deadline=None, max_examples=100)
@hypothesis.given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 3), st.integers(1, 12)),
               elements=_VALUES), st.floats(0.01, 1.0))
def test_hardest_pixels_equal_those_of_a_sort(values, top_k):
  k = max(int(np.round(np.float32(top_k) * np.float32(values.shape[1]))), 1)
  hardest = -np.sort(-values.astype(np.float64), axis=1)[:, :k]
  expected = hardest.sum(1) / np.maximum((hardest > 0).sum(1), 1)
  got = losses.mean_of_hardest(tf.constant(values), top_k)
  # TensorFlow takes numbers below the smallest normal one for 0.
  np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-37)


def test_ties_share_the_gradient(compiled):
  def gradient(values):
    with tf.GradientTape() as tape:
      tape.watch(values)
      result = losses.mean_of_hardest(values, 0.5)
    return tape.gradient(result, values)

  got = compiled(gradient)(tf.constant([[3.0, 1.0, 1.0, 0.5]]))
  np.testing.assert_allclose(got, [[0.5, 0.25, 0.25, 0.0]])


def test_pixels_count_per_sample():
  outputs, targets = _example(batch=3)
  together = losses.panoptic_losses(outputs, targets, ignore_label=0)
  for i in range(3):
    alone = losses.panoptic_losses(
        {name: value[i:i + 1] for name, value in outputs.items()},
        {name: value[i:i + 1] for name, value in targets.items()},
        ignore_label=0)
    for name, value in alone.items():
      np.testing.assert_allclose(together[name][i], value[0], rtol=1e-6)


@pytest.mark.parametrize('ignore_label', [255, 0, -1])
def test_all_void_gives_zero_and_no_gradient(compiled, ignore_label):
  outputs, targets = _example()
  targets['semantic'] = tf.fill(targets['semantic'].shape, ignore_label)
  for name in ('center_weight', 'offset_weight'):
    targets[name] = tf.zeros_like(targets[name])
  result, gradient = compiled(lambda o, t: _with_gradient(
      o, t, ignore_label=ignore_label))(outputs, targets)
  for value in tf.nest.flatten((result, gradient)):
    np.testing.assert_array_equal(value, np.zeros(value.shape))


def test_perfect_heads_cost_nothing():
  _, targets = _example()
  outputs = {
      'semantic_logits': 200.0 * tf.one_hot(targets['semantic'], 3),
      'center_heatmap': targets['center_heatmap'],
      'offset': targets['offset'],
  }
  result = losses.panoptic_losses(outputs, targets, ignore_label=255)
  np.testing.assert_array_equal(result['total_loss'], [0.0, 0.0])


def test_nan_is_propagated(compiled):
  outputs, targets = _example()
  broken = tf.nest.map_structure(lambda v: v * float('nan'), outputs)
  result = compiled(lambda o, t: losses.panoptic_losses(
      o, t, ignore_label=255))(broken, targets)
  for name, value in result.items():
    assert np.isnan(value).all(), name


def test_half_precision_outputs_are_computed_in_float32():
  outputs, targets = _example()
  half = tf.nest.map_structure(lambda v: tf.cast(v, tf.bfloat16), outputs)
  single = tf.nest.map_structure(lambda v: tf.cast(v, tf.float32), half)
  for name, value in losses.panoptic_losses(
      half, targets, ignore_label=0).items():
    assert value.dtype == tf.float32
    np.testing.assert_array_equal(value, losses.panoptic_losses(
        single, targets, ignore_label=0)[name])


def test_factors_scale_their_losses():
  outputs, targets = _example()
  plain = losses.panoptic_losses(outputs, targets, ignore_label=0)
  doubled = losses.panoptic_losses(
      outputs, targets, ignore_label=0, settings=losses.LossSettings(
          semantic_weight=2, center_weight=0, offset_weight=0.04))
  np.testing.assert_allclose(
      doubled['semantic_loss'], 2 * plain['semantic_loss'], rtol=1e-6)
  np.testing.assert_allclose(
      doubled['offset_loss'], 4 * plain['offset_loss'], rtol=1e-6)
  np.testing.assert_allclose(
      doubled['total_loss'],
      doubled['semantic_loss'] + doubled['offset_loss'], rtol=1e-6)


def _touching():
  """Two touching instances of one class, void beside one, stuff around."""
  panoptic = np.zeros([1, 12, 20], np.int32)
  panoptic[0, 3:9, 2:9], panoptic[0, 3:9, 9:16] = 11, 12
  panoptic[0, :, 16:] = 90
  return panoptic


def _plain_near_borders(panoptic):
  places = list(np.ndindex(panoptic.shape))
  near = np.zeros(panoptic.shape, bool)
  for y, x in places:
    for other in ((y + 1, x), (y, x + 1)):
      if other not in places:
        continue
      pair = panoptic[y, x], panoptic[other]
      if pair[0] != pair[1] and 90 not in pair and max(pair) > 10:
        for place in ((y, x), other):
          near[max(place[0] - 1, 0):place[0] + 2,
               max(place[1] - 1, 0):place[1] + 2] = True
  return near


def test_the_boundary_weight_scales_pixels_near_borders(compiled):
  panoptic = _touching()
  outputs, targets = _example(batch=1, height=12, width=20)
  instance = tf.cast((panoptic > 10) & (panoptic < 90), tf.float32)
  targets.update(
      offset_weight=instance, center_weight=tf.cast(panoptic < 90, tf.float32))
  near = _plain_near_borders(panoptic[0])
  assert near[5, 7:11].all() and not near[5, 14:].any() and near[1:5, 4].all()
  factor = np.where(near, 3.0, 1.0).astype(np.float32)[np.newaxis]
  expected = losses.panoptic_losses(outputs, {
      **targets, 'semantic_weight': targets['semantic_weight'] * factor,
      'offset_weight': instance * factor}, ignore_label=9)
  got = compiled(lambda o, t: losses.panoptic_losses(
      o, t, ignore_label=9, panoptic=tf.constant(panoptic),
      settings=losses.LossSettings(boundary_weight=3.0)))(outputs, targets)
  for key, value in expected.items():
    np.testing.assert_allclose(got[key], value, rtol=1e-5, err_msg=key)


@pytest.mark.parametrize('field, value', [
    ('boundary_weight', -1.0),
    ('semantic_top_k', 0.0), ('semantic_top_k', 1.5), ('center_weight', -1.0),
    ('offset_weight', float('inf')), ('semantic_weight', 'one')])
def test_invalid_settings_are_refused(field, value):
  with pytest.raises(errors.UserError, match=f'LossSettings.{field}'):
    losses.LossSettings(**{field: value})
