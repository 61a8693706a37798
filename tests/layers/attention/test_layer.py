import itertools

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.layers import normalization
from axial_tf.layers.attention import backends
from axial_tf.layers.attention import layer as attention_layer
from axial_tf.layers.attention import settings as attention_settings
from tests.layers import harness, oracle_check

AttentionTerms = attention_settings.AttentionTerms
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
      attention_layer.AxialAttention(**options), oracle(f'deeplab2/{name}'))


@pytest.mark.parametrize('name', ['attn1d_full', 'attn1d_sigmoid'])
def test_span_that_covers_the_axis_meets_reference(name, oracle):
  options = {'heads': 4, 'span': 33, **_ORACLES[name]}
  oracle_check.check_against(
      attention_layer.AxialAttention(16, 32, **options),
      oracle(f'deeplab2/{name}'))


@pytest.mark.parametrize('options', [
    {}, dict(span=41), dict(activation='sigmoid', span=7),
    dict(norm=None, span=5), dict(backend='equation', span=5)])
def test_harness(options):
  harness.check_layer(
      lambda: attention_layer.AxialAttention(8, 16, heads=2, **options),
      [2, 37, 6])


# Lengths that blocks divide and do not, that are shorter than a block, that
# the span covers, and lengths beyond the table of positions.
_LOCAL = [(1, 1), (1, 9), (7, 3), (16, 5), (37, 3), (40, 9), (50, 21),
          (97, 65), (33, 65), (45, 1), (300, 7)]


@pytest.mark.parametrize('length,span', _LOCAL)
def test_local_span_equals_the_equation(length, span):
  _check_against_equation(
      span, [length], 'sigmoid' if length == 40 else 'softmax')


# Blocks of the shortest length, and those that the span makes longer.
@pytest.mark.parametrize('span,lengths,activation', [
    (1, [45], 'softmax'), (9, [1, 7, 16, 37, 40, 300], 'sigmoid'),
    (65, [1, 33, 50, 97], 'softmax')])
def test_a_graph_of_unknown_length_equals_the_equation(
    span, lengths, activation):
  _check_against_equation(
      span, lengths, activation,
      lambda step: tf.function(step, input_signature=[
          tf.TensorSpec([None, None, 6], tf.float32)]))


def _check_against_equation(span, lengths, activation, wrap=lambda step: step):
  """Outputs and the statistics of the batch, over visible pairs only."""
  options = dict(heads=2, span=span, activation=activation)
  layer = attention_layer.AxialAttention(4, 8, **options)
  plain = attention_layer.AxialAttention(4, 8, backend='equation', **options)
  step = wrap(lambda x: [layer(x, training=t) for t in (False, True)])
  for length in lengths:
    inputs = np.random.default_rng(length).normal(size=(2, length, 6))
    inputs = inputs.astype(np.float32)
    layer(inputs), plain(inputs)
    harness.randomize(layer)
    plain.set_weights(layer.get_weights())
    # Variances of a single sample are near 0, where 1/sqrt magnifies rounding.
    for outputs, training, tolerance in zip(
        step(inputs), (False, True), (2e-5, 1e-4)):
      np.testing.assert_allclose(
          outputs, plain(inputs, training=training), atol=tolerance,
          err_msg=f'length {length}, training {training}')
    for actual, expected in zip(layer.get_weights(), plain.get_weights()):
      np.testing.assert_allclose(
          actual, expected, atol=1e-6, err_msg=f'length {length}')


# Each pair of the three choices.
@pytest.mark.parametrize('span,activation,training', [
    (None, 'softmax', True), (None, 'sigmoid', False),
    (7, 'softmax', False), (7, 'sigmoid', True)])
