"""From heads to rows of heads, and back.

Tensors of an attention layer have rows and heads as one axis n, heads
innermost.
"""

import tensorflow as tf

from axial_tf.layers import graph_ops
from axial_tf.layers.shapes import sizes


def to_rows(values: tf.Tensor, rows: graph_ops.Size) -> tf.Tensor:
  """Repeats what heads share: [heads, w] -> [rows * heads, 1, w]."""
  return graph_ops.reshape(
      graph_ops.tile(values, [rows, 1]), [-1, 1, sizes(values)[1]])


def over_rows(values: tf.Tensor, heads: int) -> tf.Tensor:
  """Sums over the rows: [rows * heads, ...] -> [heads, ...]."""
  return graph_ops.reduce_sum(
      graph_ops.reshape(values, [-1, heads, *sizes(values)[1:]]), 0)
