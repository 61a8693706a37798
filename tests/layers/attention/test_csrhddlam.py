"""Our attention against reference numbers of the authors' PyTorch layers."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.layers.attention import axial_2d
from axial_tf.layers.attention import layer as attention_layer
from axial_tf.weights import csrhddlam
from tests.layers import csrhddlam_weights

_CHANNELS = 32


class _OneAxis:
  """The layer of one file, with its weights: NCHW images in and out."""

  def __init__(self, name, numbers):
    self.layer = attention_layer.AxialAttention(
        _CHANNELS // 2, _CHANNELS, norm=csrhddlam_weights.NORM)
    # [b, other, length, c] of NCHW.
    self.axes = [0, 3, 2, 1] if name == 'attn_h' else [0, 2, 3, 1]
    self.strides = 2 if name.endswith('s2') else 1
    self(numbers['input'])
    csrhddlam_weights.assign(
        self.layer, csrhddlam.attention_arrays(_part(numbers, 'w:')))

  def __call__(self, images, training=False):
    lines = tf.transpose(images, self.axes)
    outputs = self.layer(tf.reshape(lines, [-1, *lines.shape[2:]]),
                         training=training)
    outputs = tf.reshape(outputs, lines.shape)
    outputs = tf.nn.avg_pool2d(outputs, self.strides, self.strides, 'VALID')
    return tf.transpose(outputs, np.argsort(self.axes))


def _part(oracle, prefix):
  return {name[len(prefix):]: oracle[name] for name in oracle.files
          if name.startswith(prefix)}


def _close(actual, expected, what):
  # Relative to the largest entry: elements of a gradient are sums of large
  # terms, and that of the logits' beta is zero but for rounding.
  np.testing.assert_allclose(
      actual, expected, rtol=0, err_msg=what,
      atol=1e-5 * max(10.0, np.abs(expected).max()))


@pytest.fixture(params=['attn_h', 'attn_w', 'attn_w_s2'])
def reference(request, oracle):
  """Numbers of one file, and our layer with its weights."""
  numbers = oracle(f'csrhddlam/{request.param}')
  return _OneAxis(request.param, numbers), numbers


def test_inference(reference):
  model, numbers = reference
  _close(model(numbers['input']), numbers['output_inference'], 'inference')


def test_training_and_gradients(reference):
  model, numbers = reference
  images = tf.constant(numbers['input'])
  with tf.GradientTape() as tape:
    tape.watch(images)
    outputs = model(images, training=True)
    loss = tf.reduce_sum(outputs * numbers['cotangent'])
  _close(outputs, numbers['output_training'], 'training')
  variables = model.layer.trainable_variables
  ours = tape.gradient(loss, [images, *variables])
  _close(ours[0], numbers['grad_input'], 'input gradient')
  theirs = csrhddlam.attention_arrays(_part(numbers, 'g:'))
  assert len(theirs) == len(variables)
  for variable, gradient in zip(variables, ours[1:]):
    name = csrhddlam_weights.name_within(variable)
    _close(gradient, theirs[name], name)


def test_moving_statistics(reference):
  """They move to the statistics of the layer as PyTorch computes it.

  The files hold none of a trained layer, so a plain computation, checked
  by the output of the file, gives them. Like Keras' unfused batch norm, ours
  averages biased variances; PyTorch normalizes by these, too, but averages
  variances n / (n - 1) times as large, n being at least 224 here. Its momentum
  of 0.1 is our 0.9.
  """
  model, numbers = reference
  lines = np.transpose(numbers['input'], model.axes)
  state = _part(numbers, 'w:')
  outputs, statistics = _in_training(
      state, lines.reshape(-1, *lines.shape[2:]).astype(np.float64))
  if model.strides == 1:
    _close(np.transpose(outputs.reshape(lines.shape), np.argsort(model.axes)),
           numbers['output_training'], 'plain computation')
  model(numbers['input'], training=True)
  moved = {name: 0.9 * state[name] + 0.1 * value
           for name, value in statistics.items()}
  expected = csrhddlam.attention_arrays({**state, **moved})
  for variable in model.layer.variables:
    name = csrhddlam_weights.name_within(variable)
    np.testing.assert_allclose(
        variable, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


def _in_training(state, lines, heads=8):
  """[b, length, c] through the PyTorch layer, in its own order of channels.

  Returns outputs and the statistics of this batch, by name in the state.
  """
  statistics = {}

  def norm(name, values):  # [..., channels]
    flat = values.reshape(-1, values.shape[-1])
    mean, variance = flat.mean(0), flat.var(0)
    statistics[f'{name}.running_mean'] = mean
    statistics[f'{name}.running_var'] = variance
    return ((values - mean) / np.sqrt(variance + 1e-5)
            * state[f'{name}.weight'] + state[f'{name}.bias'])

  batch, length, channels = lines.shape
  qkv = norm('bn_qkv', lines @ state['qkv_transform.weight'][:, :, 0].T)
  qkv = qkv.reshape(batch, length, heads, -1)
  depth = qkv.shape[-1] // 4
  query, key, value = np.split(qkv, [depth, 2 * depth], axis=-1)
  # From row to column: [depth, i, j] holds the embedding of i - j.
  difference = np.subtract.outer(np.arange(length), np.arange(length))
  relative = state['relative'][:, difference + length - 1]
  r_q, r_k, r_v = np.split(relative, [depth, 2 * depth])
  similarity = np.concatenate([
      np.einsum('bihd,bjhd->bijh', query, key),
      np.einsum('bihd,dij->bijh', query, r_q),
      np.einsum('bjhd,dji->bijh', key, r_k)], axis=-1)
  similarity = norm('bn_similarity', similarity)
  logits = similarity.reshape(batch, length, length, 3, heads).sum(3)
  weights = np.exp(logits - logits.max(2, keepdims=True))
  weights /= weights.sum(2, keepdims=True)
  found = np.stack([np.einsum('bijh,bjhd->bihd', weights, value),
                    np.einsum('bijh,dij->bihd', weights, r_v)], axis=-1)
  found = norm('bn_output', found.reshape(batch, length, -1))
  return found.reshape(batch, length, channels, 2).sum(-1), statistics


def test_two_axes_with_average_pooling(oracle):
  """The layers of a strided block: height, then width, then pooling."""
  height, width = (oracle(f'csrhddlam/{n}') for n in ('attn_h', 'attn_w_s2'))
  images = width['input']  # [2, 32, 14, 8]
  expected = _OneAxis('attn_w_s2', width)(_OneAxis('attn_h', height)(images))
  layer = axial_2d.AxialAttention2D(
      _CHANNELS // 2, _CHANNELS, strides=2, average_pooling=True,
      norm=csrhddlam_weights.NORM)
  inputs = tf.transpose(images, [0, 2, 3, 1])
  layer(inputs)
  for axis, numbers in ((layer.height_axis, height), (layer.width_axis, width)):
    csrhddlam_weights.assign(
        axis, csrhddlam.attention_arrays(_part(numbers, 'w:')))
  _close(tf.transpose(layer(inputs), [0, 3, 1, 2]), expected, 'two axes')


def test_shape_that_does_not_fit(oracle):
  arrays = csrhddlam.attention_arrays(
      _part(oracle('csrhddlam/attn_h'), 'w:'))
  layer = attention_layer.AxialAttention(
      8, 16, norm=csrhddlam_weights.NORM)
  layer(tf.zeros([1, 4, 32]))
  with pytest.raises(ValueError, match='hape'):
    csrhddlam_weights.assign(layer, arrays)
  layer = attention_layer.AxialAttention(
      _CHANNELS // 2, _CHANNELS, norm=csrhddlam_weights.NORM)
  layer(tf.zeros([1, 4, 32]))
  with pytest.raises(ValueError, match='no variables for'):
    csrhddlam_weights.assign(layer, {**arrays, 'more': np.zeros(1)})
