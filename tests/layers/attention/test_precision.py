"""Accelerators compute attention in the policy's type, close to float32."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.layers.attention import layer as attention_layer
from tests.layers import harness


@pytest.mark.parametrize('activation', ['softmax', 'sigmoid'])
@pytest.mark.parametrize('span', [None, 17])
@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize('policy', ['mixed_bfloat16', 'mixed_float16'])
@pytest.mark.parametrize('backend', ['einsum', 'compiled'])
def test_a_layer_in_a_short_type_is_close_to_float32(
    policy, training, span, activation, backend):
  inputs = np.random.default_rng(1).normal(
      size=(2, 65, 12, 32)).astype(np.float32)

  def outputs(backend):
    layer = attention_layer.AxialAttention(
        32, 64, heads=4, span=span, activation=activation, backend=backend,
        chunk_bytes=1 << 18)
    layer(inputs)
    harness.randomize(layer)
    return tf.function(layer)(inputs, training=training)

  expected = outputs('equation')
  with harness.precision(policy):
    actual = outputs(backend)
  assert actual.dtype == tf.as_dtype(policy.partition('_')[2])
  error = np.linalg.norm(tf.cast(actual, tf.float32) - expected)
  assert error < 2e-2 * np.linalg.norm(expected)
