import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.layers.attention import settings as attention_settings
from axial_tf.models import axial_resnet, settings_by_name
from axial_tf.training import checkpoints
from tests.layers import harness, profiler
from tests.models import deeplab2_weights


def _reference_model(dtype='float32'):
  settings = settings_by_name.variant_settings(
      'axial_deeplab_s', width_multiplier=0.25, stem_width_multiplier=0.25,
      blocks=(1, 2, 2, 1), span=0, stem_pooling=False)
  return axial_resnet.AxialResNet(settings, name='backbone', dtype=dtype)


def _load(model, oracle):
  weights = deeplab2_weights.with_prefix(oracle, 'w:encoder/')
  deeplab2_weights.assign(model, weights)


@pytest.fixture(scope='module')
def reference(oracle):
  """The reference arrays, and the model with their weights."""
  arrays = oracle('deeplab2/backbone_small_os16')
  model = _reference_model()
  model(arrays['input:65x65'])
  _load(model, arrays)
  return arrays, model


@pytest.mark.parametrize('size', ['65x65', '129x97', '64x96'])
def test_endpoints_meet_reference(size, reference):
  arrays, model = reference
  endpoints = model(arrays[f'input:{size}'])
  assert list(endpoints) == ['stem', 'res2', 'res3', 'res4', 'res5']
  for name, features in endpoints.items():
    expected = arrays[f'out:{size}:{name.replace("stem", "res1")}']
    np.testing.assert_allclose(
        features, expected, rtol=0, atol=2e-5, err_msg=name)


def test_training_meets_reference_in_float64(oracle):
  weights = oracle('deeplab2/backbone_small_os16')
  reference = oracle('deeplab2/backbone_small_train_65x65_f64')
  expected = deeplab2_weights.with_prefix(reference, 'g:encoder/')
  with harness.precision('float64'):
    model = _reference_model('float64')
    images = tf.constant(weights['input:65x65'], tf.float64)
    model(images)
    _load(model, weights)
    with tf.GradientTape() as tape:
      tape.watch(images)
      outputs = model(images, training=True)['res5']
      loss = tf.reduce_sum(
          outputs * _cotangent(model, images, expected))
    variables = model.trainable_variables
    gradients = tape.gradient(loss, [images, *variables])
  np.testing.assert_allclose(outputs, reference['train_out'], atol=1e-10)
  scale = np.abs(reference['train_grad_input']).max()
  np.testing.assert_allclose(
      gradients[0] / scale, reference['train_grad_input'] / scale, atol=1e-8)
  expected = deeplab2_weights.reference_arrays(model, expected)
  names = {variable.ref(): name
           for name, variable in checkpoints.places(model).items()}
  for variable, gradient in zip(variables, gradients[1:]):
    name = names[variable.ref()]
    scale = max(1.0, np.abs(expected[name]).max())
    np.testing.assert_allclose(
        gradient / scale, expected[name] / scale, atol=1e-8, err_msg=name)


def _cotangent(model, images, gradients):
  """Recovers the gradient at 'res5' from those of the last layer.

  The file does not hold it. Per channel, the gradient of the last kernel
  determines that of the convolution's output, as there are fewer pixels (50)
  than inputs (256); batch norm's backward pass is then solved for the rest.
  """
  features = model.stem(images, training=True)
  *blocks, last = [block for stage in model.stages for block in stage]
  for block in blocks:
    features = block(features, training=True)
  branch = last.reduce(tf.nn.relu(features), training=True)
  branch = tf.nn.relu(last.attention(branch, training=True))
  shape = [*branch.shape[:3], -1]
  convolved = last.expand.conv(branch).numpy().reshape(50, -1)
  path = '_stage5/_block1/_conv3_bn/'
  kernel, gamma, beta = (gradients[path + name] for name in (
      '_conv/kernel', '_batch_norm/gamma', '_batch_norm/beta'))
  inputs = branch.numpy().reshape(50, -1)
  at_conv = np.linalg.lstsq(inputs.T, kernel[0, 0], rcond=None)[0]
  sigma = np.sqrt(convolved.var(0) + 1e-3)
  standard = (convolved - convolved.mean(0)) / sigma
  at_output = (at_conv * sigma / last.expand.norm.gamma.numpy()
               + beta / 50 + standard * gamma / 50)
  return at_output.reshape(shape)


@pytest.mark.parametrize('variant,count', [
    # Trainable variables of DeepLab2's models, whose stem is not scaled; that
    # of axial_deeplab_l is counted in test_panoptic_deeplab.
    ('axial_resnet_s', 11_466_912), ('axial_deeplab_s', 11_565_856)])
def test_published_counts(variant, count):
  model = axial_resnet.AxialResNet(settings_by_name.variant_settings(
      variant, stem_width_multiplier=1.0))
  model(tf.zeros([1, 33, 33, 3]))
  assert sum(np.prod(v.shape) for v in model.trainable_variables) == count


