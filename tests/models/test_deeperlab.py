"""DeeperLab: its decoder, sizes, counts, and that it trains and restores."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.models import (
  axial_resnet,
  deeperlab,
  settings_by_name,
  space_to_depth_decoder,
  xception,
)
from tests.layers import harness, profiler
from tests.models import names

_CHANNELS = {'semantic_logits': 3, 'keypoint_logits': 5, 'long_offset': 10,
             'short_offset': 10, 'middle_offset': 16}


def _tiny(**fields):
  backbone = settings_by_name.variant_settings(
      'panoptic_deeplab_resnet50', width_multiplier=0.125,
      blocks=(1, 1, 1, 1), stem_width_multiplier=0.125)
  return deeperlab.DeeperLabSettings(**{
      'backbone': backbone, 'aspp_channels': 4, 'aspp_rates': (1,),
      'low_level_channels': 2, 'decoder_channels': 2, 'semantic_channels': 4,
      'instance_channels': 4, **fields})


@pytest.fixture(scope='module')
def model():
  """A small network whose heads are not all zero."""
  network = deeperlab.DeeperLab(_tiny(), 3, name='parser')
  network(tf.zeros([1, 17, 17, 3]))
  harness.randomize(network)
  return network


@pytest.fixture(scope='module')
def images():
  return tf.random.stateless_normal([1, 33, 49, 3], [1, 2])


def test_folding_is_a_transposition_and_unfolding_its_inverse():
  features = np.arange(2 * 8 * 12 * 3, dtype=np.float32).reshape(2, 8, 12, 3)
  folded = tf.nn.space_to_depth(features, space_to_depth_decoder.BLOCK)
  expected = features.reshape(2, 2, 4, 3, 4, 3).transpose(0, 1, 3, 2, 4, 5)
  np.testing.assert_array_equal(folded, expected.reshape(2, 2, 3, 48))
  np.testing.assert_array_equal(
      tf.nn.depth_to_space(folded, space_to_depth_decoder.BLOCK), features)


@pytest.mark.parametrize('size', [(33, 49), (32, 40), (1, 1)])
def test_heads_are_at_stride_4_and_logits_at_the_size_of_the_images(
    model, size):
  outputs = model(tf.zeros([2, *size, 3]))
  small = tuple(4 * max(-(-(n - 1) // 16), 1) + 1 for n in size)
  for key, channels in _CHANNELS.items():
    expected = size if key == 'semantic_logits' else small
    assert outputs[key].shape == (2, *expected, channels)
    assert outputs[key].dtype == tf.float32


def test_small_and_sampled_logits_are_the_full_ones(model, images):
  full, small = model(images), model(images, small_logits=True)
  sampled = model(images, output_size=(17, 25))
  logits = full['semantic_logits']
  np.testing.assert_allclose(
      logits[:, ::4, ::4], small['semantic_logits'], atol=1e-5)
  np.testing.assert_allclose(
      logits[:, ::2, ::2], sampled['semantic_logits'], atol=1e-5)
  for outputs in (small, sampled):
    np.testing.assert_array_equal(
        outputs['long_offset'], full['long_offset'])


@pytest.mark.slow
def test_a_graph_of_any_size_and_xla_give_the_same(model, images):
  expected = model(images)
  graph = tf.function(model, input_signature=[
      tf.TensorSpec([None, None, None, 3], tf.float32)])
  compiled = tf.function(model, jit_compile=True)
  for outputs in (graph(images), compiled(images)):
    for key, output in outputs.items():
      np.testing.assert_allclose(
          output, expected[key], rtol=1e-3, atol=1e-4, err_msg=key)


def test_it_trains_restores_and_names_its_weights(model, images, tmp_path):
  # Batch norm would leave nothing of a single pooled pixel.
  batch = tf.concat([images, -images], 0)
  with tf.GradientTape() as tape:
    outputs = model(batch, training=True)
    loss = tf.add_n([
        tf.reduce_mean(tf.square(output - 1)) for output in outputs.values()])
  gradients = tape.gradient(loss, model.trainable_variables)
  for variable, gradient in zip(model.trainable_variables, gradients):
    assert np.isfinite(gradient).all(), variable.name
    assert np.abs(gradient).max() > 0, variable.name
  names.check(model)

  clone = deeperlab.DeeperLab.from_config(model.get_config())
  assert clone.get_config() == model.get_config() and clone.name == 'parser'
  model.save_weights(str(tmp_path / 'weights'))
  loaded = clone.load_weights(str(tmp_path / 'weights'))
  np.testing.assert_array_equal(
      clone(images)['middle_offset'], model(images)['middle_offset'])
  loaded.assert_consumed()


def test_the_offset_scale_multiplies_offsets_alone(model, images):
  scaled = deeperlab.DeeperLab(_tiny(offset_scale=8.0), 3)
  expected, _ = model(images), scaled(images)
  scaled.set_weights(model.get_weights())
  for key, output in scaled(images).items():
    factor = 8.0 if key.endswith('_offset') else 1.0
    np.testing.assert_allclose(
        output, factor * expected[key], rtol=1e-6, err_msg=key)


def test_multiply_adds_are_those_of_the_profiler(model, images):
  fresh = deeperlab.DeeperLab(_tiny(), 3)
  with pytest.raises(errors.UserError, match='built'):
    fresh.multiply_adds(33, 49)
  counted = profiler.multiply_adds(model, images.shape)
  assert model.multiply_adds(33, 49) == counted
  # Padded to the next legal size, as call() does.
  assert model.multiply_adds(32, 40) == counted
  assert model.multiply_adds(32, 48, padded=False) < counted


def test_the_decoder_has_the_sizes_that_are_known():
  """4096 channels at stride 16, and 256 and 64 in the heads."""
  settings = deeperlab.DeeperLabSettings()
  assert isinstance(settings.backbone, xception.XceptionSettings)
  decoder = space_to_depth_decoder.SpaceToDepthDecoder(
      settings.low_level_channels, settings.decoder_channels,
      settings.kernel_size, settings.backbone.norm)
  assert decoder((tf.zeros([1, 2, 2, 256]), tf.zeros([1, 5, 5, 8]))).shape == (
      1, 5, 5, 256)
  weights = [conv.pointwise.conv.kernel.shape.as_list()
             for conv in (decoder.first, decoder.second)]
  assert weights == [[1, 1, 16 * 32 + 256, 4096], [1, 1, 4096, 4096]]
  assert decoder.first.depthwise.depthwise_kernel.shape[:2] == (7, 7)
  assert (settings.semantic_channels, settings.instance_channels) == (256, 64)


@pytest.mark.parametrize('make, message', [
    (lambda: _tiny(decoder_channels=0), 'decoder_channels'),
    (lambda: _tiny(aspp_rates=()), 'aspp_rates'),
    (lambda: _tiny(kernel_size=4), 'kernel_size: expected an odd number'),
    (lambda: _tiny(offset_scale=0.0), 'offset_scale'),
    (lambda: _tiny(padding='zero'), 'padding'),
    (lambda: _tiny(backbone=axial_resnet.AxialResNetSettings(
        output_stride=32)), 'output_stride = 16'),
    (lambda: dataclasses.replace(
        _tiny(), backbone=axial_resnet.AxialResNetSettings(stem='small')),
     "small images"),
])
def test_bad_settings(make, message):
  with pytest.raises(errors.UserError, match=message) as error:
    make()
  assert '\n' not in str(error.value)
