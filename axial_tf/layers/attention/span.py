"""Blocks of queries and windows of keys for attention with a local span.

A span of m lets each query see the keys at offsets up to flange = (m-1)/2.
Cutting the axis into blocks of queries, each with the window of keys that its
queries can see, costs O(length * m) instead of O(length^2). All blocks hold
the same offsets, so that they share the position embeddings.
"""

from typing import List, NamedTuple, Optional, Union

import numpy as np
import tensorflow as tf

from axial_tf.layers import graph_ops
from axial_tf.layers.graph_ops import Size
from axial_tf.layers.shapes import sizes

# Shorter blocks make matrix products too small to be quick.
_SHORTEST_BLOCK = 16

# Integers or truth values, of NumPy where they are known while tracing.
Positions = Union[np.ndarray, tf.Tensor]


class Blocks(NamedTuple):
  """A cut of one axis into n blocks of l queries with windows of m keys.

  Attributes:
    count: n.
    block: l; count * block is at least the number of queries.
    stride: distance of neighboring queries on the axis.
    flange: how many keys a window has before and after its block.
    reach: longest offset of a key that a query sees.
    offset_rows: int32 [l, m], offset from a query to a key, counted from
      -reach and not beyond reach: farther keys are not seen.
    pair_mask: bool [l, m], pairs within the span; None if all are.
    key_mask: bool [n, m], keys within the axis; None if all are.
    query_mask: bool [n, l], queries within the axis; None if all are.
  """
  count: Size
  block: Size
  stride: int
  flange: int
  reach: Size
  offset_rows: Positions
  pair_mask: Optional[Positions]
  key_mask: Optional[Positions]
  query_mask: Optional[Positions]


