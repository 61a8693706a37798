"""From heads to rows of heads, and back.

Tensors of an attention layer have rows and heads as one first axis n, heads
innermost: vectors [n, d, x], what is retrieved [n, x, e], maps [n, o, p], and
what heads share [n, 1, w].

In the form 'lanes', n counts groups of rows, and the rows of a group are a last
axis: vectors [n, d, x, lane], what is retrieved [n, e, x, lane], and what heads
share [n, w, 1, 1]; see lanes.
"""

import tensorflow as tf

from axial_tf.layers import graph_ops
from axial_tf.layers.shapes import sizes


def axis_of_terms(form: str) -> int:
  """Returns the axis along which terms lie side by side: w of [n, 1, w].

  Args:
    form: form of a chunk; see chunk.
  """
  return 1 if form == 'lanes' else 2


def to_rows(values: tf.Tensor, rows: graph_ops.Size, form: str) -> tf.Tensor:
  """Repeats what heads share for all rows: [heads, w] -> [n, 1, w]."""
  width = sizes(values)[1]
  return graph_ops.reshape(
      graph_ops.tile(values, [rows, 1]),
      [-1, width, 1, 1] if form == 'lanes' else [-1, 1, width])


def over_rows(values: tf.Tensor, heads: int, form: str) -> tf.Tensor:
  """Sums over the rows: [rows * heads, ...] -> [heads, ...]."""
  rows = graph_ops.reshape(values, [-1, heads, *sizes(values)[1:]])
  return graph_ops.reduce_sum(
      rows, [0, rows.ndim - 1] if form == 'lanes' else 0)
