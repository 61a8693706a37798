import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.layers import convolution, normalization, stem
from axial_tf.layers.attention import settings as attention_settings
from axial_tf.layers.residual import bottleneck, drop_path
from tests.layers import harness, oracle_check, profiler


def _spatial(kind, average_pooling=False, **options):
  return bottleneck.SpatialSettings(
      kind, attention_settings.AttentionSettings(**options), average_pooling)


def _block(kind, filters, *, strides=1, dilation=1, **options):
  return bottleneck.Bottleneck(
      filters, _spatial(kind, **options), strides=strides, dilation=dilation)


def _axial(filters, *, strides=1, **options):
  return _block('axial', filters, strides=strides, **options)


@pytest.mark.parametrize('name,strides', [
    ('block_s1_identity', 1), ('block_s2_proj', 2)])
def test_block_meets_reference(name, strides, oracle):
  oracle_check.check_against(
      _axial(32, heads=4, strides=strides),
      oracle(f'deeplab2/{name}'))


@pytest.mark.parametrize('make', [
    lambda: _axial(8, heads=2, strides=2, span=3),
    lambda: _block('convolution', 4, strides=2),
    lambda: _block('convolution', 4, dilation=2),
    lambda: _block('local', 8, heads=2, strides=2, span=3),
    lambda: bottleneck.Bottleneck(4, _spatial('convolution'),
                                  activate_input=False, recompute='all'),
    lambda: convolution.ConvNorm(4, 3, strides=2),
    lambda: convolution.SeparableConvNorm(4, 5, dilation=2),
    lambda: convolution.SeparableConvNorm(4, 3, strides=2, relu_first=True),
    lambda: stem.Stem('resnet', 4, pooling=True, standardize=True),
    lambda: stem.Stem('inception', 4),
    lambda: stem.Stem('small', 4),
    lambda: stem.Stem('axial', 4, spatial=_spatial('convolution')),
    lambda: drop_path.DropPath(0.0),
])
def test_harness(make):
  harness.check_layer(make, [2, 9, 7, 3])


def test_new_block_is_its_shortcut():
  block = _axial(4, heads=2)
  inputs = tf.random.stateless_normal([2, 5, 4, 8], [1, 2])
  np.testing.assert_array_equal(block(inputs), tf.nn.relu(inputs))


def test_strided_block_of_equal_channels_subsamples_its_shortcut():
  block = _axial(4, heads=2, strides=2)
  inputs = tf.random.stateless_normal([2, 5, 4, 8], [1, 2])
  np.testing.assert_array_equal(
      block(inputs), tf.nn.relu(inputs)[:, ::2, ::2])


@pytest.mark.parametrize('size', [6, 7])
def test_strided_convolution_is_centered_on_even_pixels(size):
  """An impulse at an even pixel of any size of image gives a center tap."""
  conv = convolution.ConvNorm(1, 3, strides=2, relu=False,
                              norm=normalization.BatchNormSettings())
  image = np.zeros((1, size, size, 1), np.float32)
  image[0, 2, 4] = 1
  conv(image)
  kernel = np.arange(9, dtype=np.float32).reshape(3, 3, 1, 1)
  conv.conv.set_weights([kernel])
  outputs = conv(image).numpy()[0, ..., 0]
  np.testing.assert_allclose(outputs[1, 2], kernel[1, 1, 0, 0], rtol=1e-3)
  assert np.count_nonzero(outputs) == 1


