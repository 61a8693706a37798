import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.layers import (
  axial_block,
  convolution,
  drop_path,
  normalization,
  stem,
)
from tests.layers import harness, oracle_check


@pytest.mark.parametrize('name,strides', [
    ('block_s1_identity', 1), ('block_s2_proj', 2)])
def test_block_meets_reference(name, strides, oracle):
  oracle_check.check_against(
      axial_block.AxialBlock(32, heads=4, strides=strides),
      oracle(f'deeplab2/{name}'))


@pytest.mark.parametrize('make', [
    lambda: axial_block.AxialBlock(8, heads=2, strides=2, span=3),
    lambda: convolution.ConvNorm(4, 3, strides=2),
    lambda: convolution.SeparableConvNorm(4, 5),
    lambda: stem.Stem('resnet', 4, pooling=True),
    lambda: stem.Stem('inception', 4),
    lambda: drop_path.DropPath(0.0),
])
def test_harness(make):
  harness.check_layer(make, [2, 9, 7, 3])


def test_new_block_is_its_shortcut():
  block = axial_block.AxialBlock(4, heads=2)
  inputs = tf.random.stateless_normal([2, 5, 4, 8], [1, 2])
  np.testing.assert_array_equal(block(inputs), tf.nn.relu(inputs))


def test_strided_block_of_equal_channels_subsamples_its_shortcut():
  block = axial_block.AxialBlock(4, heads=2, strides=2)
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
  with pytest.raises(errors.UserError, match="'resnet' or 'inception'"):
    stem.Stem('vgg')
  with pytest.raises(errors.UserError, match='multiple of heads'):
    axial_block.AxialBlock(12, heads=8)
