"""Blocks of queries and windows of keys for attention with a local span.

A span of m lets each query see the keys at offsets up to flange = (m-1)/2.
Cutting the axis into blocks of queries, each with the window of keys that its
queries can see, costs O(length * m) instead of O(length^2). All blocks hold
the same offsets, so that they share the position embeddings.
"""

from typing import NamedTuple, Optional, Union

import tensorflow as tf

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
    key_positions: int32 [m], likewise.
    valid: bool [n, l, m], pairs within the span and within the axis; None if
      that is all of them.
  """
  count: Size
  block: Size
  stride: int
  flange: int
  query_positions: tf.Tensor
  key_positions: tf.Tensor
  valid: Optional[tf.Tensor]


def cut(length: Size, span: Optional[int], stride: int = 1) -> Blocks:
  """Returns the blocks for an axis; a single one if the span is global.

  Args:
    length: of the axis; a tensor where it is unknown while tracing.
    span: odd number of keys that a query sees; None for all.
    stride: every stride-th position, from the first, is a query.
  """
  flange = None if span is None else span // 2
  known = isinstance(length, int)
  queries = -(-length // stride)
  if flange is None or (known and flange >= length - 1):
    return Blocks(1, queries, stride, 0, stride * tf.range(queries),
                  tf.range(length), None)
  longest = -(-max(flange, _SHORTEST_BLOCK) // stride)
  if known and length <= longest * stride + 2 * flange:
    # A window would be no shorter than the axis.
    query_positions = stride * tf.range(queries)
    key_positions = tf.range(length)
    offsets = key_positions[None, :] - query_positions[:, None]
    return Blocks(1, queries, stride, 0, query_positions, key_positions,
                  (tf.abs(offsets) <= flange)[None])
  count = -(-queries // longest)
  block = -(-queries // count)
  query_positions = stride * tf.range(block)
  key_positions = tf.range(-flange, block * stride + flange)
  offsets = key_positions[None, :] - query_positions[:, None]
  starts = tf.range(count)[:, None] * block * stride
  positions = starts + query_positions
  keys = starts + key_positions
  valid = ((tf.abs(offsets) <= flange)
           & (keys >= 0)[:, None, :] & (keys < length)[:, None, :]
           & (positions < length)[:, :, None])
  return Blocks(count, block, stride, flange, query_positions, key_positions,
                valid)


def split_queries(queries: tf.Tensor, blocks: Blocks) -> tf.Tensor:
  """Cuts [b, length, c] into [b * n, l, c]; zeros fill the last block."""
  queries = queries[:, ::blocks.stride]
  if _single(blocks):
    return queries
  length, channels = tf.shape(queries)[1], queries.shape[-1]
  missing = blocks.count * blocks.block - length
  padded = tf.pad(queries, [[0, 0], [0, missing], [0, 0]])
  return tf.reshape(padded, [-1, blocks.block, channels])


def windows(keys: tf.Tensor, blocks: Blocks) -> tf.Tensor:
  """Copies [b, length, c] into the windows [b * n, m, c]; zeros outside."""
  if _single(blocks):
    return keys
  length, channels = tf.shape(keys)[1], keys.shape[-1]
  step = blocks.block * blocks.stride
  missing = blocks.count * step - length
  padded = tf.pad(
      keys, [[0, 0], [blocks.flange, blocks.flange + missing], [0, 0]])
  size = step + 2 * blocks.flange
  starts = tf.range(blocks.count)[:, None] * step
  positions = starts + tf.range(size)[None, :]
  return tf.reshape(
      tf.gather(padded, positions, axis=1), [-1, size, channels])


def join(outputs: tf.Tensor, blocks: Blocks, length: Size) -> tf.Tensor:
  """Joins [b * n, l, c] to [b, ceil(length / stride), c]."""
  if _single(blocks):
    return outputs
  total = blocks.count * blocks.block
  joined = tf.reshape(outputs, [-1, total, outputs.shape[-1]])
  return joined[:, :-(-length // blocks.stride)]


def _single(blocks):
  return isinstance(blocks.count, int) and blocks.count == 1
