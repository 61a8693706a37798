import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.models import (
  axial_resnet,
  settings_by_name,
  ssap,
  variants,
  xception,
)
from axial_tf.panoptic.ssap import affinity_settings, losses, windows
from tests.layers import harness, profiler
from tests.models import names


def _tiny(**backbone):
  backbone = {'width_multiplier': 0.125, 'blocks': (1, 1, 1, 1), **backbone}
  return ssap.SSAPSettings(
      backbone=settings_by_name.variant_settings('resnet101', **backbone),
      decoder_channels=8, branch_channels=8)


@pytest.fixture(scope='module')
def model():
  """A built model with weights that matter."""
  model = ssap.SSAP(_tiny(), 3)
  model(tf.zeros([1, 65, 65, 3]))
  harness.randomize(model)
  return model


@pytest.fixture(scope='module')
def graph(model):
  return tf.function(model, input_signature=[
      tf.TensorSpec([None, None, None, 3], tf.float32)])


@pytest.mark.parametrize('size', [(1, 1), (65, 129), (66, 40)])
def test_any_size_in_eager_mode_and_in_a_graph_of_unknown_size(
    model, graph, size):
  images = tf.random.stateless_normal([2, *size, 3], [1, 2])
  outputs = model(images)
  assert outputs['semantic_logits'].shape == (2, *size, 3)
  padded = [64 * max(-(-(n - 1) // 64), 1) for n in size]
  for stride in windows.STRIDES:
    of_level = tuple(n // stride + 1 for n in padded)
    for kind, channels in (('semantic', 3), ('affinity', 25)):
      key = f'{kind}_logits_{stride}'
      assert outputs[key].shape == (2, *of_level, channels)
      assert outputs[key].dtype == tf.float32
  for key, output in graph(images).items():
    np.testing.assert_allclose(output, outputs[key], atol=1e-4, err_msg=key)


def test_the_finest_logits_are_those_of_the_image(model):
  images = tf.random.stateless_normal([1, 66, 129, 3], [1, 2])
  outputs = model(images)
  np.testing.assert_allclose(
      outputs['semantic_logits'][:, ::4, ::4],
      outputs['semantic_logits_4'][:, :17, :33], atol=1e-4)
  small = model(images, small_logits=True)
  np.testing.assert_array_equal(
      small['semantic_logits'], outputs['semantic_logits_4'])
  half = model(images, output_size=(33, 65))
  assert half['semantic_logits'].shape == (1, 33, 65, 3)


def test_a_training_step_moves_all_parts(model):
  images = tf.random.stateless_normal([2, 65, 65, 3], [1, 2])
  label = np.zeros([2, 65, 65], np.int32)
  label[:, 10:50, 10:40] = 11
  label[:, 20:40, 30:60] = 12
  ones = tf.ones([2, 65, 65])
  targets = {
      'semantic': tf.constant(label // 10), 'semantic_weight': ones,
      'is_counted': tf.ones_like(label, tf.bool),
      'is_instance': tf.constant(label > 0)}
  settings = affinity_settings.AffinityLossSettings(
      level_weights=(1, 1, 1, 1, 1))

  def step():
    with tf.GradientTape() as tape:
      outputs = model(images, training=True, small_logits=True)
      loss = tf.reduce_sum(losses.ssap_losses(
          outputs, targets, ignore_label=9, panoptic=tf.constant(label),
          settings=settings)['total_loss'])
    return loss, tape.gradient(loss, model.trainable_variables)

  before, gradients = step()
  weights = model.get_weights()
  size = tf.linalg.global_norm(gradients)
  for variable, gradient in zip(model.trainable_variables, gradients):
    assert np.isfinite(gradient).all(), variable.name
    assert np.any(gradient), variable.name
    variable.assign_sub(1e-2 * gradient / size)
  assert step()[0] < before
  model.set_weights(weights)


def test_mixed_precision_and_xla_agree_with_full_precision(model):
  images = tf.random.stateless_normal([1, 65, 65, 3], [1, 2])
  expected = model(images)
  compiled = tf.function(model, jit_compile=True)(images)
  with harness.precision('mixed_bfloat16'):
    mixed = ssap.SSAP(_tiny(), 3)
    mixed(images)
    mixed.set_weights(model.get_weights())
    outputs = mixed(images)
  for key, values in expected.items():
    np.testing.assert_allclose(compiled[key], values, atol=1e-4, err_msg=key)
    assert outputs[key].dtype == tf.float32
    scale = np.abs(values).max()
    assert np.abs(outputs[key] - values).mean() < 0.05 * scale


def test_a_model_is_restored_from_its_config(model, tmp_path):
  names.check(model)
  images = tf.random.stateless_normal([1, 65, 65, 3], [1, 2])
  clone = ssap.SSAP.from_config(model.get_config())
  assert clone.get_config() == model.get_config()
  expected, _ = model(images), clone(images)
  path = tf.train.Checkpoint(model=model).write(str(tmp_path / 'ckpt'))
  tf.train.Checkpoint(model=clone).read(path).assert_consumed()
  for key, output in clone(images).items():
    np.testing.assert_array_equal(output, expected[key], err_msg=key)


@pytest.mark.parametrize('settings', [
    _tiny(), _tiny(output_stride=16), dataclasses.replace(
        _tiny(), backbone=xception.XceptionSettings(
            width_multiplier=0.125, middle_modules=1, output_stride=8),
        window=3)])
def test_multiply_adds_of_other_backbones_equal_the_profiler(settings):
  # Atrous convolutions are counted on whole tiles.
  size = (129, 193) if settings.backbone.output_stride == 32 else None
  model = ssap.SSAP(settings, 3)
  with pytest.raises(errors.UserError, match='built'):
    model.multiply_adds(65, 65)
  outputs = model(tf.zeros([1, 65, 65, 3]))
  assert outputs['affinity_logits_64'].shape == (
      1, 2, 2, settings.window**2)
  if size:
    counted = profiler.multiply_adds(model, [1, *size, 3])
    assert model.multiply_adds(*size) == counted
    assert model.multiply_adds(128, 140) == counted
    assert model.multiply_adds(128, 140, padded=False) < counted


def test_the_row_of_the_paper():
  row = variants.VARIANTS['ssap_resnet101']
  assert row.settings == ssap.SSAPSettings()
  assert row.is_panoptic and not row.published
  assert settings_by_name.panoptic_settings(
      'ssap_resnet101', window=3).window == 3


@pytest.mark.parametrize('make, message', [
    (lambda: ssap.SSAPSettings(window=4), 'an odd number from 3 on'),
    (lambda: ssap.SSAPSettings(window=1), 'an odd number from 3 on'),
    (lambda: ssap.SSAPSettings(decoder_channels=0), 'at least 1'),
    (lambda: ssap.SSAPSettings(axial_resnet.AxialResNetSettings(
        stem='small')), 'for small images'),
])
def test_bad_settings(make, message):
  with pytest.raises(errors.UserError, match=message):
    make()
