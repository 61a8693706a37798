import itertools

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.layers import axial_attention, normalization
from tests.layers import harness, oracle_check

AttentionTerms = axial_attention.AttentionTerms
_ORACLES = {
    'attn1d_full': {},
    'attn1d_full_s2': dict(key_channels=32, value_channels=64, heads=8),
    'attn1d_query_rpe_only': dict(
        terms=AttentionTerms(key_position=False, value_position=False)),
    'attn1d_content_only': dict(
        terms=AttentionTerms(query_position=False, key_position=False,
                             value_position=False)),
    'attn1d_nobn': dict(norm=None),
    'attn1d_sigmoid': dict(activation='sigmoid'),
}


@pytest.mark.parametrize('name', _ORACLES)
def test_meets_reference(name, oracle):
  options = {'key_channels': 16, 'value_channels': 32, 'heads': 4,
             **_ORACLES[name]}
  oracle_check.check_against(
      axial_attention.AxialAttention(**options), oracle(f'deeplab2/{name}'))


@pytest.mark.parametrize('name', ['attn1d_full', 'attn1d_sigmoid'])
def test_span_that_covers_the_axis_meets_reference(name, oracle):
  options = {'heads': 4, 'span': 33, **_ORACLES[name]}
  oracle_check.check_against(
      axial_attention.AxialAttention(16, 32, **options),
      oracle(f'deeplab2/{name}'))


@pytest.mark.parametrize('options', [
    {}, dict(span=5), dict(span=41), dict(activation='sigmoid', span=7),
    dict(norm=None, scale_logits=True)])
def test_harness(options):
  harness.check_layer(
      lambda: axial_attention.AxialAttention(8, 16, heads=2, **options),
      [2, 37, 6])


def _dense(layer, inputs, heads, key_channels, span, activation, training):
  """Local attention as one dense map with excluded pairs, from eq. 3.

  Returns outputs, and the moments of each term and head over valid pairs.
  """
  weights = {v.name.split(':')[0].split('/', 1)[1]: v.numpy()
             for v in layer.variables}

  def norm(name, x, mean, variance):
    shape = [-1] + [1] * (x.ndim - 1)
    if not training:
      mean, variance = (
          weights[f'{name}/moving_mean'], weights[f'{name}/moving_variance'])
    scale = weights[f'{name}/gamma'] / np.sqrt(variance + 1e-3)
    return (x - mean.reshape(shape)) * scale.reshape(shape) + (
        weights[f'{name}/beta'].reshape(shape))

  qkv = np.moveaxis(inputs @ weights['qkv_kernel'], -1, 0)  # [c, b, l]
  qkv = norm('qkv_norm', qkv, qkv.mean((1, 2)), qkv.var((1, 2)))
  length = inputs.shape[1]
  q, k, v = (
      part.reshape(heads, -1, *part.shape[1:]) for part in np.split(
          qkv, [key_channels, 2 * key_channels]))  # [h, d, b, l]
  offsets = np.arange(length)[None, :] - np.arange(length)[:, None]
  r_q, r_k, r_v = (weights[f'{n}_rpe'][np.clip(offsets, -254, 254) + 254]
                   for n in ('query', 'key', 'value'))
  valid = np.abs(offsets) <= (span - 1) // 2
  terms = np.concatenate([
      np.einsum('hdbl,hdbm->hblm', q, k), np.einsum('hdbl,lmd->hblm', q, r_q),
      np.einsum('hdbm,lmd->hblm', k, r_k)])
  pairs = terms[:, :, valid]
  moments = pairs.mean((1, 2)), pairs.var((1, 2))
  terms = norm('logit_norm', terms, *moments)
  logits = np.where(valid, terms.reshape(3, heads, *terms.shape[1:]).sum(0),
                    -np.inf)
  if activation == 'softmax':
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    attention = shifted / shifted.sum(-1, keepdims=True)
  else:
    attention = 1 / (1 + np.exp(-logits))
  found = np.stack([np.einsum('hblm,hdbm->hdbl', attention, v),
                    np.einsum('hblm,lmd->hdbl', attention, r_v)])
  found = found.reshape(-1, *found.shape[3:])  # [2 h d, b, l]
  found = norm('output_norm', found, found.mean((1, 2)), found.var((1, 2)))
  outputs = found.reshape(2, -1, *found.shape[1:]).sum(0)
  return np.moveaxis(outputs, 0, -1), moments


# Lengths that blocks divide and do not, that are shorter than a block, that
# the span covers, and lengths beyond the table of positions.
_LOCAL = [(1, 1), (1, 9), (7, 3), (16, 5), (37, 3), (40, 9), (50, 21),
          (97, 65), (33, 65), (45, 1), (300, 7)]


