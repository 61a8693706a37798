"""Chunks, backends and gradients over any number of rows."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.layers import attention_rows, axial_attention


@pytest.mark.parametrize('count', [1, 4, 7, 8])
@pytest.mark.parametrize('static', [True, False])
def test_chunks_give_what_the_whole_gives(count, static):
  def function(rows, shared):
    (x,), (factor,) = rows, shared
    return [x * factor, x[:, 0]], [tf.reduce_sum(x)]

  @tf.function(input_signature=[
      tf.TensorSpec([count if static else None, 3], tf.float32)])
  def chunked(x):
    return attention_rows.map_chunks(function, [x], [tf.constant(2.0)], 3)

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
    _, (total,) = attention_rows.map_chunks(
        lambda rows, _: ([], [tf.shape(rows[0])[0]]), [x], [], chunk)
    return total

  total = int(rows_computed(tf.zeros([count, 3])))
  # Where the count is known, more chunks may avoid all padding.
  assert count <= total <= computed


def test_no_rows_give_no_rows():
  outputs, sums = tf.function(
      lambda x: attention_rows.map_chunks(
          lambda rows, _: ([rows[0] + 1], [tf.reduce_sum(rows[0])]), [x], [],
          2),
      input_signature=[tf.TensorSpec([None, 3])])(tf.zeros([0, 3]))
  assert outputs[0].shape == (0, 3) and sums[0] == 0


@pytest.mark.parametrize('span', [None, 7])
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('activation', ['softmax', 'sigmoid'])
def test_backends_and_chunk_sizes_agree(
    span, activation, training):
  """Outputs, all gradients and moving statistics of a step."""
  inputs = tf.random.stateless_normal([3, 40, 2, 6], [1, 2])
  layer = axial_attention.AxialAttention(
      8, 16, heads=2, span=span, activation=activation)
  layer(inputs)
  initial = layer.get_weights()
  results = []
  for backend, size in (('matmul', 1 << 30), ('matmul', 1 << 14),
                        ('fused', 1 << 30), ('fused', 1 << 14)):
    layer.set_weights(initial)

    @tf.function
    def step(x):
      with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x, training=training)
        loss = tf.reduce_sum(outputs ** 3)
      return outputs, tape.gradient(loss, [x, *layer.trainable_variables])

    with attention_rows.backend(backend, size):
      outputs, gradients = step(inputs)
    results.append([outputs, *gradients, *layer.get_weights()])
  for other in results[1:]:
    for actual, expected in zip(other, results[0]):
      scale = max(1.0, np.abs(expected).max())
      np.testing.assert_allclose(actual / scale, expected / scale, atol=2e-5)


def _has_compiled_calls(graph):
  definition = graph.as_graph_def()
  nodes = [*definition.node, *(
      n for f in definition.library.function for n in f.node_def)]
  return any('_XlaMustCompile' in n.attr and n.attr['_XlaMustCompile'].b
             for n in nodes)


def test_compiles_static_sizes_only_and_never_when_told_not_to():
  layer = axial_attention.AxialAttention(8, 16, heads=2)
  static = tf.TensorSpec([None, 9, 6])
  layer(tf.zeros([1, 9, 6]))

  def compiled(spec):
    return _has_compiled_calls(
        tf.function(lambda x: layer(x)).get_concrete_function(spec).graph)

  assert compiled(static)
  assert not compiled(tf.TensorSpec([None, None, 6]))
  with attention_rows.backend('matmul'):
    assert not compiled(static)


def test_no_tensor_of_a_training_step_has_the_size_of_the_maps():
  rows, heads, length = 64, 4, 64
  layer = axial_attention.AxialAttention(8, 16, heads=heads)
  layer(tf.zeros([1, length, 6]))

  @tf.function
  def step(x):
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(layer(x, training=True) ** 3)
    return tape.gradient(loss, layer.trainable_variables)

  with attention_rows.backend('matmul', 1 << 19):
    graph = step.get_concrete_function(
        tf.TensorSpec([rows, length, 6])).graph
  graphs = [graph, *(
      graph._get_function(f.signature.name).graph
      for f in graph.as_graph_def().library.function
      if 'while' in f.signature.name)]
  sizes = [output.shape.num_elements() or 0 for g in graphs
           for op in g.get_operations() for output in op.outputs]
  assert len(graphs) > 1
  assert 0 < max(sizes) < rows * heads * length * length / 4
