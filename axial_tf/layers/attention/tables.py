"""Tables of relative position embeddings r_{p-o}."""

from typing import List, NamedTuple, Sequence

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


class Gathered(NamedTuple):
  """Embeddings of the tables in use.

  Attributes:
    by_offset: r of the offsets from -reach to reach, a list of [w, d].
    of_pairs: r_{p-o} of a block, a list of [l, d, m].
  """
  by_offset: List[tf.Tensor]
  of_pairs: List[tf.Tensor]


def gather(tables: Sequence[tf.Tensor], blocks: span.Blocks) -> Gathered:
  """Gathers from tables [509, d] what a cut axis needs."""
  depths = [table.shape[-1] for table in tables]
  by_offset = graph_ops.gather(
      graph_ops.concat(tables, 1), _offset_rows(blocks))
  of_pairs = graph_ops.transpose(graph_ops.gather(
      by_offset, blocks.offset_rows), [0, 2, 1])
  return Gathered(graph_ops.split(by_offset, depths, 1),
                  graph_ops.split(of_pairs, depths, 1))


def gather_gradient(
    blocks: span.Blocks, grad_pairs: Sequence[tf.Tensor],
    grad_offsets: Sequence[tf.Tensor]) -> List[tf.Tensor]:
  """Returns the gradients of the tables.

  Args:
    blocks: as for gather().
    grad_pairs: gradients of of_pairs.
    grad_offsets: gradients of the first tensors of by_offset; those of the
      rest are 0.
  """
  depths = [grad.shape[1] for grad in grad_pairs]
  total = tf.math.unsorted_segment_sum(
      graph_ops.transpose(graph_ops.concat(grad_pairs, 1), [0, 2, 1]),
      graph_ops.constant(blocks.offset_rows, tf.int32),
      graph_ops.constant(2 * blocks.reach + 1, tf.int32))
  if grad_offsets:
    rest = sum(depths[len(grad_offsets):])
    total += tf.pad(graph_ops.concat(grad_offsets, 1), graph_ops.constant(
        [[0, 0], [0, rest]], tf.int32))
  return graph_ops.split(tf.math.unsorted_segment_sum(
      total, graph_ops.constant(_offset_rows(blocks), tf.int32),
      graph_ops.constant(TABLE_ROWS, tf.int32)), depths, 1)


def _offset_rows(blocks):
  return _rows(span.positions(-blocks.reach, blocks.reach + 1))


def _rows(offsets):
  return span.clip(offsets + (MAX_SPAN - 1), 0, TABLE_ROWS - 1)
