import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.models import (
  axial_resnet,
  panoptic_decoder,
  panoptic_deeplab,
  settings_by_name,
)
from axial_tf.training import checkpoints
from axial_tf.weights import deeplab2
from tests.layers import harness, profiler
from tests.models import deeplab2_weights, names

BranchSettings = panoptic_decoder.BranchSettings
DecoderSettings = panoptic_decoder.DecoderSettings
_KEYS = ['semantic_logits', 'center_heatmap', 'offset']


def _tiny(**backbone):
  backbone = {'width_multiplier': 0.125, 'blocks': (1, 1, 1, 1), 'heads': 4,
              **backbone}
  return panoptic_deeplab.PanopticDeepLabSettings(
      backbone=settings_by_name.variant_settings('axial_deeplab_s', **backbone),
      semantic=BranchSettings(8, 4, 4, 8, 8),
      instance=BranchSettings(8, 4, 4, 8, 8))


def _convolutions():
  return _tiny(spatial='convolution')


@pytest.fixture(scope='module')
def reference(oracle):
  """The reference arrays, its model with its weights, and its image."""
  arrays = oracle('deeplab2/panoptic_small_noaspp')
  settings = panoptic_deeplab.PanopticDeepLabSettings(
      backbone=settings_by_name.variant_settings(
          'axial_deeplab_s', width_multiplier=0.125,
          stem_width_multiplier=0.25, span=0, stem_pooling=False),
      semantic=BranchSettings(32, 16, 8, 32, 32),
      instance=BranchSettings(16, 8, 4, 16, 8))
  model = panoptic_deeplab.PanopticDeepLab(settings, 134)
  images = tf.cast(arrays['image'], tf.float32) / 127.5 - 1
  model(images)
  deeplab2_weights.assign(
      model, deeplab2_weights.with_prefix(arrays, 'w:'))
  return arrays, model, images


def test_heads_meet_reference(reference):
  arrays, model, images = reference
  for key, output in model.heads(images).items():
    expected = arrays['raw:' + key.replace('offset', 'offset_map')]
    np.testing.assert_allclose(output, expected, atol=5e-5, err_msg=key)


def test_full_size_outputs_meet_reference(reference):
  arrays, model, images = reference
  outputs = model(images)
  assert list(outputs) == _KEYS
  for key, output in outputs.items():
    expected = arrays['post:' + key.replace('offset', 'offset_map')]
    np.testing.assert_allclose(output, expected, atol=1e-4, err_msg=key)


def test_weights_of_a_checkpoint_file_meet_reference(reference, shared_dir):
  arrays, model, images = reference
  reader = tf.train.load_checkpoint(
      str(shared_dir / 'oracles/deeplab2/panoptic_small_noaspp.ckpt'))
  suffix = '/.ATTRIBUTES/VARIABLE_VALUE'
  weights = {name[:-len(suffix)]: reader.get_tensor(name)
             for name in reader.get_variable_to_shape_map()
             if name.endswith(suffix)}
  ours = {deeplab2.our_name(name) for name in weights}
  names = checkpoints.places(model).keys()
  assert names <= ours
  deeplab2_weights.assign(model, {
      name: value for name, value in weights.items()
      if deeplab2.our_name(name) in names})
  np.testing.assert_allclose(
      model.heads(images)['semantic_logits'], arrays['raw:semantic_logits'],
      atol=5e-5)


def _graph_of_any_size(model):
  return tf.function(model, input_signature=[
      tf.TensorSpec([None, None, None, 3], tf.float32)])


@pytest.fixture(scope='module')
def local():
  """A model with a local span, and its graph of unknown size."""
  model = panoptic_deeplab.PanopticDeepLab(_tiny(span=5), 7)
  return model, _graph_of_any_size(model)