def test_backends_and_chunk_sizes_equal_the_equation(
    span, activation, training):
  """Outputs, all gradients and moving statistics of a step, in float64."""
  inputs = tf.random.stateless_normal([3, 40, 2, 6], [1, 2], dtype=tf.float64)
  with harness.precision('float64'):
    layer = attention_layer.AxialAttention(
        8, 16, heads=2, span=span, activation=activation)
    layer(inputs)
  harness.randomize(layer)
  initial = layer.get_weights()

  def step(x):
    with tf.GradientTape() as tape:
      tape.watch(x)
      outputs = layer(x, training=training)
      loss = tf.reduce_sum(outputs ** 3)
    return [outputs, *tape.gradient(loss, [x, *layer.trainable_variables])]

  results = []
  for backend, chunk_bytes in (
      ('equation', None), ('matmul', 1 << 30), ('matmul', 1 << 15),
      ('einsum', 1 << 15), ('lanes', 1 << 15), ('lanes', 1 << 30),
      ('compiled', 1 << 15), ('fused', 1 << 15)):
    layer.set_weights(initial)
    with backends.use(layer, backend, chunk_bytes):
      # Ordinary operations run eagerly, others and chunks in a graph.
      run = step if chunk_bytes != 1 << 15 else tf.function(step)
      results.append([*run(inputs), *layer.get_weights()])
  for other in results[1:]:
    for actual, expected in zip(other, results[0]):
      scale = max(1.0, np.abs(expected).max())
      np.testing.assert_allclose(actual / scale, expected / scale, atol=1e-10)


@pytest.mark.parametrize(
    'backend', ['matmul', 'einsum', 'lanes', 'compiled', 'fused', 'equation'])
def test_large_logits_do_not_overflow(backend):
  layer = attention_layer.AxialAttention(
      8, 16, heads=2, norm=None, backend=backend)
  inputs = 1e4 * tf.random.stateless_normal([2, 9, 6], [1, 2])
  outputs = tf.function(layer)(inputs)
  assert np.isfinite(outputs).all()
  # The largest logit alone counts.
  np.testing.assert_allclose(
      outputs, tf.function(layer)(1.001 * inputs) / 1.001, rtol=1e-3, atol=10)


def test_gradients_of_blocks_equal_those_of_one_masked_map():
  """A known length of 50 is one masked map, an unknown one has blocks."""
  layer = attention_layer.AxialAttention(4, 8, heads=2, span=35)
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
    layer = attention_layer.AxialAttention(4, 8, heads=1, span=5)
    concrete = tf.function(layer).get_concrete_function(
        tf.TensorSpec([1, length, 4], tf.float32))
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options['output'] = 'none'
    return tf.compat.v1.profiler.profile(
        concrete.graph, options=options).total_float_ops

  assert operations(1024) < 2.1 * operations(512)


def test_permuting_heads_permutes_channels():
  heads, depth = 4, 3
  layer = attention_layer.AxialAttention(heads * 2, heads * depth, heads=heads)
  inputs = np.random.default_rng(0).normal(size=(2, 11, 5)).astype(np.float32)
  harness.check_head_order(layer, inputs, heads, 2, depth, tolerance=1e-5)


def test_content_alone_does_not_know_positions():
  terms = AttentionTerms(query_position=False, key_position=False,
                         value_position=False)
  layer = attention_layer.AxialAttention(8, 8, heads=2, terms=terms)
  inputs = np.random.default_rng(0).normal(size=(1, 9, 4)).astype(np.float32)
  order = np.random.default_rng(1).permutation(9)
  np.testing.assert_allclose(
      layer(inputs[:, order]), layer(inputs).numpy()[:, order], atol=1e-5)


@pytest.mark.parametrize(
    'flags', [f for f in itertools.product([False, True], repeat=5)
              if any(f[:3]) and any(f[3:])])
def test_every_choice_of_terms_trains(flags):
  layer = attention_layer.AxialAttention(
      4, 8, heads=2, terms=AttentionTerms(*flags), span=5)
  inputs = tf.random.stateless_normal([2, 20, 4], [1, 2])
  with tf.GradientTape() as tape:
    loss = tf.reduce_sum(layer(inputs, training=True) ** 3)
  gradients = tape.gradient(loss, layer.trainable_variables)
  assert None not in gradients
  assert len(layer.trainable_variables) == 7 + sum(flags[1:3]) + flags[4]


