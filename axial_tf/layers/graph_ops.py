"""Operations whose shapes, axes and tables are constants shared in a graph.

TensorFlow makes new constants for each reshape, transpose or sum; in a network
of attention layers these are half of all operations, and tables of positions
are most of the bytes of a compiled program.
"""

from typing import Any, Callable, Hashable, List, Sequence, Union

import numpy as np
import tensorflow as tf

from axial_tf.layers import precision

Size = Union[int, tf.Tensor]
Value = Union[int, float, Sequence[int], np.ndarray, tf.Tensor]


def constant(value: Value, dtype: tf.DType) -> tf.Tensor:
  """Returns a constant, the same tensor for equal values in a graph.

  Args:
    value: numbers; a tensor is cast only.
    dtype: type of the constant.
  """
  if tf.is_tensor(value):
    return tf.cast(value, dtype)
  array = np.asarray(value, dtype.as_numpy_dtype)
  return once((dtype, array.shape, array.tobytes()),
              lambda: tf.constant(array))


def once(key: Hashable, make: Callable[[], Any]) -> Any:
  """Returns make(), in a graph the same result for equal keys.

  Replicas, which may be parts of one graph, have results of their own: those
  of another device would be copied at each step.

  Args:
    key: what the result follows from.
    make: makes tensors that depend on nothing else.
  """
  if tf.executing_eagerly():
    return make()
  graph = tf.compat.v1.get_default_graph()
  # They must not outlive the graph, which each of them refers to.
  if not hasattr(graph, '_axial_tf_once'):
    graph._axial_tf_once = {}
  found = graph._axial_tf_once
  key = tf.distribute.get_replica_context(), key
  if key not in found:
    found[key] = make()
  return found[key]


def reshape(tensor: tf.Tensor, shape: Sequence[Size]) -> tf.Tensor:
  """As tf.reshape."""
  return tf.reshape(tensor, _sizes(shape))


def transpose(tensor: tf.Tensor, order: Sequence[int]) -> tf.Tensor:
  """As tf.transpose."""
  return tf.transpose(tensor, constant(order, tf.int32))


def reduce_sum(tensor: tf.Tensor, axes: Union[int, Sequence[int]],
               keepdims: bool = False) -> tf.Tensor:
  """As tf.reduce_sum, in the type of sums."""
  return tf.reduce_sum(
      precision.widen(tensor), constant(axes, tf.int32), keepdims)


def reduce_max(tensor: tf.Tensor, axes: Union[int, Sequence[int]],
               keepdims: bool = False) -> tf.Tensor:
  """As tf.reduce_max."""
  return tf.reduce_max(tensor, constant(axes, tf.int32), keepdims)


def concat(tensors: Sequence[tf.Tensor], axis: int) -> tf.Tensor:
  """As tf.concat."""
  return tensors[0] if len(tensors) == 1 else tf.concat(
      tensors, constant(axis, tf.int32))


def split(tensor: tf.Tensor, sizes: Sequence[int], axis: int
          ) -> List[tf.Tensor]:
  """As tf.split."""
  if len(sizes) == 1:
    return [tensor]
  return tf.split(
      tensor, constant(sizes, tf.int32), constant(axis, tf.int32), len(sizes))


def tile(tensor: tf.Tensor, multiples: Sequence[Size]) -> tf.Tensor:
  """As tf.tile."""
  return tf.tile(tensor, _sizes(multiples))


def gather(tensor: tf.Tensor, indices: Value, axis: int = 0) -> tf.Tensor:
  """As tf.gather."""
  return tf.gather(tensor, constant(indices, tf.int32),
                   axis=constant(axis, tf.int32))


def add_n(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
  """As tf.add_n."""
  return tensors[0] if len(tensors) == 1 else tf.add_n(tensors)


def _sizes(values):
  if all(isinstance(value, int) for value in values):
    return constant(values, tf.int32)
  return values
