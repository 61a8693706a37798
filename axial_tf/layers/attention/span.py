"""Blocks of queries and windows of keys for attention with a local span.

A span of m lets each query see the keys at offsets up to flange = (m-1)/2.
Cutting the axis into blocks of queries, each with the window of keys that its
queries can see, costs O(length * m) instead of O(length^2). All blocks hold
the same offsets, so that they share the position embeddings.
"""

from typing import NamedTuple, Optional, Tuple, Union

import tensorflow as tf

from axial_tf.layers.shapes import sizes

# Shorter blocks make matrix products too small to be quick.
_SHORTEST_BLOCK = 16

Size = Union[int, tf.Tensor]


class Blocks(NamedTuple):
  """A cut of one axis into n blocks of l queries with windows of m keys.

  Attributes:
    count: n.
    block: l; count * block is at least the number of queries.
    stride: distance of neighboring queries on the axis.
    flange: how many keys a window has before and after its block.
    query_positions: int32 [l], relative to the start of the block.
    key_positions: int32 [m], relative to the start of the block.
    pair_mask: bool [l, m], pairs within the span; None if all are.
    key_mask: bool [n, m], keys within the axis; None if pair_mask is.
    query_mask: bool [n, l], queries within the axis; None if pair_mask is.
  """
  count: Size
  block: Size
  stride: int
  flange: int
  query_positions: tf.Tensor
  key_positions: tf.Tensor
  pair_mask: Optional[tf.Tensor]
  key_mask: Optional[tf.Tensor]
  query_mask: Optional[tf.Tensor]


def cut(length: Size, span: Optional[int], stride: int = 1) -> Blocks:
  """Returns the blocks for an axis; a single one if the span is global.

  Args:
    length: length of the axis; a tensor where it is unknown while tracing.
    span: odd number of keys that a query sees; None for all.
    stride: distance of the queries on the axis; the first position is one.
  """
  flange = None if span is None else span // 2
  known = isinstance(length, int)
  queries = -(-length // stride)
  if flange is None or (known and flange >= length - 1):
    return Blocks(1, queries, stride, 0, stride * tf.range(queries),
                  tf.range(length), None, None, None)
  longest = -(-max(flange, _SHORTEST_BLOCK) // stride)
  if known and length <= longest * stride + 2 * flange:
    # A window would be no shorter than the axis.
    query_positions = stride * tf.range(queries)
    key_positions = tf.range(length)
    offsets = key_positions[None, :] - query_positions[:, None]
    return Blocks(1, queries, stride, 0, query_positions, key_positions,
                  tf.abs(offsets) <= flange, tf.ones([1, length], tf.bool),
                  tf.ones([1, queries], tf.bool))
  count = -(-queries // longest)
  block = -(-queries // count)
  query_positions = stride * tf.range(block)
  key_positions = tf.range(-flange, block * stride + flange)
  offsets = key_positions[None, :] - query_positions[:, None]
  starts = tf.range(count)[:, None] * block * stride
  keys = starts + key_positions
  return Blocks(
      count, block, stride, flange, query_positions, key_positions,
      tf.abs(offsets) <= flange, (keys >= 0) & (keys < length),
      starts + query_positions < length)


def masks(blocks: Blocks, batch: Size, dtype: tf.DType
          ) -> Tuple[Optional[tf.Tensor], Optional[tf.Tensor]]:
  """Returns what is added to the logits of pairs that are not attended to.

  Args:
    blocks: cut of the axis into n blocks.
    batch: number of axes, b.
    dtype: type of the logits.

  Returns:
    [l, m] and [b * n, m]: 0, and a large negative number for pairs beyond the
    span and for keys outside of the axis; None if there are none.
  """
  if blocks.pair_mask is None:
    return None, None
  # Finite, since a query that pads the last block has no valid key at all.
  lowest = tf.constant(dtype.min / 4, dtype)
  pairs, keys = (tf.where(mask, tf.zeros([], dtype), lowest)
                 for mask in (blocks.pair_mask, blocks.key_mask))
  return pairs, tf.tile(keys, [batch, 1])


def queried(tensor: tf.Tensor, blocks: Blocks) -> tf.Tensor:
  """Returns every stride-th position of [b, length, c]."""
  if blocks.stride == 1:
    return tensor
  # Several times quicker than a strided slice.
  return tf.gather(
      tensor, tf.range(0, sizes(tensor)[1], blocks.stride), axis=1)


def split_queries(queries: tf.Tensor, blocks: Blocks) -> tf.Tensor:
  """Cuts queries [b, x, c] into [b * n, l, c]; zeros fill the last block."""
  if is_whole(blocks):
    return queries
  _, length, channels = sizes(queries)
  missing = blocks.count * blocks.block - length
  padded = tf.pad(queries, [[0, 0], [0, missing], [0, 0]])
  return tf.reshape(padded, [-1, blocks.block, channels])


def windows(keys: tf.Tensor, blocks: Blocks) -> tf.Tensor:
  """Copies [b, length, c] to windows [b * n, m, c]; zeros outside."""
  if is_whole(blocks):
    return keys
  _, length, channels = sizes(keys)
  step = blocks.block * blocks.stride
  missing = blocks.count * step - length
  padded = tf.pad(
      keys, [[0, 0], [blocks.flange, blocks.flange + missing], [0, 0]])
  starts = tf.range(blocks.count)[:, None] * step
  width = step + 2 * blocks.flange
  return tf.reshape(
      tf.gather(padded, starts + tf.range(width)[None, :], axis=1),
      [-1, width, channels])


def join(outputs: tf.Tensor, blocks: Blocks, length: Size) -> tf.Tensor:
  """Joins [b * n, l, c] to [b, ceil(length / stride), c]."""
  if is_whole(blocks):
    return outputs
  joined = tf.reshape(
      outputs, [-1, blocks.count * blocks.block, outputs.shape[-1]])
  return joined[:, :-(-length // blocks.stride)]


def is_whole(blocks: Blocks) -> bool:
  """Whether one block is known to cover the axis."""
  return isinstance(blocks.count, int) and blocks.count == 1
