"""Chunks of any number of rows, and the graphs that a backend builds."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.keras2 import keras
from axial_tf.layers.attention import backends, chunks
from axial_tf.layers.attention import layer as attention_layer


@pytest.mark.parametrize('count', [1, 4, 7, 8])
@pytest.mark.parametrize('static', [True, False])
def test_chunks_equal_the_whole(count, static):
  def function(rows):
    x, empty = rows
    assert empty is None
    return [x * 2.0, x[:, 0]], [tf.reduce_sum(x)]

  @tf.function(input_signature=[
      tf.TensorSpec([count if static else None, 3], tf.float32)])
  def chunked(x):
    return chunks.apply(function, (x, None), 3)

  x = np.random.default_rng(0).normal(size=[count, 3]).astype(np.float32)
  outputs, sums = chunked(x)
  np.testing.assert_allclose(outputs[0], 2 * x)
  np.testing.assert_allclose(outputs[1], x[:, 0])
  np.testing.assert_allclose(sums[0], x.sum(), rtol=1e-5)


@pytest.mark.parametrize('count, chunk, computed', [
    (5, 1000, 5), (7, 3, 9), (8, 4, 8), (9, 8, 10)])
@pytest.mark.parametrize('static', [True, False])
def test_chunks_are_no_larger_than_needed(count, chunk, computed, static):
  @tf.function(input_signature=[tf.TensorSpec([count if static else None, 3])])
  def rows_computed(x):
    _, (total,) = chunks.apply(
        lambda x: ([], [tf.shape(x)[0]]), x, chunk)
    return total

  total = int(rows_computed(tf.zeros([count, 3])))
  # Where the count is known, more chunks may avoid all padding.
  assert count <= total <= computed


def test_no_rows_give_no_rows():
  outputs, sums = tf.function(
      lambda x: chunks.apply(
          lambda rows: ([rows + 1], [tf.reduce_sum(rows)]), x, 2),
      input_signature=[tf.TensorSpec([None, 3])])(tf.zeros([0, 3]))
  assert outputs[0].shape == (0, 3) and sums[0] == 0


def _with_chunks(span, backend, chunk_bytes):
  """Returns a layer whose weights, also of batch norms, are random."""
  keras.utils.set_random_seed(0)
  layer = attention_layer.AxialAttention(
      4, 8, heads=2, span=span, backend=backend, chunk_bytes=chunk_bytes)
  layer(tf.zeros([1, 2, 5]))
  random = np.random.default_rng(0)
  for weight in layer.weights:
    weight.assign(random.uniform(0.5, 1.5, weight.shape))
  return layer


@pytest.mark.parametrize('shape, span, chunk_bytes', [
    ([2, 7, 11, 5], None, 3 * 2 * 4 * 7 * 7),
    ([2, 7, 11, 5], None, 4 * 7 * 7),
    ([1, 70, 5, 5], 9, 2 * 5 * 2 * 4 * 14 * 22)])
def test_groups_of_unknown_sizes_give_the_same(shape, span, chunk_bytes):
  inputs = tf.random.stateless_normal(shape, [1, 2])
  signature = [tf.TensorSpec([None, None, None, 5])]
  layer = _with_chunks(span, 'matmul', chunk_bytes)
  unknown = tf.function(layer, input_signature=signature)
  tf.debugging.assert_near(unknown(inputs), layer(inputs), atol=1e-5)
  assert unknown(inputs[:0]).shape == (0, *shape[1:3], 8)


@pytest.mark.parametrize('backend, shape, span, stride, chunk_bytes', [
    ('fused', [2, 7, 11, 5], None, 1, 3 * 2 * 4 * 7 * 7),
    ('matmul', [2, 7, 11, 5], None, 1, 4 * 7 * 7),
    ('matmul', [3, 7, 1, 5], None, 2, 2 * 2 * 4 * 4 * 7),
    ('fused', [1, 70, 5, 5], 9, 1, 2 * 5 * 2 * 4 * 14 * 22),
    ('matmul', [1, 70, 5, 5], 9, 2, 2 * 5 * 2 * 4 * 7 * 22)])
def test_inference_is_the_same_in_any_groups_of_rows(
    backend, shape, span, stride, chunk_bytes):
  inputs = tf.random.stateless_normal(shape, [1, 2])
  outputs = [
      tf.function(functools.partial(
          _with_chunks(span, backend, size), stride=stride))(inputs)
      for size in (chunk_bytes, 1 << 30)]
  tf.debugging.assert_near(*outputs, atol=1e-5)


def test_inference_has_vectors_of_one_group_of_rows_at_a_time():
  layer = _with_chunks(None, 'matmul', 6 * 2 * 4 * 7 * 7)

  graph = tf.function(layer).get_concrete_function(
      tf.TensorSpec([1, 7, 12, 5])).graph
  # A function that the loop calls.
  products = [
      [size.size for size in shape.dim]
      for function in graph.as_graph_def(add_shapes=True).library.function
      for node in function.node_def if node.op == 'MatMul'
      for shape in node.attr['_output_shapes'].list.shape]
  assert products == [[6 * 7, 4 + 4 + 8]]


def test_the_backward_pass_computes_nothing_again_before_its_gradient():
  layer = _with_chunks(None, 'matmul', None)

  def step(x):
    with tf.GradientTape() as tape:
      outputs = tf.identity(layer(x, training=True), 'outputs')
      loss = tf.reduce_sum(tf.square(outputs))
    return tape.gradient(loss, layer.trainable_variables)

  graph = tf.function(step).get_concrete_function(
      tf.TensorSpec([1, 7, 3, 5])).graph
  after, waiting = set(), [graph.get_operation_by_name('outputs')]
  while waiting:
    operation = waiting.pop()
    if operation not in after:
      after.add(operation)
      waiting += operation._control_outputs
      waiting += [x for out in operation.outputs for x in out.consumers()]
  projections = [x for x in graph.get_operations()
                 if x.type == 'MatMul' and x.outputs[0].shape == (21, 16)]
  forward, backward = projections
  assert forward not in after and backward in after


def test_use_sets_all_layers_of_a_model_and_restores_them():
  layers = [attention_layer.AxialAttention(4, 4, heads=2, chunk_bytes=5)
            for _ in range(2)]
  model = keras.Sequential(layers)
  with pytest.raises(KeyError):
    with backends.use(model, 'matmul', 7):
      assert [(x.settings.backend, x.settings.chunk_bytes) for x in layers
              ] == [('matmul', 7)] * 2
      raise KeyError
  assert [(x.settings.backend, x.settings.chunk_bytes) for x in layers
          ] == [('auto', 5)] * 2


def _graphs(function, *arguments):
  """Definitions of a function's graph and of all functions that it calls."""
  graph = function.get_concrete_function(*arguments).graph.as_graph_def()
  return [graph.node, *(f.node_def for f in graph.library.function)]


