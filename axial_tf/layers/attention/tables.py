"""Tables of relative position embeddings r_{p-o}."""

from typing import List, Sequence

import tensorflow as tf

from axial_tf.layers import graph_ops
from axial_tf.layers.attention import span

# Offsets up to this span have rows of their own; longer ones share the
# outermost row.
MAX_SPAN = 255
TABLE_ROWS = 2 * MAX_SPAN - 1


def embeddings(table: tf.Tensor, query_positions: tf.Tensor,
               key_positions: tf.Tensor) -> tf.Tensor:
  """Returns r_{p-o} for all pairs: the table's row of each key - query offset.

  Args:
    table: [509, d]; row 254 belongs to offset 0.
    query_positions: o, int32 [l].
    key_positions: p, int32 [m].

  Returns:
    [l, m, d].
  """
  offsets = key_positions[None, :] - query_positions[:, None]
  # A slice in between makes the gradient of the table a dense tensor.
  return tf.gather(table[:TABLE_ROWS], _rows(offsets))


class Gathered:
  """Embeddings of the tables in use, with their gradient.

  Attributes:
    by_offset: r of the offsets from -reach to reach, a list of [w, d].
    of_pairs: r_{p-o} of a block, a list of [l, d, m].
  """

  def __init__(self, tables: Sequence[tf.Tensor], blocks: span.Blocks):
    """Gathers from tables [509, d] what a cut axis needs."""
    self._depths = [table.shape[-1] for table in tables]
    self._reach = blocks.reach
    self._rows = _rows(span.positions(-blocks.reach, blocks.reach + 1))
    self._pairs = blocks.offsets + blocks.reach
    by_offset = graph_ops.gather(graph_ops.concat(tables, 1), self._rows)
    self.by_offset = graph_ops.split(by_offset, self._depths, 1)
    self.of_pairs = graph_ops.split(graph_ops.transpose(
        graph_ops.gather(by_offset, self._pairs), [0, 2, 1]), self._depths, 1)

  def gradient(self, grad_pairs: Sequence[tf.Tensor],
               grad_offsets: Sequence[tf.Tensor]) -> List[tf.Tensor]:
    """Returns the gradients of the tables.

    Args:
      grad_pairs: gradients of of_pairs.
      grad_offsets: gradients of the first tensors of by_offset; those of the
        rest are 0.
    """
    total = tf.math.unsorted_segment_sum(
        graph_ops.transpose(graph_ops.concat(grad_pairs, 1), [0, 2, 1]),
        graph_ops.constant(self._pairs, tf.int32), graph_ops.constant(
            2 * self._reach + 1, tf.int32))
    if grad_offsets:
      rest = sum(self._depths[len(grad_offsets):])
      total += tf.pad(graph_ops.concat(grad_offsets, 1), graph_ops.constant(
          [[0, 0], [0, rest]], tf.int32))
    return graph_ops.split(tf.math.unsorted_segment_sum(
        total, graph_ops.constant(self._rows, tf.int32),
        graph_ops.constant(TABLE_ROWS, tf.int32)), self._depths, 1)


def _rows(offsets):
  return span.clip(offsets + (MAX_SPAN - 1), 0, TABLE_ROWS - 1)
