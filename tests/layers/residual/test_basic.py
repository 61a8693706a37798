import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.layers import stem
from axial_tf.layers.residual import basic
from tests.layers import harness, profiler


@pytest.mark.parametrize('make', [
    lambda: basic.BasicBlock(4, strides=2),
    lambda: basic.BasicBlock(3, dilation=2, recompute='all'),
    lambda: stem.Stem('wide', 2),
])
def test_harness(make):
  harness.check_layer(make, [2, 9, 7, 3])


@pytest.mark.parametrize('strides', [1, 2])
def test_new_block_is_its_shortcut(strides):
  block = basic.BasicBlock(8, strides=strides)
  inputs = tf.random.stateless_normal([2, 5, 4, 8], [1, 2])
  np.testing.assert_array_equal(
      block(inputs), tf.nn.relu(inputs)[:, ::strides, ::strides])


@pytest.mark.parametrize('dilation, last, reach', [
    (1, None, 2), (1, 2, 3), (2, 2, 4)])
def test_dilations_add_up(dilation, last, reach):
  """A pixel reaches as far as both convolutions together."""
  block = basic.BasicBlock(4, dilation=dilation, last_dilation=last)
  inputs = np.random.default_rng(0).uniform(
      0.5, 1, [1, 13, 13, 4]).astype(np.float32)
  block(inputs)
  harness.randomize(block)
  changed = inputs.copy()
  changed[0, 6, 6] += 1
  moved = np.abs(block(changed) - block(inputs))[0].max(-1) > 1e-6
  rows = np.argwhere(moved)
  assert rows.min() == 6 - reach
  assert rows.max() == 6 + reach


def test_drop_path_leaves_the_shortcut():
  block = basic.BasicBlock(8, drop_path_rate=0.999)
  inputs = tf.random.stateless_normal([2, 5, 4, 8], [1, 2])
  block(inputs)
  harness.randomize(block)
  tf.random.set_seed(1)
  np.testing.assert_array_equal(
      block(inputs, training=True), tf.nn.relu(inputs))
  assert np.abs(block(inputs) - tf.nn.relu(inputs)).max() > 0.1


@pytest.mark.parametrize('strides', [1, 2])
def test_multiply_adds_are_those_of_the_profiler(strides):
  block = basic.BasicBlock(4, strides=strides)
  with pytest.raises(errors.UserError, match='built'):
    block.multiply_adds(7, 9)
  block(tf.zeros([1, 7, 9, 3]))
  assert block.multiply_adds(7, 9) == profiler.multiply_adds(
      block, [1, 7, 9, 3])
  assert block.output_size(7, 9) == (-(-7 // strides), -(-9 // strides))
