"""Rows along the lanes of a TPU, whose number is not small.

A TPU computes on 128 numbers along the last axis at a time, and most of them
would be padding if that were a short axis of positions. Rows come in groups of
one head, [n, d, x, lane], so that heads share numbers and a chunk is some
groups; a chunk has one last axis for all of its rows: vectors and what is
retrieved [d, x, lane], maps [o, p, lane].
"""

from typing import Any, Callable, Sequence, Tuple

from axial_tf.layers import graph_ops
from axial_tf.layers.attention import chunks
from axial_tf.layers.shapes import sizes


def of_groups(function: Callable[[Any], Tuple[Sequence, Sequence]], form: str
              ) -> Callable[[Any], Tuple[Sequence, Sequence]]:
  """Returns a function of groups for one of rows, as chunks.apply() has them.

  Args:
    function: function of operands with an axis of rows: in lanes the last one.
    form: form of the chunk; unless it is 'lanes', the function itself is
      returned.
  """
  if form != 'lanes':
    return function

  def call(groups):
    outputs, sums = function(_join(groups))
    count = sizes(chunks.tensors(groups)[0])[0]
    return [_split(x, count) for x in outputs], sums

  return call


def _join(groups):
  """[n, a, b, lane] -> [a, b, n * lane]; 1 stands for all lanes."""
  tensors = chunks.tensors(groups)
  lanes = max(sizes(x)[3] for x in tensors)
  return chunks.fill(groups, [_join_one(x, lanes) for x in tensors])


def _join_one(tensor, lanes):
  count, first, second, own = sizes(tensor)
  if count == 1:
    return graph_ops.reshape(tensor, [first, second, own])
  if own < lanes:
    tensor = graph_ops.tile(tensor, [1, 1, 1, lanes])
  return graph_ops.reshape(
      graph_ops.transpose(tensor, [1, 2, 0, 3]), [first, second, count * lanes])


def _split(tensor, count):
  """[.., n * lane] -> [n, .., lane]."""
  *rest, lanes = sizes(tensor)
  return graph_ops.transpose(
      graph_ops.reshape(tensor, [*rest, count, lanes // count]),
      [len(rest), *range(len(rest)), len(rest) + 1])
