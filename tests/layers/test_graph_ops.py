import gc
import weakref

import numpy as np
import tensorflow as tf

from axial_tf.layers import graph_ops


def _constants(graph):
  return [o for o in graph.get_operations() if o.type == 'Const']


def test_equal_constants_of_a_graph_are_one_operation():
  @tf.function
  def turn(x):
    for _ in range(3):
      x = graph_ops.transpose(graph_ops.reshape(x, [3, 2]), [1, 0])
    return graph_ops.reduce_sum(x, [0, 1])

  concrete = turn.get_concrete_function(tf.TensorSpec([2, 3]))
  # A shape, an order and axes; [1, 0] and [0, 1] differ.
  assert len(_constants(concrete.graph)) == 3
  assert concrete(tf.ones([2, 3])) == 6


def test_types_and_shapes_tell_constants_apart():
  with tf.Graph().as_default():
    values = [graph_ops.constant(*x) for x in (
        (1, tf.int32), (1, tf.float32), ([1], tf.int32), ([[1]], tf.int32))]
    assert len({x.name for x in values}) == 4
    assert values[0] is graph_ops.constant(1, tf.int32)


def test_constants_do_not_keep_a_graph_alive():
  graph = tf.Graph()
  with graph.as_default():
    graph_ops.constant([1, 2], tf.int32)
  gone = weakref.ref(graph)
  del graph
  gc.collect()
  assert gone() is None


def test_functions_within_a_function_have_constants_of_their_own():
  """A loop's body is a graph; its constants must not leave it."""

  @tf.function
  def loop(x):
    total = tf.while_loop(
        lambda i, _: i < 3,
        lambda i, y: (i + 1, graph_ops.reshape(y, [6])), (0, x),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None])))[1]
    return graph_ops.reshape(total, [6]) + graph_ops.constant(1, tf.float32)

  np.testing.assert_array_equal(loop(tf.zeros([6])), np.ones([6]))


def test_unknown_sizes():
  turned = tf.function(
      lambda x: graph_ops.tile(graph_ops.reshape(
          x, [tf.shape(x)[0], 1, 3]), [1, tf.shape(x)[0], 1]),
      input_signature=[tf.TensorSpec([None, 3])])
  assert turned(tf.zeros([4, 3])).shape == (4, 4, 3)


def test_replicas_have_constants_on_their_own_devices(two_replicas):
  """Those of another device would be copied at each step."""

  @tf.function
  def turn():
    return two_replicas.run(
        lambda: graph_ops.reduce_sum(graph_ops.reshape(
            tf.ones([2, 3]), [3, 2]), 1))

  operations = turn.get_concrete_function().graph.get_operations()
  used = [(o, x.op) for o in operations for x in o.inputs
          if o.type in ('Reshape', 'Sum') and x.op.type == 'Const']
  assert len({o.device for o, _ in used}) == 2
  assert all(o.device == constant.device for o, constant in used)