@pytest.mark.parametrize('size', [(1, 1), (1, 40), (17, 17), (18, 33)])
def test_any_size_in_eager_mode_and_in_a_graph_of_unknown_size(local, size):
  model, graph = local
  images = tf.random.stateless_normal([2, *size, 3], [1, 2])
  outputs = model(images)
  shapes = [(2, *size, 7), (2, *size), (2, *size, 2)]
  assert [outputs[key].shape for key in _KEYS] == shapes
  for key, output in graph(images).items():
    np.testing.assert_allclose(output, outputs[key], atol=1e-5, err_msg=key)


@pytest.mark.parametrize('padding, mode', [
    ('edge', 'edge'), ('gray', 'constant')])
def test_sizes_between_the_legal_ones_are_padded_inside(padding, mode):
  model = panoptic_deeplab.PanopticDeepLab(dataclasses.replace(
      _convolutions(), padding=padding), 5)
  images = np.random.default_rng(0).normal(size=[1, 20, 30, 3]).astype('f')
  padded = np.pad(images, [(0, 0), (0, 13), (0, 3), (0, 0)], mode)
  expected = model(tf.constant(padded))
  for outputs in (
      model(tf.constant(images)), _graph_of_any_size(model)(images)):
    for key, output in outputs.items():
      np.testing.assert_allclose(
          output, expected[key][:, :20, :30], atol=1e-5, err_msg=key)


def test_legal_sizes_have_no_padding():
  images = tf.random.stateless_normal([1, 33, 49, 3], [1, 2])
  for padding in ('edge', 'gray'):
    model = panoptic_deeplab.PanopticDeepLab(
        dataclasses.replace(_tiny(), padding=padding), 5)
    assert model.pad(images) is images


def test_offsets_count_pixels_of_the_map_they_are_on():
  model = panoptic_deeplab.PanopticDeepLab(_convolutions(), 5)
  images = tf.random.stateless_normal([1, 33, 49, 3], [1, 2])
  small, full = model.heads(images), model(images)
  np.testing.assert_allclose(
      full['offset'][:, ::4, ::4], 4 * small['offset'], atol=1e-6)
  np.testing.assert_allclose(
      full['center_heatmap'][:, ::4, ::4], small['center_heatmap'][..., 0],
      atol=1e-6)


@pytest.mark.parametrize('pooling', [True, False])
def test_heads_at_stride_2_see_the_stem(pooling):
  settings = dataclasses.replace(
      _tiny(spatial='convolution', stem_pooling=pooling), heads_stride=2)
  model = panoptic_deeplab.PanopticDeepLab(settings, 5)
  images = tf.random.stateless_normal([1, 33, 49, 3], [1, 2])
  small, full = model.heads(images), model(images)
  for key, channels in zip(_KEYS, (5, 1, 2)):
    assert small[key].shape == (1, 17, 25, channels)
  np.testing.assert_allclose(
      full['offset'][:, ::2, ::2], 2 * small['offset'], atol=1e-6)
  for key, output in _graph_of_any_size(model)(images).items():
    np.testing.assert_allclose(output, full[key], atol=1e-5, err_msg=key)
  sampled = model(images, output_size=(17, 25))
  for key in ('semantic_logits', 'offset'):
    np.testing.assert_allclose(
        sampled[key], full[key][:, ::2, ::2], atol=1e-6)
  shortcut = model.semantic_decoder.low_levels['detail'].conv.kernel
  stem = model.backbone.stem(images, with_detail=True)[1]
  assert stem.shape == (1, 17, 25, shortcut.shape[2])


def test_the_default_has_no_layer_of_stride_2():
  plain = panoptic_deeplab.PanopticDeepLab(_convolutions(), 5)
  fine = panoptic_deeplab.PanopticDeepLab(
      dataclasses.replace(_convolutions(), heads_stride=2), 5)
  for model in (plain, fine):
    model(tf.zeros([1, 17, 17, 3]))
  own, more = (set(checkpoints.places(model)) for model in (plain, fine))
  assert own < more
  assert {name.split('/')[1] for name in more - own} == {
      'detail_projection', 'detail_fusion'}