@pytest.mark.parametrize('unknown_length', [False, True])
@pytest.mark.parametrize('length,span', _LOCAL)
def test_local_span_equals_masked_dense(length, span, unknown_length):
  activation = 'sigmoid' if length == 40 else 'softmax'
  layer = axial_attention.AxialAttention(
      4, 8, heads=2, span=span, activation=activation)
  inputs = np.random.default_rng(length).normal(size=(2, length, 6))
  inputs = inputs.astype(np.float32)
  layer(inputs)
  harness.randomize(layer)
  shape = [None, None if unknown_length else length, 6]
  call = tf.function(
      layer, input_signature=[tf.TensorSpec(shape, tf.float32)])
  expected, _ = _dense(layer, inputs, 2, 4, span, activation, False)
  np.testing.assert_allclose(call(inputs), expected, atol=2e-5)
  train = tf.function(
      lambda x: layer(x, training=True),
      input_signature=[tf.TensorSpec(shape, tf.float32)])
  expected, (mean, variance) = _dense(
      layer, inputs, 2, 4, span, activation, True)
  before_mean = layer.logit_norm.moving_mean.numpy()
  before_variance = layer.logit_norm.moving_variance.numpy()
  # Variances of a single sample are near 0, where 1/sqrt magnifies rounding.
  np.testing.assert_allclose(train(inputs), expected, atol=1e-4)
  np.testing.assert_allclose(
      layer.logit_norm.moving_mean, 0.99 * before_mean + 0.01 * mean,
      atol=1e-6)
  np.testing.assert_allclose(
      layer.logit_norm.moving_variance,
      0.99 * before_variance + 0.01 * variance, atol=1e-6)


def test_gradients_of_blocks_equal_those_of_one_masked_map():
  """A known length of 50 is one masked map, an unknown one has blocks."""
  layer = axial_attention.AxialAttention(4, 8, heads=2, span=35)
  inputs = tf.constant(
      np.random.default_rng(0).normal(size=(2, 50, 6)), tf.float32)
  layer(inputs)
  harness.randomize(layer)

  def gradients(x):
    with tf.GradientTape() as tape:
      tape.watch(x)
      loss = tf.reduce_sum(layer(x, training=True) ** 3)
    return tape.gradient(loss, [x, *layer.trainable_variables])

  blocks = tf.function(gradients, input_signature=[
      tf.TensorSpec([None, None, 6], tf.float32)])
  for left, right in zip(gradients(inputs), blocks(inputs)):
    scale = max(1.0, np.abs(right).max())
    np.testing.assert_allclose(left / scale, right / scale, atol=2e-5)


def test_cost_of_local_span_is_linear():
  """Doubling the axis doubles the floating point operations."""

  def operations(length):
    layer = axial_attention.AxialAttention(4, 8, heads=1, span=5)
    concrete = tf.function(layer).get_concrete_function(
        tf.TensorSpec([1, length, 4], tf.float32))
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options['output'] = 'none'
    return tf.compat.v1.profiler.profile(
        concrete.graph, options=options).total_float_ops

  assert operations(1024) < 2.1 * operations(512)


def test_permuting_heads_permutes_channels():
  heads, depth = 4, 3
  layer = axial_attention.AxialAttention(heads * 2, heads * depth, heads=heads)
  inputs = np.random.default_rng(0).normal(size=(2, 11, 5)).astype(np.float32)
  harness.check_head_order(layer, inputs, heads, 2, depth, tolerance=1e-5)


def test_content_alone_does_not_know_positions():
  terms = AttentionTerms(query_position=False, key_position=False,
                         value_position=False)
  layer = axial_attention.AxialAttention(8, 8, heads=2, terms=terms)
  inputs = np.random.default_rng(0).normal(size=(1, 9, 4)).astype(np.float32)
  order = np.random.default_rng(1).permutation(9)
  np.testing.assert_allclose(
      layer(inputs[:, order]), layer(inputs).numpy()[:, order], atol=1e-5)


@pytest.mark.parametrize(
    'flags', [f for f in itertools.product([False, True], repeat=5)
              if any(f[:3]) and any(f[3:])])
def test_every_choice_of_terms_trains(flags):
  layer = axial_attention.AxialAttention(
      4, 8, heads=2, terms=AttentionTerms(*flags), span=5)
  inputs = tf.random.stateless_normal([2, 20, 4], [1, 2])
  with tf.GradientTape() as tape:
    loss = tf.reduce_sum(layer(inputs, training=True) ** 3)
  gradients = tape.gradient(loss, layer.trainable_variables)
  assert None not in gradients
  assert len(layer.trainable_variables) == 7 + sum(flags[1:3]) + flags[4]