def test_stem_standardizes_images_also_at_the_border():
  """As one that is given standardized images, whose padding is zeros."""
  pixels = np.random.default_rng(0).uniform(0, 1, [1, 9, 8, 3])
  standard = (pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
  plain = stem.Stem('resnet', 4, pooling=True)
  standardizing = stem.Stem('resnet', 4, pooling=True, standardize=True)
  plain(standard.astype(np.float32)), standardizing(np.float32(pixels))
  standardizing.set_weights(plain.get_weights())
  np.testing.assert_allclose(
      standardizing(np.float32(2 * pixels - 1)), plain(np.float32(standard)),
      atol=1e-5)


def test_drop_path_keeps_the_mean_and_drops_whole_samples():
  tf.random.set_seed(3)
  layer = drop_path.DropPath(0.25)
  inputs = tf.ones([4000, 2, 3])
  outputs = layer(inputs, training=True).numpy()
  per_sample = outputs.reshape(4000, -1)
  assert (per_sample == per_sample[:, :1]).all()
  np.testing.assert_allclose(np.unique(outputs), [0, 4 / 3], rtol=1e-6)
  assert abs(outputs.mean() - 1) < 0.05
  np.testing.assert_array_equal(layer(inputs), inputs)


def test_bad_options():
  with pytest.raises(errors.UserError, match='0 <= rate < 1'):
    drop_path.DropPath(1.0)
  with pytest.raises(errors.UserError, match="'inception', 'axial'"):
    stem.Stem('vgg')
  with pytest.raises(errors.UserError, match='multiple of heads'):
    _axial(12, heads=8)
  with pytest.raises(errors.UserError, match='side of the window'):
    _spatial('local')
  with pytest.raises(errors.UserError, match='unless the attention is axial'):
    _spatial('convolution', average_pooling=True)
  with pytest.raises(errors.UserError, match='span: expected a positive odd'):
    _spatial('axial', span=4)


def test_options_reach_the_attention():
  terms = attention_settings.AttentionTerms(key_position=False)
  config = _axial(8, heads=2, span=5, terms=terms, activation='sigmoid',
                  average_pooling=True, norm=None
                  ).attention.get_config()
  assert (config['heads'], config['span']) == (2, 5)
  assert config['activation'] == 'sigmoid'
  assert config['average_pooling'] and config['norm'] is None
  assert not config['terms']['key_position']


def test_dilated_block_sees_further():
  """The taps of a dilated 3x3 convolution are two pixels apart."""
  block = _block('convolution', 4, dilation=2)
  inputs = np.random.default_rng(0).uniform(
      0.5, 1, [1, 9, 9, 16]).astype(np.float32)
  block(inputs)
  harness.randomize(block)
  changed = inputs.copy()
  changed[0, 4, 4] += 1
  moved = np.abs(block(changed) - block(inputs))[0].max(-1) > 1e-5
  assert {tuple(i) for i in np.argwhere(moved)} == {
      (y, x) for y in (2, 4, 6) for x in (2, 4, 6)}


# Each pair of the three choices.
@pytest.mark.parametrize('recompute, kind, in_graph', [
    ('axial', 'axial', True), ('axial', 'local', False),
    ('all', 'axial', False), ('all', 'local', True)])
def test_recomputation_changes_no_result(recompute, kind, in_graph):
  """Same outputs, gradients and moving statistics, with drop path."""
  inputs = tf.random.stateless_normal([4, 6, 5, 8], [1, 2])
  results = []
  for choice in (None, recompute):
    block = bottleneck.Bottleneck(
        4, _spatial(kind, heads=2, span=3), drop_path_rate=0.5,
        recompute=choice)
    block(inputs)
    harness.randomize(block)
    for moving in block.non_trainable_variables:
      moving.assign(100 + moving)  # Far off, so that each step shows.

    def step(block=block):
      with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = block(inputs, training=True)
        loss = tf.reduce_sum(outputs * outputs)
      return outputs, tape.gradient(loss, [inputs, *block.trainable_variables])

    tf.random.set_seed(7)
    outputs, gradients = tf.function(step)() if in_graph else step()
    results.append([outputs, *gradients, *block.non_trainable_variables])
  for expected, actual in zip(*results):
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('make, shape', [
    (lambda: convolution.ConvNorm(4, 3, strides=2), [1, 9, 7, 3]),
    (lambda: convolution.SeparableConvNorm(4, 5), [1, 9, 7, 3]),
    (lambda: convolution.SeparableConvNorm(4, 3, strides=2), [1, 9, 7, 3]),
    (lambda: _block('convolution', 4, strides=2), [1, 9, 7, 3]),
    (lambda: _block('convolution', 4), [1, 9, 7, 16]),
    (lambda: stem.Stem('resnet', 4, pooling=True), [1, 9, 7, 3]),
    (lambda: stem.Stem('inception', 4), [1, 9, 7, 3]),
    (lambda: stem.Stem('small', 4, pooling=True), [1, 9, 7, 3]),
    (lambda: stem.Stem('small_inception', 4), [1, 9, 7, 3]),
])
def test_multiply_adds_are_those_of_the_profiler(make, shape):
  layer = make()
  with pytest.raises(errors.UserError, match='built'):
    layer.multiply_adds(9, 7)
  layer(tf.zeros(shape))
  assert layer.multiply_adds(*shape[1:3]) == (
      profiler.multiply_adds(layer, shape))


def test_multiply_adds_of_an_axial_block():
  block = _axial(8, heads=2, strides=2, span=3)
  block(tf.zeros([1, 9, 7, 3]))
  attention = block.attention.multiply_adds(9, 7)
  assert block.multiply_adds(9, 7) == (
      63 * 3 * 8 + attention + 20 * 8 * 16 + 20 * 3 * 16)
