"""Accelerators compute attention in the policy's type, close to float32."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.layers.attention import layer as attention_layer
from tests.layers import harness


# Each combination of two of the five choices, and of those of the first three.
@pytest.mark.parametrize('training,span,policy,activation,backend', [
    (False, None, 'mixed_bfloat16', 'softmax', 'einsum'),
    (False, None, 'mixed_float16', 'sigmoid', 'compiled'),
    (False, 17, 'mixed_bfloat16', 'sigmoid', 'compiled'),
    (False, 17, 'mixed_float16', 'softmax', 'einsum'),
    (True, None, 'mixed_bfloat16', 'sigmoid', 'einsum'),
    (True, None, 'mixed_float16', 'softmax', 'compiled'),
    (True, 17, 'mixed_bfloat16', 'softmax', 'compiled'),
    (True, 17, 'mixed_float16', 'sigmoid', 'einsum'),
    (False, None, 'mixed_bfloat16', 'softmax', 'lanes'),
    (True, None, 'mixed_bfloat16', 'softmax', 'lanes')])
def test_a_layer_in_a_short_type_is_close_to_float32(
    training, span, policy, activation, backend):
  inputs = np.random.default_rng(1).normal(
      size=(2, 65, 12, 32)).astype(np.float32)

  def outputs(backend, call):
    layer = attention_layer.AxialAttention(
        32, 64, heads=4, span=span, activation=activation, backend=backend,
        chunk_bytes=1 << 18)
    layer(inputs)
    harness.randomize(layer)
    return call(layer)(inputs, training=training)

  expected = outputs('equation', lambda layer: layer)
  with harness.precision(policy):
    actual = outputs(backend, tf.function)
  assert actual.dtype == tf.as_dtype(policy.partition('_')[2])
  error = np.linalg.norm(tf.cast(actual, tf.float32) - expected)
  assert error < 2e-2 * np.linalg.norm(expected)
