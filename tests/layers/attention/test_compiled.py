"""Attention that XLA compiles: shared programs without large constants."""

import tensorflow as tf

from axial_tf import devices
from axial_tf.layers.attention import layer as attention_layer
from tests.layers import harness


def _step(layers):
  @tf.function(autograph=False)
  def step(x):
    with tf.GradientTape() as tape:
      outputs = x
      for layer in layers:
        outputs = layer(outputs, training=True)
      loss = tf.reduce_sum(outputs ** 2)
    return tape.gradient(
        loss, [v for layer in layers for v in layer.trainable_variables])

  return step


def _programs(layers, x):
  """Names of the compiled functions that a training step calls."""
  graph = _step(layers).get_concrete_function(x).graph
  return [op.get_attr('f').name for op in graph.get_operations()
          if op.type in ('PartitionedCall', 'StatefulPartitionedCall')
          and op.node_def.attr['_XlaMustCompile'].b]


def test_layers_of_equal_shapes_share_programs():
  x = tf.zeros([2, 9, 5, 8])
  layers = [attention_layer.AxialAttention(
      8, 8, heads=2, backend='compiled') for _ in range(3)]
  for layer in layers:
    layer(x)
  names = _programs(layers, x)
  assert len(names) == 6
  assert len(set(names)) == 2  # Forward and backward.


def test_auto_compiles_on_gpus():
  layer = attention_layer.AxialAttention(8, 8, heads=2)
  x = tf.zeros([2, 9, 5, 8])
  layer(x)
  found = []
  for device in ('gpu', 'tpu'):
    with devices.target(device):
      found.append(len(_programs([layer], x)))
  # For a TPU, TensorFlow compiles the whole program.
  assert found == [2, 0]


def test_no_images_give_no_outputs():
  layer = attention_layer.AxialAttention(8, 16, span=5, backend='einsum')
  layer(tf.zeros([1, 9, 5, 8]))
  for run in (layer, tf.function(layer, input_signature=[
      tf.TensorSpec([None, 40, 5, 8])])):
    assert run(tf.zeros([0, 40, 5, 8])).shape == (0, 40, 5, 16)


def test_layers_of_two_types_share_a_graph():
  x = tf.random.stateless_normal([2, 40, 3, 8], [1, 2])
  layers = []
  for policy in ('float32', 'float64'):
    with harness.precision(policy):
      layers.append(attention_layer.AxialAttention(
          8, 16, span=5, backend='einsum'))
      layers[-1](x)
  layers[1].set_weights(layers[0].get_weights())
  single, double = tf.function(
      lambda x: [layer(x, training=True) for layer in layers])(x)
  tf.debugging.assert_near(tf.cast(double, tf.float32), single, atol=1e-4)


def test_sizes_unknown_while_tracing_are_not_compiled():
  layer = attention_layer.AxialAttention(8, 8, heads=2, backend='compiled')
  layer(tf.zeros([2, 9, 5, 8]))
  assert not _programs([layer], tf.TensorSpec([None, None, None, 8]))


def test_programs_compute_positions_and_masks_of_a_local_span():
  """Tables would be stored at each use, megabytes for this layer alone."""
  layer = attention_layer.AxialAttention(8, 16, span=65, backend='einsum')
  x = tf.zeros([1, 257, 257, 8])
  layer(x[:, :9, :9])
  step = tf.function(_step([layer]).python_function, jit_compile=True)
  program = step.experimental_get_compiler_ir(x)(stage='hlo_serialized')
  assert len(program) < 700_000


def test_programs_for_tpus_compute_large_matrices():
  """A short axis of many rows; its matrices have 5 MB."""
  layer = attention_layer.AxialAttention(32, 64)
  x = tf.zeros([8, 56, 56, 64])
  layer(x[:, :9, :9])
  step = tf.function(layer, jit_compile=True)
  with devices.target('tpu'):
    text = step.experimental_get_compiler_ir(x)(stage='hlo')
  assert '[3136,448]' in text  # All queries and keys, all values.
  assert len(text) < 400_000