@pytest.mark.parametrize('overrides, stem_stride', [
    (dict(variant='axial_resnet_s'), 4),
    (dict(variant='axial_deeplab_s', stem_pooling=False), 2)])
def test_sizes_round_up(overrides, stem_stride):
  settings = settings_by_name.variant_settings(
      width_multiplier=0.125, blocks=(1, 1, 1, 1), heads=4, **overrides)
  model = axial_resnet.AxialResNet(settings)
  endpoints = model(tf.random.stateless_normal([1, 40, 33, 3], [1, 2]))
  assert endpoints['stem'].shape[1:3] == (
      -(-40 // stem_stride), -(-33 // stem_stride))
  filters = 32
  for name, stride in {'res2': 4, 'res3': 8, 'res4': 16, 'res5': 32}.items():
    stride = min(stride, settings.output_stride)
    assert endpoints[name].shape == (
        1, -(-40 // stride), -(-33 // stride), filters)
    assert (endpoints[name].numpy() >= 0).all()
    filters *= 2


@pytest.mark.parametrize('spatial', ['axial', 'convolution'])
@pytest.mark.parametrize('stem, pooling, first', [
    ('small', False, 1), ('small_inception', True, 2)])
def test_small_stems_keep_small_images_large(stem, pooling, first, spatial):
  settings = axial_resnet.AxialResNetSettings(
      stem=stem, stem_pooling=pooling, spatial=spatial, span=None,
      width_multiplier=0.125, blocks=(1, 1, 1, 2), heads=2,
      output_stride=4 * first)
  model = axial_resnet.AxialResNet(settings)
  endpoints = model(tf.random.stateless_normal([1, 21, 16, 3], [1, 2]))
  strides = {'stem': 1, 'res2': 1, 'res3': 2, 'res4': 4, 'res5': 4}
  for name, stride in strides.items():
    assert endpoints[name].shape[1:3] == (
        -(-21 // (first * stride)), -(-16 // (first * stride)))
  if spatial == 'convolution':
    assert model.multiply_adds(32, 16) == profiler.multiply_adds(
        model, [1, 32, 16, 3])


@pytest.mark.parametrize('output_stride', [8, 16, 32])
def test_output_stride(output_stride):
  settings = settings_by_name.variant_settings(
      'axial_deeplab_s', width_multiplier=0.125, blocks=(1, 1, 1, 1),
      output_stride=output_stride)
  endpoints = axial_resnet.AxialResNet(settings)(tf.zeros([1, 65, 33, 3]))
  assert endpoints['res5'].shape[1:3] == (
      64 // output_stride + 1, 32 // output_stride + 1)


def test_span_and_drop_path_reach_the_blocks():
  settings = settings_by_name.variant_settings(
      'axial_deeplab_s', width_multiplier=0.125, blocks=(1, 1, 1, 1), span=5,
      drop_path_rate=0.4)
  model = axial_resnet.AxialResNet(settings)
  configs = [blocks[0].get_config() for blocks in model.stages]
  assert [c['spatial']['attention']['span'] for c in configs] == [5] * 4
  np.testing.assert_allclose(
      [c['drop_path_rate'] for c in configs], [0.1, 0.2, 0.3, 0.4])


def test_weights_do_not_depend_on_the_image_size():
  settings = settings_by_name.variant_settings(
      'axial_resnet_s', width_multiplier=0.125, blocks=(1, 1, 1, 1))
  shapes = []
  for size in (32, 70):
    model = axial_resnet.AxialResNet(settings)
    model(tf.zeros([1, size, size, 3]))
    shapes.append([v.shape for v in model.variables])
  assert shapes[0] == shapes[1]


def test_config_restores_the_model():
  settings = settings_by_name.variant_settings(
      'axial_deeplab_s', width_multiplier=0.125, blocks=(1, 1, 2, 1), span=9)
  model = axial_resnet.AxialResNet(settings, name='features')
  clone = axial_resnet.AxialResNet.from_config(model.get_config())
  assert clone.get_config() == model.get_config()
  images = tf.random.stateless_normal([1, 17, 17, 3], [1, 2])
  model(images), clone(images)
  clone.set_weights(model.get_weights())
  np.testing.assert_array_equal(
      model(images)['res5'], clone(images)['res5'])


@pytest.mark.parametrize('overrides,message', [
    (dict(output_stride=4), 'output_stride: expected 8, 16 or 32'),
    (dict(stem='small', stem_pooling=False, output_stride=16),
     'output_stride: expected 2, 4 or 8'),
    (dict(stem='small', output_stride=32),
     'output_stride: expected 4, 8 or 16'),
    (dict(span=6), 'span: expected a positive odd number'),
    (dict(stem_span=6), 'stem_span: expected a positive odd number'),
    (dict(heads=3), 'whole number of channels'),
    (dict(width_multiplier=0.3), 'a multiple of 0.125'),
    (dict(stem_width_multiplier=0.001), 'stem_width_multiplier'),
    (dict(stem='axial', stem_width_multiplier=0.1), 'a multiple of 0.25'),
    (dict(stem='axial', standardize_images=True), 'with an axial stem'),
    (dict(blocks=(1, 0, 1, 1)), 'at least one per stage'),
    (dict(drop_path_rate=1.0), 'drop_path_rate'),
    (dict(spatial='convolution', recompute='axial'), "'all' or None"),
    (dict(spatial='local', span=0), 'no whole axis'),
    (dict(spatial='square'), 'spatial'),
])
def test_bad_settings(overrides, message):
  with pytest.raises(errors.UserError, match=message):
    settings_by_name.variant_settings('axial_deeplab_s', **overrides)


@pytest.mark.parametrize('shape', [(1, 15, 40, 3), (1, 40, 15, 3), (40, 40, 3)])
def test_images_below_the_stride_are_refused(shape):
  model = axial_resnet.AxialResNet(settings_by_name.variant_settings(
      'axial_deeplab_s', width_multiplier=0.125))
  with pytest.raises(errors.UserError, match='the output stride, 16; got'):
    model(tf.zeros(shape))


def test_attention_options_reach_the_layers():
  terms = attention_settings.AttentionTerms(content=False)
  model = axial_resnet.AxialResNet(settings_by_name.variant_settings(
      'axial_resnet_s_full', terms=terms, activation='sigmoid',
      average_pooling=True, attention_norm=False, recompute='axial'))
  blocks = [*model.stem.convs, *(b for stage in model.stages for b in stage)]
  for block in blocks:
    attention = block.attention.get_config()
    assert attention['terms']['content'] is False
    assert attention['activation'] == 'sigmoid'
    assert attention['average_pooling'] and attention['norm'] is None
  assert {b.get_config()['recompute'] for b in blocks[3:]} == {'axial'}
  assert [b.attention.get_config()['span'] for b in blocks[:4]] == [
      15, 15, 15, None]


@pytest.mark.parametrize('output_stride, dilations', [
    (32, [1, 1, 1, 1]), (16, [1, 1, 1, 2]), (8, [1, 1, 2, 4])])
def test_convolutions_after_a_dropped_stride_are_dilated(
    output_stride, dilations):
  model = axial_resnet.AxialResNet(settings_by_name.variant_settings(
      'resnet50', output_stride=output_stride, blocks=(2, 2, 2, 2)))
  assert [stage[-1].get_config()['dilation'] for stage in model.stages] == (
      dilations)
  # The first block after a dropped stride still reads features from before it.
  assert [stage[0].get_config()['dilation'] for stage in model.stages] == [
      1, *dilations[:-1]]


def test_resnet_sees_the_same_at_any_output_stride():
  """Dilation makes up for dropped strides: every second pixel is the same."""
  models = [axial_resnet.AxialResNet(settings_by_name.variant_settings(
      'resnet50', width_multiplier=0.125, blocks=(1, 1, 1, 2),
      output_stride=stride)) for stride in (16, 32)]
  images = tf.random.stateless_normal([1, 129, 129, 3], [1, 2])
  for model in models:
    model(images)
    harness.randomize(model)
  models[1].set_weights(models[0].get_weights())
  dense, sparse = (model(images)['res5'].numpy() for model in models)
  assert np.abs(sparse).max() > 0.1
  np.testing.assert_allclose(dense[:, ::2, ::2], sparse, rtol=1e-3, atol=1e-4)


def test_multiply_adds_of_a_resnet_are_those_of_the_profiler():
  model = axial_resnet.AxialResNet(settings_by_name.variant_settings(
      'resnet50', width_multiplier=0.25, blocks=(2, 1, 1, 1)))
  with pytest.raises(errors.UserError, match='built'):
    model.multiply_adds(64, 48)
  model(tf.zeros([1, 64, 48, 3]))
  assert model.multiply_adds(64, 48) == profiler.multiply_adds(
      lambda images: model(images)['res5'], [1, 64, 48, 3])


def test_multiply_adds_around_the_attention_are_those_of_the_profiler():
  """The attention's own are tested with its layers.

  The profiler would count products of the implementation there, such as those
  for statistics of the logits, rather than those of the formula.
  """
  model = axial_resnet.AxialResNet(settings_by_name.variant_settings(
      'axial_deeplab_s', width_multiplier=0.125, heads=2, span=5,
      blocks=(1, 1, 1, 1)))
  model(tf.zeros([1, 33, 48, 3]))
  convolutions = profiler.multiply_adds(
      lambda images: model(images)['res5'], [1, 33, 48, 3])
  sizes = [(9, 12), (9, 12), (5, 6), (3, 3)]
  blocks = [block for stage in model.stages for block in stage]
  attention = sum(block.attention.multiply_adds(*size)
                  for block, size in zip(blocks, sizes))
  assert model.multiply_adds(33, 48) == convolutions + attention