def test_the_offset_scale_multiplies_offsets_alone():
  images = tf.random.stateless_uniform([1, 33, 33, 3], [1, 2], -1, 1)
  plain = panoptic_deeplab.PanopticDeepLab(_convolutions(), 3)
  scaled = panoptic_deeplab.PanopticDeepLab(
      dataclasses.replace(_convolutions(), offset_scale=16.0), 3)
  expected, _ = plain(images), scaled(images)
  scaled.set_weights(plain.get_weights())
  outputs = scaled(images)
  assert float(tf.reduce_max(tf.abs(expected['offset']))) > 0
  np.testing.assert_allclose(
      outputs['offset'], 16 * expected['offset'], rtol=1e-6)
  np.testing.assert_array_equal(
      outputs['center_heatmap'], expected['center_heatmap'])
  with pytest.raises(errors.UserError, match='offset_scale'):
    dataclasses.replace(_tiny(), offset_scale=0.0)


def test_training_step_lowers_the_loss_and_moves_all_parts():
  model = panoptic_deeplab.PanopticDeepLab(_tiny(), 5)
  images = tf.random.stateless_normal([2, 33, 33, 3], [1, 2])
  model(images)
  harness.randomize(model)

  def step():
    with tf.GradientTape() as tape:
      outputs = model(images, training=True)
      loss = tf.add_n([
          tf.reduce_mean(tf.square(output - 1)) for output in outputs.values()])
    return loss, tape.gradient(loss, model.trainable_variables)

  before, gradients = step()
  size = tf.linalg.global_norm(gradients)
  for variable, gradient in zip(model.trainable_variables, gradients):
    assert np.isfinite(gradient).all(), variable.name
    variable.assign_sub(1e-3 * gradient / size)
  assert step()[0] < before


def test_mixed_precision_returns_float32_near_full_precision():
  images = tf.random.stateless_normal([1, 33, 33, 3], [1, 2])
  model = panoptic_deeplab.PanopticDeepLab(_tiny(), 5)
  expected = model(images)
  with harness.precision('mixed_bfloat16'):
    mixed = panoptic_deeplab.PanopticDeepLab(_tiny(), 5)
    mixed(images)
    mixed.set_weights(model.get_weights())
    outputs = mixed(images)
  for key, output in outputs.items():
    assert output.dtype == tf.float32
    scale = np.abs(expected[key]).max()
    assert np.abs(output - expected[key]).mean() < 0.05 * scale


@pytest.mark.slow
def test_compiles_with_xla():
  model = panoptic_deeplab.PanopticDeepLab(dataclasses.replace(
      _convolutions(), **_OPTIONS['axial']), 5)
  images = tf.random.stateless_normal([1, 33, 49, 3], [1, 2])
  expected = model(images)
  compiled = tf.function(model, jit_compile=True)(images)
  for key, output in compiled.items():
    np.testing.assert_allclose(output, expected[key], atol=1e-4, err_msg=key)


def test_checkpoint_restores_by_attribute_names(tmp_path):
  images = tf.random.stateless_normal([1, 17, 17, 3], [1, 2])
  model = panoptic_deeplab.PanopticDeepLab(_convolutions(), 5)
  expected = model(images)
  path = tf.train.Checkpoint(model=model).write(str(tmp_path / 'ckpt'))
  other = panoptic_deeplab.PanopticDeepLab(_convolutions(), 5)
  other(images)
  tf.train.Checkpoint(model=other).read(path).assert_consumed()
  np.testing.assert_array_equal(other(images)['offset'], expected['offset'])


# As counted on DeepLab2's layers, without batch norm's gamma and beta, with a
# 1x1 projection of 'res5'; and all of the backbone, where DeepLab2's is ours.
@pytest.mark.slow
@pytest.mark.parametrize('variant,millions,backbone', [
    ('axial_deeplab_s', 12.28, None), ('axial_deeplab_l', 45.11, 43_841_920)])
