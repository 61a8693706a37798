import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.layers.residual import xception as xception_module
from tests.layers import harness, profiler


@pytest.mark.parametrize('make', [
    lambda: xception_module.XceptionModule((4, 5, 3)),
    lambda: xception_module.XceptionModule(
        (4, 5, 6), strides=2, shortcut='conv'),
    lambda: xception_module.XceptionModule(
        (4, 5, 6), dilation=2, shortcut=None),
])
def test_harness(make):
  harness.check_layer(make, [2, 9, 8, 3])


@pytest.mark.parametrize('size', [(6, 7), (1, 1), (7, 4)])
def test_a_stride_is_the_subsampled_map(size):
  options = dict(filters=(4, 5, 6), shortcut='conv')
  dense = xception_module.XceptionModule(**options)
  strided = xception_module.XceptionModule(strides=2, **options)
  inputs = np.random.default_rng(0).normal(size=[2, *size, 3])
  inputs = inputs.astype(np.float32)
  dense(inputs), strided(inputs)
  harness.randomize(dense)
  strided.set_weights(dense.get_weights())
  outputs, detail = strided(inputs, with_detail=True)
  expected, expected_detail = dense(inputs, with_detail=True)
  np.testing.assert_allclose(outputs, expected[:, ::2, ::2], atol=1e-5)
  np.testing.assert_allclose(detail, expected_detail, atol=1e-5)
  assert detail.shape == (2, *size, 5)


def test_drop_path_leaves_the_shortcut():
  module = xception_module.XceptionModule((4, 4, 3), drop_path_rate=0.999)
  inputs = tf.random.stateless_normal([1, 5, 4, 3], [1, 2])
  tf.random.set_seed(0)
  np.testing.assert_array_equal(module(inputs, training=True), inputs)


@pytest.mark.parametrize('options', [
    dict(strides=2, shortcut='conv'), dict(dilation=2, shortcut=None)],
    ids=str)
def test_multiply_adds_meet_the_profiler(options):
  module = xception_module.XceptionModule((4, 5, 6), **options)
  expected = profiler.multiply_adds(module, [1, 10, 6, 3])
  assert module.multiply_adds(10, 6) == expected


def test_bad_options():
  make = xception_module.XceptionModule
  with pytest.raises(errors.UserError, match='filters: expected three'):
    make((4, 5))
  with pytest.raises(errors.UserError, match="expected 'conv', 'sum' or None"):
    make((4, 5, 6), shortcut='pool')
  for module in (make((4, 4, 4)), make((4, 4, 3), strides=2)):
    with pytest.raises(errors.UserError, match="use 'conv'"):
      module(tf.zeros([1, 4, 4, 3]))
  with pytest.raises(errors.UserError, match='seen no input'):
    make((4, 4, 4)).multiply_adds(5, 5)