def test_scaled_logits_divide_by_sqrt_of_depth():
  options = dict(heads=2, norm=None)
  plain = axial_attention.AxialAttention(8, 8, **options)
  scaled = axial_attention.AxialAttention(8, 8, scale_logits=True, **options)
  inputs = np.random.default_rng(0).normal(size=(1, 9, 4)).astype(np.float32)
  plain(inputs)
  scaled(inputs)
  scaled.set_weights(plain.get_weights())
  # Depth 4: halving q and k tables' logits is the same as halving q and k.
  kernel, *tables = plain.get_weights()
  factor = 0.5 ** 0.5
  kernel = np.concatenate([kernel[:, :16] * factor, kernel[:, 16:]], axis=1)
  tables = [tables[0] * factor, tables[1] * factor, tables[2]]
  plain.set_weights([kernel, *tables])
  np.testing.assert_allclose(scaled(inputs), plain(inputs), atol=1e-5)


def test_frozen_layer_uses_and_keeps_moving_statistics():
  layer = axial_attention.AxialAttention(4, 8, heads=2)
  inputs = tf.random.stateless_normal([2, 12, 4], [1, 2])
  layer(inputs)
  harness.randomize(layer)
  layer.trainable = False
  before = layer.get_weights()
  np.testing.assert_allclose(
      layer(inputs, training=True), layer(inputs), atol=1e-6)
  for old, new in zip(before, layer.get_weights()):
    np.testing.assert_array_equal(old, new)


def test_synchronized_replicas_act_like_one_with_the_whole_batch(
    two_replicas):
  norm = normalization.BatchNormSettings(synchronized=True)
  strategy = two_replicas
  inputs = np.random.default_rng(0).normal(size=(4, 9, 4)).astype(np.float32)
  single = axial_attention.AxialAttention(4, 8, heads=2)
  single(inputs)
  with strategy.scope():
    layer = axial_attention.AxialAttention(4, 8, heads=2, norm=norm)
    layer(inputs)
    layer.set_weights(single.get_weights())
  expected = single(inputs, training=True)
  halves = strategy.experimental_distribute_values_from_function(
      lambda context: tf.constant(
          np.split(inputs, 2)[context.replica_id_in_sync_group]))

  @tf.function
  def step(values):
    return strategy.run(lambda half: layer(half, training=True), [values])

  outputs = tf.concat(
      strategy.experimental_local_results(step(halves)), axis=0)
  np.testing.assert_allclose(outputs, expected, atol=1e-5)
  for left, right in zip(layer.get_weights(), single.get_weights()):
    np.testing.assert_allclose(left, right, atol=1e-6)


@pytest.mark.parametrize('options,message', [
    (dict(key_channels=6), 'key_channels to be a positive multiple of heads'),
    (dict(value_channels=2), 'value_channels to be a positive multiple'),
    (dict(span=4), 'odd number'),
    (dict(span=-3), 'odd number'),
    (dict(span=0), 'odd number'),
    (dict(activation='relu'), "'softmax' or 'sigmoid'"),
])
def test_bad_options(options, message):
  options = {'key_channels': 8, 'value_channels': 8, 'heads': 4, **options}
  with pytest.raises(errors.UserError, match=message):
    axial_attention.AxialAttention(**options)


def test_terms_need_a_logit_and_a_value():
  with pytest.raises(errors.UserError, match='content, query_position'):
    AttentionTerms(False, False, False)
  with pytest.raises(errors.UserError, match='value_content or'):
    AttentionTerms(value_content=False, value_position=False)


@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize('unknown_length', [False, True])
@pytest.mark.parametrize('length,span,stride', [
    (1, None, 2), (9, None, 2), (10, None, 3), (9, 5, 2), (64, 5, 2),
    (97, 33, 2), (98, 33, 3), (130, 65, 2)])
def test_stride_keeps_every_stride_th_output(
    length, span, stride, unknown_length, training):
  layer = axial_attention.AxialAttention(4, 8, heads=2, span=span)
  inputs = np.random.default_rng(0).normal(size=(2, length, 3, 6))
  inputs = inputs.astype(np.float32)
  layer(inputs)
  harness.randomize(layer)
  call = tf.function(
      lambda x: layer(x, training=training, stride=stride),
      input_signature=[tf.TensorSpec(
          [None, None if unknown_length else length, None, 6])])
  np.testing.assert_allclose(
      call(inputs), layer(inputs, training=training)[:, ::stride], atol=1e-4)


def test_axes_in_between_are_attended_separately():
  layer = axial_attention.AxialAttention(4, 8, heads=2, span=9)
  inputs = np.random.default_rng(0).normal(size=(2, 40, 3, 6))
  inputs = inputs.astype(np.float32)
  layer(inputs)
  harness.randomize(layer)
  outputs = layer(inputs).numpy()
  for i in range(3):
    np.testing.assert_allclose(outputs[:, :, i], layer(inputs[:, :, i]),
                               atol=1e-5)