def cut(length: Size, span: Optional[int], stride: int = 1,
        origin: Size = 0) -> Blocks:
  """Returns the blocks for an axis; a single one if the span is global.

  Args:
    length: length of the axis; a tensor where it is unknown while tracing.
    span: odd number of keys that a query sees; None for all.
    stride: distance of the queries; the first position is one.
    origin: 0; as a tensor, programs compute the positions, and what follows
      from them, in place of having tables of them.
  """
  flange = None if span is None else span // 2
  known = isinstance(length, int)
  queries = -(-length // stride)
  if flange is None or (known and sees_all(length, span)):
    offsets = _offsets(
        origin + stride * positions(0, queries), positions(0, length))
    return Blocks(1, queries, stride, 0, length - 1, offsets + (length - 1),
                  None, None, None)
  longest = -(-max(flange, _SHORTEST_BLOCK) // stride)
  if known and length <= longest * stride + 2 * flange:
    # A window would be no shorter than the axis.
    offsets = _offsets(
        origin + stride * positions(0, queries), positions(0, length))
    return Blocks(
        1, queries, stride, 0, flange, clip(offsets + flange, 0, 2 * flange),
        abs(offsets) <= flange, None, None)
  count = -(-queries // longest)
  block = -(-queries // count)
  if known and count * longest <= queries + queries // 8:
    # Those for a span of 2^i + 1 have windows that fill vector instructions.
    block = longest
  query_positions = origin + stride * positions(0, block)
  key_positions = origin + positions(-flange, block * stride + flange)
  offsets = _offsets(query_positions, key_positions)
  starts = positions(0, count)[:, None] * block * stride
  keys = starts + key_positions
  return Blocks(
      count, block, stride, flange, flange,
      clip(offsets + flange, 0, 2 * flange), abs(offsets) <= flange,
      (keys >= 0) & (keys < length),
      starts + query_positions < length)


def sees_all(length: int, span: Optional[int]) -> bool:
  """Whether each query sees the whole axis."""
  return span is None or span // 2 >= length - 1


def positions(start: Size, stop: Size) -> Positions:
  """Returns the integers from start to below stop."""
  if isinstance(start, int) and isinstance(stop, int):
    return np.arange(start, stop, dtype=np.int32)
  return tf.range(start, stop)


def _offsets(query_positions, key_positions):
  return key_positions[None, :] - query_positions[:, None]


def clip(values: Positions, lowest: Size, highest: Size) -> Positions:
  """Returns values within these limits."""
  if isinstance(values, np.ndarray):
    return np.clip(values, lowest, highest)
  return tf.clip_by_value(values, lowest, highest)


def seen(length: Size, reach: Size, direction: int = 1, origin: Size = 0
         ) -> Positions:
  """Returns whether a position sees a key at an offset, bool [length, w].

  Args:
    length: length of the axis.
    reach: offsets are those from -reach to reach.
    direction: 1; -1 for whether a query sees this position at the offset.
    origin: as for cut().
  """
  found = origin + positions(0, length)[:, None] + direction * positions(
      -reach, reach + 1)
  return (found >= 0) & (found < length)


def stack(masks: List[Positions]) -> Positions:
  """Returns masks on a new first axis."""
  if isinstance(masks[0], np.ndarray):
    return np.stack(masks)
  return tf.stack(masks)


def count_pairs(length: Size, reach: Size) -> Size:
  """Returns how many pairs of positions are no further apart than `reach`."""
  if isinstance(length, int) and isinstance(reach, int):
    reach = min(reach, length - 1)
  else:
    reach = tf.minimum(reach, length - 1)
  return length * (2 * reach + 1) - reach * (reach + 1)


def addend(mask: Positions, dtype: tf.DType) -> Positions:
  """Returns 0 where a mask allows, and a large negative number elsewhere."""
  if isinstance(mask, np.ndarray):
    return np.where(mask, 0, lowest(dtype)).astype(dtype.as_numpy_dtype)
  return tf.where(mask, tf.zeros([], dtype), tf.constant(lowest(dtype), dtype))


def lowest(dtype: tf.DType) -> float:
  """Returns what addend() has for keys that are not seen."""
  # Finite, since a query that pads the last block has no valid key at all.
  return dtype.min / 4


def queried(tensor: tf.Tensor, blocks: Blocks) -> tf.Tensor:
  """Returns every stride-th position of [b, length, other, c]."""
  if blocks.stride == 1:
    return tensor
  # Several times quicker than a strided slice.
  return graph_ops.gather(
      tensor, blocks.stride * positions(0, -(-sizes(tensor)[1] // (
          blocks.stride))), axis=1)


def split_queries(queries: tf.Tensor, blocks: Blocks) -> tf.Tensor:
  """Cuts [b, x, other, c] into [b * n, l, other, c]; zeros fill the last."""
  if is_whole(blocks):
    return queries
  _, length, other, channels = sizes(queries)
  missing = blocks.count * blocks.block - length
  padded = tf.pad(queries, [[0, 0], [0, missing], [0, 0], [0, 0]])
  return graph_ops.reshape(padded, [-1, blocks.block, other, channels])


def windows(keys: tf.Tensor, blocks: Blocks) -> tf.Tensor:
  """Copies [b, length, other, c] to [b * n, m, other, c]; zeros outside."""
  if is_whole(blocks):
    return keys
  _, length, other, channels = sizes(keys)
  step = blocks.block * blocks.stride
  missing = blocks.count * step - length
  padded = tf.pad(keys, [
      [0, 0], [blocks.flange, blocks.flange + missing], [0, 0], [0, 0]])
  starts = positions(0, blocks.count)[:, None] * step
  width = step + 2 * blocks.flange
  return graph_ops.reshape(
      graph_ops.gather(padded, starts + positions(0, width)[None, :], axis=1),
      [-1, width, other, channels])


def join(outputs: tf.Tensor, blocks: Blocks, queries: Size) -> tf.Tensor:
  """Joins [b * n, l, other, c] to [b, queries, other, c]."""
  if is_whole(blocks):
    return outputs
  _, _, other, channels = sizes(outputs)
  joined = graph_ops.reshape(
      outputs, [-1, blocks.count * blocks.block, other, channels])
  return joined[:, :queries]


def is_whole(blocks: Blocks) -> bool:
  """Whether one block is known to cover the axis."""
  return isinstance(blocks.count, int) and blocks.count == 1
