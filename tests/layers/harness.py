"""Puts a Keras layer through everything that users do with layers."""

import contextlib
from typing import Callable, Sequence

import numpy as np
import tensorflow as tf

from axial_tf.keras2 import keras


@contextlib.contextmanager
def precision(policy: str):
  """Makes layers under another precision policy."""
  before = keras.mixed_precision.global_policy()
  keras.mixed_precision.set_global_policy(policy)
  try:
    yield
  finally:
    keras.mixed_precision.set_global_policy(before)


def randomize(layer: keras.layers.Layer, seed: int = 0) -> None:
  """Gives every variable of a built layer a non-trivial value."""
  rng = np.random.default_rng(seed)
  for variable in layer.variables:
    values = rng.normal(size=variable.shape) * 0.2
    if 'variance' in variable.name or 'gamma' in variable.name:
      values = 1 + np.abs(values)
    elif 'kernel' in variable.name:
      values *= 5 * np.prod(variable.shape[:-1]) ** -0.5
    variable.assign(values.astype(np.float32))


def check_layer(make: Callable[[], keras.layers.Layer],
                input_shape: Sequence[int]) -> None:
  """Checks a layer from one input to one output.

  Args:
    make: makes the layer.
    input_shape: [batch, ..., channels]; the axes in between become unknown.
  """
  inputs = np.random.default_rng(1).normal(size=input_shape).astype(np.float32)
  layer = make()
  layer(inputs)
  randomize(layer)
  expected = layer(inputs).numpy()
  assert np.isfinite(expected).all()
  _check_config(layer, inputs, expected)
  _check_functions(layer, inputs, expected)
  _check_training_step(layer, inputs)
  for policy in ('mixed_bfloat16', 'mixed_float16'):
    _check_precision(policy, make, inputs, expected)


def _check_config(layer, inputs, expected):
  clone = type(layer).from_config(layer.get_config())
  assert clone.get_config() == layer.get_config()
  clone(inputs)
  clone.set_weights(layer.get_weights())
  np.testing.assert_allclose(clone(inputs), expected, rtol=1e-5, atol=1e-5)


def _check_functions(layer, inputs, expected):
  unknown = [None] * (inputs.ndim - 1) + [inputs.shape[-1]]
  signature = [tf.TensorSpec(unknown, tf.float32)]
  dynamic = tf.function(layer, input_signature=signature)
  np.testing.assert_allclose(dynamic(inputs), expected, rtol=1e-4, atol=1e-4)
  compiled = tf.function(layer, jit_compile=True)
  np.testing.assert_allclose(compiled(inputs), expected, rtol=1e-4, atol=1e-4)


def _check_training_step(layer, inputs):
  """All gradients exist and the loss falls along them."""
  inputs = tf.constant(inputs)
  moving = [v.numpy() for v in layer.non_trainable_variables]

  def loss():
    return tf.reduce_mean(tf.square(layer(inputs, training=True) - 1))

  with tf.GradientTape() as tape:
    before = loss()
  gradients = tape.gradient(before, layer.trainable_variables)
  assert None not in gradients
  size = tf.linalg.global_norm(gradients)
  if layer.trainable_variables:
    assert size > 0
    for variable, gradient in zip(layer.trainable_variables, gradients):
      variable.assign_sub(1e-3 * gradient / size)
    assert loss() < before
  for old, new in zip(moving, layer.non_trainable_variables):
    assert not np.array_equal(old, new.numpy()), new.name


def _check_precision(policy, make, inputs, expected):
  with precision(policy):
    layer = make()
    layer(inputs)
    randomize(layer)
    outputs = layer(inputs)
    assert outputs.dtype == layer.compute_dtype != tf.float32
    assert all(v.dtype == tf.float32 for v in layer.variables)
    error = np.abs(tf.cast(outputs, tf.float32) - expected)
    assert np.median(error) < 0.03 * np.abs(expected).max()
    with tf.GradientTape() as tape:
      loss = tf.reduce_mean(tf.cast(layer(inputs, training=True), tf.float32))
    for gradient in tape.gradient(loss, layer.trainable_variables):
      assert np.isfinite(gradient).all()


def check_head_order(
    layer: keras.layers.Layer, inputs, heads: int, key_depth: int,
    value_depth: int, tolerance: float) -> None:
  """Checks that permuting the heads permutes the channels.

  Args:
    layer: an attention layer with all its terms.
    inputs: a batch for it.
    heads: number of heads.
    key_depth: channels of a query or key of one head.
    value_depth: channels of a value of one head.
    tolerance: absolute.
  """
  layer(inputs)
  randomize(layer)
  before = layer(inputs).numpy()
  order = np.random.default_rng(2).permutation(heads)
  assert (order != np.arange(heads)).any()

  def permute(array, count):  # [..., heads * count] within each part
    parts = array.reshape(*array.shape[:-1], heads, count)
    return parts[..., order, :].reshape(array.shape)

  for variable in layer.variables:
    value = variable.numpy()
    if 'qkv' in variable.name:
      ends = [heads * key_depth, 2 * heads * key_depth]
      query, key, content = np.split(value, ends, axis=-1)
      value = np.concatenate(
          [permute(query, key_depth), permute(key, key_depth),
           permute(content, value_depth)], axis=-1)
    elif 'logit' in variable.name:
      value = permute(value.reshape(3, heads), 1).reshape(-1)
    elif 'output' in variable.name:
      value = permute(value.reshape(2, -1), value_depth).reshape(-1)
    variable.assign(value)
  np.testing.assert_allclose(
      layer(inputs), permute(before, value_depth), atol=tolerance)
