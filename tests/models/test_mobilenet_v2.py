import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.keras2 import keras
from axial_tf.models import mobilenet_v2
from tests.layers import harness, profiler

_STRIDES = {'stem': 2, 'res2': 4, 'res3': 8, 'res4': 16, 'res5': 32}
_CHANNELS = {'stem': 16, 'res2': 24, 'res3': 32, 'res4': 96, 'res5': 320}


def _settings(**options):
  return mobilenet_v2.MobileNetV2Settings(**options)


def _images(*size):
  return tf.random.stateless_normal([1, *size, 3], [1, 2])


@pytest.fixture(scope='module')
def models():
  """Narrow models of each output stride, with the same weights."""
  found = {stride: mobilenet_v2.MobileNetV2(_settings(
      width_multiplier=0.25, output_stride=stride)) for stride in (8, 16, 32)}
  for model in found.values():
    model(_images(1, 1))
    harness.randomize(model)
  return found


def test_kernels_are_those_of_keras():
  """All but the last convolution of 1280 channels, which ours leaves out."""
  ours = mobilenet_v2.MobileNetV2(_settings(kernel_size=3, output_stride=32))
  ours(_images(1, 1))
  theirs = keras.applications.MobileNetV2(weights=None, include_top=False)
  shapes = [tuple(v.shape) for v in theirs.trainable_variables
            if 'kernel' in v.name]
  found = [tuple(v.shape) for v in ours.trainable_variables
           if 'kernel' in v.name]
  assert sorted(found) == sorted(shapes[:-1])
  assert shapes[-1] == (1, 1, 320, 1280)


@pytest.mark.parametrize('output_stride', [8, 16, 32])
@pytest.mark.parametrize('size', [(65, 33), (64, 30), (1, 1)])
def test_endpoints_have_their_strides(output_stride, size, models):
  endpoints = models[output_stride](_images(*size), with_detail=True)
  assert list(endpoints) == [*_STRIDES, 'detail']
  assert endpoints['detail'] is endpoints['stem']
  for name, stride in _STRIDES.items():
    stride = min(stride, output_stride)
    channels = models[output_stride]._scaled(_CHANNELS[name])
    assert endpoints[name].shape == (
        1, -(-size[0] // stride), -(-size[1] // stride), channels)


@pytest.mark.parametrize('output_stride', [8, 16])
def test_dilation_adds_pixels_between_those_of_output_stride_32(
    output_stride, models):
  """The same weights give the same features where the grids meet."""
  images = _images(65, 33)
  expected, endpoints = models[32](images), models[output_stride](images)
  for name, stride in _STRIDES.items():
    step = max(1, stride // output_stride)
    scale = np.abs(expected[name]).max()
    assert scale > 0
    np.testing.assert_allclose(
        endpoints[name][:, ::step, ::step] / scale, expected[name] / scale,
        atol=1e-4, err_msg=name)


@pytest.mark.parametrize('output_stride', [16, 32])
def test_multiply_adds_meet_the_profiler(output_stride, models):
  model = models[output_stride]
  expected = profiler.multiply_adds(
      lambda images: model(images)['res5'], [1, 64, 32, 3])
  assert model.multiply_adds(64, 32) == expected


@pytest.mark.parametrize('width, expected', [
    (1.0, [32, 16, 24]), (1.4, [48, 24, 32]), (0.75, [24, 16, 24]),
    (0.1, [8, 8, 8])])
def test_widths_are_those_of_mobilenet(width, expected):
  """Multiples of 8, at least 90 % of the width."""
  model = mobilenet_v2.MobileNetV2(_settings(width_multiplier=width))
  assert [model._scaled(n) for n in (32, 16, 24)] == expected


def test_config_restores_the_model():
  settings = _settings(width_multiplier=0.25, output_stride=8, kernel_size=3)
  model = mobilenet_v2.MobileNetV2(settings, name='backbone')
  clone = mobilenet_v2.MobileNetV2.from_config(model.get_config())
  assert clone.get_config() == model.get_config()
  images = _images(33, 20)
  expected, _ = model(images), clone(images)
  clone.set_weights(model.get_weights())
  np.testing.assert_allclose(clone(images)['res5'], expected['res5'], atol=1e-6)


@pytest.mark.parametrize('field, value', [
    ('width_multiplier', 0.0), ('kernel_size', 4), ('output_stride', 4)])
def test_bad_settings(field, value):
  with pytest.raises(errors.UserError, match=field):
    _settings(**{field: value})
