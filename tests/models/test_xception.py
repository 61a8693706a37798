
import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.layers import aspp
from axial_tf.models import xception
from tests.layers import harness, profiler

_STRIDES = {'stem': 2, 'res2': 4, 'res3': 8, 'res4': 16, 'res5': 32}
_CHANNELS = {'stem': 64, 'res2': 256, 'res3': 728, 'res4': 1024, 'res5': 2048}


def _tiny(**options):
  return xception.XceptionSettings(
      **{'width_multiplier': 0.125, 'middle_modules': 1, **options})


def _images(*size):
  return tf.random.stateless_normal([1, *size, 3], [1, 2])


def _kernels(layer) -> int:
  """Counts the parameters as the paper does: without those of batch norms."""
  return sum(np.prod(v.shape) for v in layer.trainable_variables
             if 'kernel' in v.name)


@pytest.fixture(scope='module')
def models():
  """Tiny models of each output stride, with the same weights."""
  found = {stride: xception.Xception(_tiny(output_stride=stride))
           for stride in (8, 16, 32)}
  for model in found.values():
    model(_images(1, 1))
    harness.randomize(model)
  return found


@pytest.mark.parametrize('output_stride', [8, 16, 32])
@pytest.mark.parametrize('size', [(65, 33), (64, 30), (1, 1)])
def test_endpoints_have_their_strides(output_stride, size, models):
  endpoints = models[output_stride](_images(*size))
  assert list(endpoints) == list(_STRIDES)
  for name, features in endpoints.items():
    stride = min(_STRIDES[name], output_stride)
    assert features.shape == (
        1, -(-size[0] // stride), -(-size[1] // stride), _CHANNELS[name] // 8)
    assert (features.numpy() >= 0).all()


@pytest.mark.parametrize('size', [(65, 33), (64, 50)])
@pytest.mark.parametrize('output_stride', [8, 16])
def test_dilation_adds_pixels_between_those_of_output_stride_32(
    output_stride, size, models):
  """The same weights give the same features where the grids meet."""
  images = _images(*size)
  expected, endpoints = models[32](images), models[output_stride](images)
  for name, stride in _STRIDES.items():
    step = max(1, stride // output_stride)
    scale = np.abs(expected[name]).max()
    assert scale > 0
    np.testing.assert_allclose(
        endpoints[name][:, ::step, ::step] / scale, expected[name] / scale,
        atol=1e-4, err_msg=name)


def test_counts_of_panoptic_deeplab():
  """46.7M parameters and 547.7B multiply-adds, 1024 x 2048 (tables 2 and 9).

  What is counted here is Xception-71 with two ASPPs and with the decoders and
  heads of section 3.2 for 19 classes: 46.5M and 536.3B.
  """
  model = xception.Xception(xception.XceptionSettings())
  model(tf.zeros([1, 1, 1, 3]))
  assert _kernels(model) == 40_090_760
  assert model.multiply_adds(1024, 2048) == 461_896_744_960
  pyramid = aspp.ASPP(256)
  pyramid(tf.zeros([1, 1, 1, 2048]))
  parameters = _kernels(model) + 2 * _kernels(pyramid)
  multiply_adds = (model.multiply_adds(1024, 2048)
                   + 2 * pyramid.multiply_adds(64, 128))
  stride4, stride8 = 256 * 512, 128 * 256
  # Channels of 'res3', 'res2', of the decoder, hidden and last of each head.
  for res3, res2, decoder, heads in (
      (64, 32, 256, [(256, 19)]), (32, 16, 128, [(32, 1), (32, 2)])):
    at_stride8 = 728 * res3 + (256 + res3) * (25 + decoder)
    at_stride4 = 256 * res2 + (decoder + res2) * (25 + decoder) + sum(
        decoder * (25 + hidden) + hidden * last for hidden, last in heads)
    parameters += at_stride8 + at_stride4
    multiply_adds += at_stride8 * stride8 + at_stride4 * stride4
  assert abs(parameters - 46.7e6) < 0.01 * 46.7e6
  assert abs(multiply_adds - 547.7e9) < 0.03 * 547.7e9


@pytest.mark.parametrize('output_stride', [16, 32])
def test_multiply_adds_meet_the_profiler(output_stride, models):
  model = models[output_stride]
  expected = profiler.multiply_adds(
      lambda images: model(images)['res5'], [1, 64, 32, 3])
  assert model.multiply_adds(64, 32) == expected


def test_middle_modules_and_drop_path_reach_the_modules():
  model = xception.Xception(_tiny(middle_modules=3, drop_path_rate=0.3))
  rates = [block.get_config()['drop_path_rate'] for block in model.blocks]
  np.testing.assert_allclose(rates, [0.1] * 5 + [0.2] * 3 + [0.3] * 2)


@pytest.mark.parametrize('output_stride,expected', [
    (32, [1] * 8), (16, [1] * 7 + [2]), (8, [1] * 5 + [2, 2, 4])])
def test_dilations(output_stride, expected):
  model = xception.Xception(_tiny(output_stride=output_stride))
  assert [block.get_config()['dilation'] for block in model.blocks] == expected


def test_config_restores_the_model():
  settings = _tiny(output_stride=8, drop_path_rate=0.1)
  model = xception.Xception(settings, name='backbone')
  clone = xception.Xception.from_config(model.get_config())
  assert clone.get_config() == model.get_config()
  assert clone.name == 'backbone'
  images = _images(33, 20)
  expected, _ = model(images), clone(images)
  clone.set_weights(model.get_weights())
  np.testing.assert_allclose(clone(images)['res5'], expected['res5'], atol=1e-6)


def test_a_graph_of_unknown_size_trains_every_variable():
  model = xception.Xception(_tiny())
  images = tf.random.stateless_normal([2, 65, 48, 3], [1, 2])
  model(images)

  @tf.function(input_signature=[
      tf.TensorSpec([None, None, None, 3], tf.float32)])
  def gradients(batch):
    with tf.GradientTape() as tape:
      endpoints = model(batch, training=True)
      loss = tf.add_n([tf.reduce_mean(f ** 2) for f in endpoints.values()])
    return tape.gradient(loss, model.trainable_variables)

  for variable, gradient in zip(model.trainable_variables, gradients(images)):
    assert np.isfinite(gradient).all(), variable.name
    assert 'gamma' not in variable.name or np.any(gradient), variable.name


def test_bad_settings():
  for field, value in (
      ('output_stride', 4), ('middle_modules', 0), ('drop_path_rate', 1.0),
      ('width_multiplier', 0.3), ('width_multiplier', 0.0)):
    with pytest.raises(errors.UserError, match=f'XceptionSettings.{field}'):
      xception.XceptionSettings(**{field: value})
  with pytest.raises(errors.UserError, match='seen no input'):
    xception.Xception(_tiny()).multiply_adds(64, 64)