def test_parameter_counts(variant, millions, backbone):
  settings = panoptic_deeplab.PanopticDeepLabSettings(
      backbone=settings_by_name.variant_settings(variant))
  model = panoptic_deeplab.PanopticDeepLab(settings, 19)
  model(tf.zeros([1, 17, 17, 3]))
  count = sum(np.prod(v.shape) for v in model.trainable_variables
              if 'norm' not in v.name.split('/')[-2])
  np.testing.assert_allclose(count / 1e6, millions, atol=0.01)
  if backbone is not None:
    assert backbone == sum(
        np.prod(v.shape) for v in model.backbone.trainable_variables)


_OPTIONS = {
    'none': dict(decoder=DecoderSettings(context='none')),
    'aspp': dict(decoder=DecoderSettings(context='aspp', aspp_rates=(1, 2))),
    'axial': dict(
        decoder=DecoderSettings(fusion='axial', heads=2, span=5)),
    'res4': dict(semantic=BranchSettings(8, 4, 4, 8, 8, res4_channels=4)),
    'heads_stride': dict(heads_stride=2),
}


@pytest.mark.parametrize('option', _OPTIONS)
def test_options_run_train_and_restore(option):
  settings = dataclasses.replace(_convolutions(), **_OPTIONS[option])
  model = panoptic_deeplab.PanopticDeepLab(settings, 3, name='segmenter')
  images = tf.random.stateless_normal([1, 20, 33, 3], [1, 2])
  with tf.GradientTape() as tape:
    outputs = model(images, training=True)
    loss = tf.add_n([tf.reduce_mean(tf.square(output - 1))
                     for output in outputs.values()])
  gradients = tape.gradient(loss, model.trainable_variables)
  for variable, gradient in zip(model.trainable_variables, gradients):
    assert np.isfinite(gradient).all(), variable.name
  names.check(model)
  clone = panoptic_deeplab.PanopticDeepLab.from_config(model.get_config())
  assert clone.get_config() == model.get_config()
  assert clone.name == 'segmenter'
  clone(images)
  clone.set_weights(model.get_weights())
  np.testing.assert_array_equal(model(images)['offset'],
                                clone(images)['offset'])


@pytest.mark.parametrize('context', ['none', 'projection'])
@pytest.mark.parametrize('res4_channels, heads_stride', [
    (None, 4), (4, 4), (None, 2)])
def test_multiply_adds_are_those_of_the_profiler(
    context, res4_channels, heads_stride):
  settings = panoptic_deeplab.PanopticDeepLabSettings(
      backbone=settings_by_name.variant_settings(
          'panoptic_deeplab_resnet50', width_multiplier=0.125,
          blocks=(1, 1, 1, 1)),
      semantic=BranchSettings(8, 4, 4, 8, 8, res4_channels),
      instance=BranchSettings(8, 4, 4, 8, 8),
      decoder=DecoderSettings(context=context), heads_stride=heads_stride)
  model = panoptic_deeplab.PanopticDeepLab(settings, 3)
  with pytest.raises(errors.UserError, match='built'):
    model.multiply_adds(33, 49)
  model(tf.zeros([1, 33, 49, 3]))
  counted = profiler.multiply_adds(model, [1, 33, 49, 3])
  assert model.multiply_adds(33, 49) == counted
  # Padded to the next legal size, as call() does.
  assert model.multiply_adds(32, 40) == counted
  assert model.multiply_adds(32, 40, padded=False) < counted


@pytest.mark.parametrize('make, message', [
    (lambda: BranchSettings(res3_channels=0), 'res3_channels'),
    (lambda: DecoderSettings(context='pool'), 'context'),
    (lambda: DecoderSettings(aspp_rates=()), 'aspp_rates'),
    (lambda: DecoderSettings(span=4), 'span'),
    (lambda: dataclasses.replace(
        _tiny(), decoder=DecoderSettings(fusion='axial')), 'multiple of 32'),
    (lambda: panoptic_deeplab.PanopticDeepLabSettings(
        axial_resnet.AxialResNetSettings(stem='small')), 'for small images'),
    (lambda: dataclasses.replace(_tiny(), heads_stride=8), 'heads_stride'),
])
def test_bad_settings(make, message):
  with pytest.raises(errors.UserError, match=message):
    make()
