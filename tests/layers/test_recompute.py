"""What the backward pass computes again, in programs that XLA compiles."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import devices
from axial_tf.layers import recompute
from axial_tf.layers.attention import layer as attention_layer
from axial_tf.layers.attention import settings as attention_settings
from axial_tf.layers.residual import bottleneck
from tests.layers import harness


def _products(step, *operands, stage='optimized_hlo'):
  """Counts the matrix products of a program."""
  text = tf.function(step, jit_compile=True).experimental_get_compiler_ir(
      *operands)(stage=stage)
  return text.count(' dot(')


@pytest.mark.parametrize('device, products', [('cpu', 1), ('gpu', 2)])
def test_xla_does_not_know_that_the_numbers_are_the_same(device, products):
  x = tf.random.stateless_normal([64, 48], [1, 2])
  kernel = tf.random.stateless_normal([48, 40], [3, 4])

  def step(x, kernel):
    forward = tf.matmul(x, kernel)
    upstream = tf.cos(forward)
    with devices.target(device):
      again = tf.matmul(recompute.after(x, upstream), kernel)
    return upstream, again

  assert _products(step, x, kernel) == products
  for actual in step(x, kernel), tf.function(step)(x, kernel):
    np.testing.assert_array_equal(actual[1], tf.matmul(x, kernel))


@pytest.mark.parametrize('dtype', ['float32', 'float64', 'bfloat16'])
def test_upstream_of_any_type_and_no_elements(dtype):
  tensor = tf.constant([1, -2, 3], dtype)
  with devices.target('tpu'):
    found = recompute.after(tensor, tf.zeros([0, 3], dtype))
  np.testing.assert_array_equal(found, tensor)


def _gradients(layer, inputs):
  def step(inputs):
    with tf.GradientTape() as tape:
      tape.watch(inputs)
      loss = tf.reduce_sum(layer(inputs, training=True) ** 2)
    return tape.gradient(loss, [inputs, *layer.trainable_variables])

  return step


def test_a_program_for_gpus_projects_an_axis_again():
  """Else it would keep queries, keys, values and maps of all layers."""
  layer = attention_layer.AxialAttention(8, 16, heads=2, backend='einsum')
  inputs = tf.random.stateless_normal([2, 24, 20, 8], [1, 2])
  layer(inputs)
  counts = []
  for device in ('cpu', 'gpu'):
    with devices.target(device):
      counts.append(_products(_gradients(layer, inputs), inputs))
  assert counts[1] > counts[0]


def test_a_program_for_gpus_runs_the_attention_of_a_block_again():
  inputs = tf.random.stateless_normal([2, 16, 12, 16], [1, 2])
  counts, results = [], []
  for choice in (None, 'axial'):
    block = bottleneck.Bottleneck(
        4, bottleneck.SpatialSettings(
            'axial', attention_settings.AttentionSettings(heads=2)),
        recompute=choice)
    block(inputs)
    harness.randomize(block)
    with devices.target('gpu'):
      step = _gradients(block, inputs)
      counts.append(_products(step, inputs))
      results.append(tf.function(step)(inputs))
  assert counts[1] > counts[0]
  for expected, actual in zip(*results):
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)