def test_frozen_layer_uses_and_keeps_moving_statistics():
  layer = attention_layer.AxialAttention(4, 8, heads=2)
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
  single = attention_layer.AxialAttention(4, 8, heads=2)
  single(inputs)
  with strategy.scope():
    layer = attention_layer.AxialAttention(4, 8, heads=2, norm=norm)
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
    (dict(heads=0), 'positive multiple of heads'),
    (dict(backend='xla'), 'backend'),
    (dict(chunk_bytes=0), 'chunk_bytes'),
])
def test_bad_options(options, message):
  options = {'key_channels': 8, 'value_channels': 8, 'heads': 4, **options}
  with pytest.raises(errors.UserError, match=message):
    attention_layer.AxialAttention(**options)


def test_terms_need_a_logit_and_a_value():
  with pytest.raises(errors.UserError, match='content, query_position'):
    AttentionTerms(False, False, False)
  with pytest.raises(errors.UserError, match='value_content or'):
    AttentionTerms(value_content=False, value_position=False)


@pytest.mark.parametrize('length,span,stride', [
    (1, None, 2), (9, None, 2), (10, None, 3), (9, 5, 2), (64, 5, 2),
    (97, 33, 2), (98, 33, 3), (130, 65, 2)])
def test_stride_keeps_every_stride_th_output(length, span, stride):
  _check_stride([length], span, stride)


@pytest.mark.parametrize('lengths,span,stride', [
    ([1, 9, 10], None, 2), ([9, 64], 5, 2), ([97, 98, 130], 33, 3)])
def test_stride_keeps_every_stride_th_output_of_an_unknown_length(
    lengths, span, stride):
  _check_stride(lengths, span, stride, lambda call: tf.function(
      call, input_signature=[tf.TensorSpec([None, None, None, 6])]))


def _check_stride(lengths, span, stride, wrap=lambda call: call):
  layer = attention_layer.AxialAttention(4, 8, heads=2, span=span)
  call = wrap(lambda x: [
      layer(x, training=training, stride=stride) for training in (False, True)])
  for length in lengths:
    inputs = np.random.default_rng(0).normal(size=(2, length, 3, 6))
    inputs = inputs.astype(np.float32)
    layer(inputs)
    harness.randomize(layer)
    expected = [layer(inputs, training=training)[:, ::stride]
                for training in (False, True)]
    harness.randomize(layer)  # Training has moved the statistics.
    for outputs, wanted in zip(call(inputs), expected):
      np.testing.assert_allclose(
          outputs, wanted, atol=1e-4, err_msg=f'length {length}')


@pytest.mark.parametrize('length,span,stride', [
    (10, None, 3), (64, 5, 2), (130, 65, 2)])
def test_a_stride_keeps_the_gradients_of_inference(length, span, stride):
  layer = attention_layer.AxialAttention(4, 8, heads=2, span=span)
  inputs = tf.random.stateless_normal([2, length, 3, 6], [1, 2])
  layer(inputs)
  harness.randomize(layer)

  def gradients(attend):
    with tf.GradientTape() as tape:
      tape.watch(inputs)
      loss = tf.reduce_sum(tf.square(attend(inputs)))
    return tape.gradient(loss, [inputs, *layer.trainable_variables])

  for actual, expected in zip(
      gradients(lambda x: layer(x, stride=stride)),
      gradients(lambda x: layer(x)[:, ::stride])):
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-3)


def test_axes_in_between_are_attended_separately():
  layer = attention_layer.AxialAttention(4, 8, heads=2, span=9)
  inputs = np.random.default_rng(0).normal(size=(2, 40, 3, 6))
  inputs = inputs.astype(np.float32)
  layer(inputs)
  harness.randomize(layer)
  outputs = layer(inputs).numpy()
  for i in range(3):
    np.testing.assert_allclose(outputs[:, :, i], layer(inputs[:, :, i]),
                               atol=1e-5)
