import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.inference import attention_probe
from axial_tf.layers.residual import basic, bottleneck
from axial_tf.models import (
  backbones,
  hybrid_resnet,
  panoptic_decoder,
  panoptic_deeplab,
)
from tests.layers import harness, profiler


def _settings(**fields):
  return hybrid_resnet.HybridResNetSettings(**{
      'width_multiplier': 0.125, 'stem_width_multiplier': 0.125,
      'blocks': (1, 1, 2, 1), 'heads': 2, **fields})


def _kinds(model):
  """Returns the type of each block, a letter: basic, conv or axial."""
  def kind(block):
    if isinstance(block, basic.BasicBlock):
      return 'b'
    assert isinstance(block, bottleneck.Bottleneck)
    return 'c' if block.attention is None else 'a'
  return [''.join(map(kind, blocks)) for blocks in model.stages]


@pytest.mark.parametrize('fields, kinds', [
    # The first block of stage 4 reads features of stride 8.
    (dict(), ['c', 'c', 'ca', 'a']),
    (dict(wide=True), ['b', 'b', 'ba', 'a']),
    (dict(wide=True, output_stride=8), ['b', 'b', 'ba', 'a']),
    (dict(wide=True, attention_stride=None), ['b', 'b', 'bb', 'c']),
    (dict(attention_stride=2), ['a', 'a', 'aa', 'a']),
    (dict(attention_stride=4, blocks=(2, 1, 1, 1)), ['ca', 'a', 'a', 'a']),
])
def test_blocks_attend_from_their_stride_on(fields, kinds):
  assert _kinds(hybrid_resnet.HybridResNet(_settings(**fields))) == kinds


@pytest.mark.parametrize('wide, middle', [(False, 2), (True, 4)])
def test_widths(wide, middle):
  """Wide networks have as many channels in their attention as after it."""
  model = hybrid_resnet.HybridResNet(_settings(wide=wide))
  endpoints = model(tf.zeros([1, 33, 40, 3]))
  assert [endpoints[f'res{i}'].shape[-1] for i in (2, 3, 4, 5)] == [
      32, 64, 128, 256]
  attention = model.stages[3][0].attention.get_config()
  assert attention['value_channels'] == middle * 64
  assert attention['key_channels'] == middle * 32
  assert endpoints['stem'].shape == (1, 17, 20, 16)


@pytest.mark.parametrize('wide, output_stride', [
    (False, 8), (False, 32), (True, 8), (True, 16)])
def test_strides_and_odd_sizes(wide, output_stride):
  model = hybrid_resnet.HybridResNet(
      _settings(wide=wide, output_stride=output_stride))
  endpoints = model(tf.random.stateless_normal([1, 70, 33, 3], [1, 2]))
  for name, stride in {'stem': 2, 'res2': 4, 'res3': 8, 'res4': 16,
                       'res5': 32}.items():
    stride = min(stride, output_stride)
    assert endpoints[name].shape[1:3] == (-(-70 // stride), -(-33 // stride))
    assert (endpoints[name].numpy() >= 0).all()


@pytest.mark.parametrize('output_stride', [8, 16])
def test_wide_resnet_sees_the_same_at_any_output_stride(output_stride):
  """Dilation makes up for dropped strides: every second pixel is the same."""
  models = [hybrid_resnet.HybridResNet(_settings(
      wide=True, attention_stride=None, blocks=(1, 1, 2, 2),
      output_stride=stride)) for stride in (output_stride, 32)]
  images = tf.random.stateless_normal([1, 129, 97, 3], [1, 2])
  for model in models:
    model(images)
    harness.randomize(model)
  models[1].set_weights(models[0].get_weights())
  dense, sparse = (model(images)['res5'].numpy() for model in models)
  assert np.abs(sparse).max() > 0.1
  step = 32 // output_stride
  np.testing.assert_allclose(
      dense[:, ::step, ::step], sparse, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('wide', [False, True])
def test_config_restores_the_model(wide):
  settings = _settings(wide=wide, span=5, drop_path_rate=0.2)
  config = backbones.settings_to_config(settings)
  assert backbones.settings_from_config(config) == settings
  model = backbones.build(settings, 'features')
  clone = type(model).from_config(model.get_config())
  assert clone.get_config() == model.get_config()
  images = tf.random.stateless_normal([1, 17, 33, 3], [1, 2])
  model(images), clone(images)
  clone.set_weights(model.get_weights())
  np.testing.assert_array_equal(model(images)['res5'], clone(images)['res5'])


@pytest.mark.parametrize('wide, recompute', [(False, 'axial'), (True, 'all')])
def test_recomputation_changes_no_gradient(wide, recompute):
  images = tf.random.stateless_normal([2, 33, 33, 3], [1, 2])
  results = []
  for choice in (None, recompute):
    model = hybrid_resnet.HybridResNet(_settings(wide=wide, recompute=choice))
    model(images)
    harness.randomize(model)
    with tf.GradientTape() as tape:
      loss = tf.reduce_mean(tf.square(model(images, training=True)['res5']))
    results.append(tape.gradient(loss, model.trainable_variables))
  for plain, again in zip(*results):
    np.testing.assert_allclose(again, plain, rtol=1e-3, atol=1e-5)


def test_drop_path_grows_with_the_stage():
  model = hybrid_resnet.HybridResNet(_settings(wide=True, drop_path_rate=0.4))
  np.testing.assert_allclose(
      [blocks[0].get_config()['drop_path_rate'] for blocks in model.stages],
      [0.1, 0.2, 0.3, 0.4])


def test_multiply_adds_of_a_wide_resnet_are_those_of_the_profiler():
  model = hybrid_resnet.HybridResNet(
      _settings(wide=True, attention_stride=None))
  model(tf.zeros([1, 64, 48, 3]))
  assert model.multiply_adds(64, 48) == profiler.multiply_adds(
      lambda images: model(images)['res5'], [1, 64, 48, 3])


def test_attention_of_a_pixel_can_be_drawn():
  branch = panoptic_decoder.BranchSettings(8, 4, 4, 8, 8)
  model = panoptic_deeplab.PanopticDeepLab(
      panoptic_deeplab.PanopticDeepLabSettings(
          backbone=_settings(wide=True), semantic=branch, instance=branch), 3)
  images = tf.random.stateless_normal([1, 33, 49, 3], [1, 2])
  model(images)
  assert list(attention_probe.layers(model.backbone)) == [
      'stage4_block2', 'stage5_block1']
  seen = attention_probe.probe(model, images, pixel=(10, 20))
  np.testing.assert_allclose(np.sum(seen.product), 1, rtol=1e-4)


@pytest.mark.parametrize('fields, message', [
    (dict(output_stride=4), 'output_stride: expected 8, 16 or 32'),
    (dict(blocks=(1, 0, 1, 1)), 'at least one per stage'),
    (dict(attention_stride=3), 'attention_stride: expected 2, 4'),
    (dict(drop_path_rate=1.0), 'drop_path_rate'),
    (dict(width_multiplier=0.01), 'a multiple of 0.03125'),
    (dict(stem_width_multiplier=0.01), 'stem_width_multiplier'),
    (dict(span=4), 'span'),
    (dict(recompute='some'), 'recompute'),
])
def test_bad_settings(fields, message):
  with pytest.raises(errors.UserError, match=message):
    _settings(**fields)


def test_images_below_the_stride_are_refused():
  with pytest.raises(errors.UserError, match='the output stride, 16; got'):
    hybrid_resnet.HybridResNet(_settings())(tf.zeros([1, 15, 40, 3]))
