"""Rows along the lanes of a TPU.

A TPU computes on 128 numbers along the last axis at a time; most of them would
be padding if that were a short axis of positions. Rows are many: they come in
groups of one head, [n, d, x, lane], of which a chunk has one or all, with one
last axis for all of its rows: vectors and what is retrieved [d, x, lane], maps
[o, p, lane].
"""

from typing import Any, Callable, List, Optional, Sequence, Tuple

import tensorflow as tf

from axial_tf.layers import graph_ops
from axial_tf.layers.attention import chunks
from axial_tf.layers.shapes import sizes


def group(pixels: tf.Tensor, groups: Optional[int]) -> tf.Tensor:
  """[b, x, other, c] -> [groups, x, lane, c], with rows (b, other) as lanes.

  Attention is separate for each row, so that groups are images to an axis.

  Args:
    pixels: pixels of images.
    groups: number of groups, which divides b; None for no groups.
  """
  batch, length, other, channels = sizes(pixels)
  if groups in (None, batch):
    return pixels
  return graph_ops.reshape(graph_ops.transpose(graph_ops.reshape(
      pixels, [groups, batch // groups, length, other, channels]),
      [0, 2, 1, 3, 4]), [groups, length, batch // groups * other, channels])


def ungroup(pixels: tf.Tensor, groups: Optional[int], batch: Optional[int]
            ) -> tf.Tensor:
  """Inverse of group(); `batch` is b."""
  _, length, lanes, channels = sizes(pixels)
  if groups in (None, batch):
    return pixels
  return graph_ops.reshape(graph_ops.transpose(graph_ops.reshape(
      pixels, [groups, length, batch // groups, -1, channels]),
      [0, 2, 1, 3, 4]), [batch, length, lanes * groups // batch, channels])


def count(batch: int, other: int, chunk: int) -> int:
  """Returns the number of groups.

  Args:
    batch: number of images; groups divide it.
    other: number of rows of an image.
    chunk: number of rows of a group, at most, unless images have more.
  """
  even = (n for n in range(1, batch + 1)
          if batch % n == 0 and batch // n * other <= chunk)
  return next(even, batch)


def apply(function: Callable[[Any], Tuple[Sequence, Sequence]], rows: Any,
          chunk: int) -> Tuple[List[tf.Tensor], List[tf.Tensor]]:
  """Applies a function to chunks of groups; see chunks.apply().

  Args:
    function: function of operands with one last axis of rows.
    rows: operands in groups.
    chunk: number of groups in a chunk, at most.
  """

  def of_groups(groups):
    outputs, sums = function(_join(groups))
    count = sizes(chunks.tensors(groups)[0])[0]
    return [_split(x, count) for x in outputs], sums

  return chunks.apply(of_groups, rows, chunk, one_body=True)


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
  # As a transpose, it would be part of all uses.
  return tf.concat(tf.unstack(tensor), 2)


def _split(tensor, count):
  """[.., n * lane] -> [n, .., lane]."""
  return tf.stack(graph_ops.split(
      tensor, [sizes(tensor)[-1] // count] * count, tensor.ndim - 1))
