"""The five losses by their formulas."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.panoptic import losses as panoptic_losses
from axial_tf.panoptic.deeperlab import losses, targets

_NAMES = ('semantic', 'heatmap', 'long', 'short', 'middle')


@pytest.fixture(scope='module')
def maps():
  """Targets of a label with two instances, void and a crowd."""
  label = np.zeros([17, 21], np.int32)
  label[2:9, 3:14], label[8:15, 12:20] = 17, 18
  label[14:], label[:2, 15:] = 9 * 16, 16
  return targets.keypoint_targets(
      tf.constant(label), thing_ids=(1,), label_divisor=16, ignore_label=9,
      settings=targets.KeypointTargetSettings(radius=5.0, max_instances=4))


def _outputs(maps, error=0.0):
  """Heads that are right, but for so many pixels in all offsets."""
  logits = 40.0 * tf.one_hot(maps['semantic'], 2) - 20.0
  return {
      'semantic_logits': logits,
      'keypoint_logits': 40.0 * maps['keypoint_heatmap'] - 20.0,
      **{f'{name}_offset': maps[f'{name}_offset'] + error
         for name in ('long', 'short', 'middle')}}


def _losses(outputs, maps, **settings):
  return {name: value.numpy() for name, value in losses.deeperlab_losses(
      outputs, maps, ignore_label=9,
      settings=losses.DeeperLabLossSettings(**settings)).items()}


def test_perfect_heads_have_no_loss(maps):
  assert _losses(_outputs(maps), maps)['total_loss'] < 1e-5


def test_offsets_are_measured_in_radii_and_weigh_as_in_personlab(maps):
  got = _losses(_outputs(maps, error=5.0), maps)
  # Both coordinates are off by 5 of 25 pixels.
  np.testing.assert_allclose(got['short_loss'], [0.4], rtol=1e-5)
  np.testing.assert_allclose(got['middle_loss'], [0.4 / 4], rtol=1e-5)
  np.testing.assert_allclose(got['long_loss'], [0.4 / 8], rtol=1e-5)
  np.testing.assert_allclose(
      got['total_loss'], sum(got[f'{name}_loss'] for name in _NAMES))
  finer = _losses(_outputs(maps, error=5.0), maps, offset_unit=5.0,
                  short_weight=3.0)
  np.testing.assert_allclose(finer['short_loss'], [6.0], rtol=1e-5)


def test_each_keypoint_counts_the_same_however_many_pixels_it_has():
  truth = np.zeros([1, 2, 2, 4], np.float32)
  weight = np.array([[[[1, 1], [1, 0]], [[1, 0], [1, 0]]]], np.float32)
  offset = truth + [1, -1, 5, 0]
  got = losses.offset_error(
      tf.constant(offset, tf.float32), tf.constant(truth), tf.constant(weight))
  np.testing.assert_allclose(got, [(2 + 5) / 2])


def test_padding_void_and_crowds_do_not_count(maps):
  outputs = _outputs(maps)
  rows, columns = maps['keypoint_weight'].shape[1:]
  ignored = 1.0 - maps['keypoint_weight'][..., tf.newaxis]
  wrong = {
      name: tf.pad(head, [[0, 0], [0, 2], [0, 3], [0, 0]], constant_values=50.0)
      for name, head in outputs.items() if name != 'semantic_logits'}
  assert wrong['long_offset'].shape[1:3] == (rows + 2, columns + 3)
  for name in ('keypoint_logits', 'short_offset', 'middle_offset'):
    wrong[name] += 100.0 * tf.pad(
        ignored, [[0, 0], [0, 2], [0, 3], [0, 0]])
  got = _losses({**outputs, **wrong}, maps)
  assert got['total_loss'] < 1e-5


def test_the_heatmap_has_plain_sigmoid_cross_entropy(maps):
  outputs = {**_outputs(maps), 'keypoint_logits': tf.fill(
      maps['keypoint_heatmap'].shape, 1.0)}
  truth = maps['keypoint_heatmap'].numpy()[
      maps['keypoint_weight'].numpy() > 0]
  expected = 4 * np.mean(np.log1p(np.exp(1.0)) - truth)
  np.testing.assert_allclose(
      _losses(outputs, maps)['heatmap_loss'], [expected], rtol=1e-5)


def test_the_semantic_loss_is_the_bootstrapped_one_of_15_percent(maps):
  logits = tf.random.stateless_normal([1, 17, 21, 2], [3, 4])
  got = _losses({**_outputs(maps), 'semantic_logits': logits}, maps)
  entropy = panoptic_losses.weighted_cross_entropy(
      logits, maps['semantic'], maps['semantic_weight'], 9).numpy().ravel()
  hardest = np.sort(entropy)[::-1][:round(0.15 * entropy.size)]
  np.testing.assert_allclose(
      got['semantic_loss'], [2 * hardest.mean()], rtol=1e-5)


def test_nothing_to_learn_and_nan():
  nothing = targets.keypoint_targets(
      tf.fill([9, 9], 9 * 16), thing_ids=(1,), label_divisor=16,
      ignore_label=9)
  outputs = {**_outputs(nothing), 'keypoint_logits': tf.ones([1, 3, 3, 5])}
  assert _losses(outputs, nothing)['total_loss'] == 0.0
  outputs['short_offset'] = tf.fill([1, 3, 3, 10], float('nan'))
  assert np.isnan(_losses(outputs, nothing)['total_loss'])


@pytest.mark.parametrize('field, value', [
    ('semantic_weight', -1.0), ('heatmap_weight', float('nan')),
    ('long_weight', -1.0), ('short_weight', float('inf')),
    ('middle_weight', -0.1), ('semantic_top_k', 0.0), ('offset_unit', 0.0)])
def test_settings_out_of_range_are_named(field, value):
  with pytest.raises(errors.UserError, match=f'{field}: expected'):
    losses.DeeperLabLossSettings(**{field: value})