def test_compiles_only_static_sizes_and_never_when_disabled():
  layer = attention_layer.AxialAttention(8, 16, heads=2)
  static = tf.TensorSpec([None, 9, 6])
  layer(tf.zeros([1, 9, 6]))

  def compiled(spec):
    return any(
        'jit' in key.lower() or 'xla' in key.lower()
        for nodes in _graphs(tf.function(lambda x: layer(x)), spec)
        for node in nodes for key, value in node.attr.items() if value.b)

  assert compiled(static)
  assert not compiled(tf.TensorSpec([None, None, 6]))
  with backends.use(layer, 'matmul'):
    assert not compiled(static)


def test_no_tensor_of_a_training_step_has_the_size_of_the_maps():
  rows, heads, length = 64, 4, 64
  layer = attention_layer.AxialAttention(
      8, 16, heads=heads, backend='matmul', chunk_bytes=1 << 19)
  layer(tf.zeros([1, length, 6]))

  @tf.function
  def step(x):
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(layer(x, training=True) ** 3)
    return tape.gradient(loss, layer.trainable_variables)

  inputs = tf.random.stateless_normal([rows, length, 6], [1, 2])
  metadata = step.get_concrete_function(inputs).graph.as_graph_def(
      add_shapes=True)
  nodes = [*metadata.node, *(
      node for f in metadata.library.function for node in f.node_def)]
  sizes = [
      np.prod([d.size for d in shape.dim]) for node in nodes
      for shape in node.attr['_output_shapes'].list.shape
      if not shape.unknown_rank]
  assert len(metadata.library.function) > 1
  assert 0 < max(sizes) < rows * heads * length * length / 4


@pytest.mark.parametrize('span, training, stride, least', [
    (None, False, 1, 4 * 40 * 40), (None, False, 2, 4 * 20 * 40),
    (None, True, 2, 4 * 40 * 40), (5, False, 1, 4 * 14 * 18)])
def test_a_chunk_holds_a_whole_map(span, training, stride, least):
  def run(chunk_bytes):
    return attention_layer.AxialAttention(
        4, 4, heads=2, span=span, chunk_bytes=chunk_bytes)(
            tf.zeros([1, 40, 4]), training=training, stride=stride)

  assert run(least).shape[1] == -(-40 // stride)
  with pytest.raises(errors.UserError, match=(
      f'AttentionSettings.chunk_bytes: expected at least {least}, .* on an '
      f'axis of 40 positions, got {least - 1}; None takes')):
    run(least - 1)
