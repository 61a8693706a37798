"""Compares a layer with the reference numbers of one oracle file."""

import numpy as np
import tensorflow as tf

from axial_tf.keras2 import keras
from axial_tf.training import checkpoints
from tests.models import deeplab2_weights


def check_against(layer: keras.layers.Layer, oracle) -> None:
  """Checks inference, training, all gradients and the moving statistics.

  Args:
    layer: not built yet.
    oracle: loaded arrays, as described in oracles/README.md.
  """
  inputs = tf.constant(oracle['input'])
  layer(inputs)
  deeplab2_weights.assign(
      layer, deeplab2_weights.with_prefix(oracle, 'w:'))
  _close(layer(inputs), oracle['output_inference'], 'inference')

  with tf.GradientTape() as tape:
    tape.watch(inputs)
    outputs = layer(inputs, training=True)
    loss = tf.reduce_sum(outputs * oracle['cotangent'])
  _close(outputs, oracle['output_training'], 'training')
  variables = layer.trainable_variables
  gradients = tape.gradient(loss, [inputs, *variables])
  _close(gradients[0], oracle['grad_input'], 'input gradient')
  references = deeplab2_weights.reference_arrays(
      layer, deeplab2_weights.with_prefix(oracle, 'g:'))
  assert len(references) == len(variables)
  names = {variable.ref(): name
           for name, variable in checkpoints.places(layer).items()}
  for variable, gradient in zip(variables, gradients[1:]):
    name = names[variable.ref()]
    _close(gradient, references[name], f'gradient of {name}')

  moved = deeplab2_weights.reference_arrays(
      layer, deeplab2_weights.with_prefix(oracle, 'after_train:'))
  for variable in layer.non_trainable_variables:
    name = names[variable.ref()]
    if name in moved:
      np.testing.assert_allclose(
          variable.numpy(), moved[name], atol=1e-6, rtol=1e-6, err_msg=name)


def _close(actual, expected, what):
  # Relative to the largest entry: the gradient of the logits' beta is zero but
  # for rounding, and elements of a gradient are sums of large terms.
  tolerance = 1e-5 * max(10.0, np.abs(expected).max())
  np.testing.assert_allclose(
      actual, expected, rtol=0, atol=tolerance, err_msg=what)
