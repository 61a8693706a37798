"""Blocks of queries and windows of keys for attention in k x k windows.

An image is cut into blocks of queries. A block attends to one window: the
block itself and a halo of k // 2 pixels around it. That costs O(h w k^2) time
and memory, and each block is a matrix product.

Letters: g batch and head, n blocks; l queries and m keys of one axis.
"""

from typing import NamedTuple, Tuple, Union

import tensorflow as tf

from axial_tf.layers.shapes import sizes

# Larger blocks waste products on pairs that are too far apart, smaller ones
# copy keys more often; 8 is the fastest for k = 7 in training on CPUs.
_BLOCK = 8

Size = Union[int, tf.Tensor]


class AxisCut(NamedTuple):
  """A cut of one axis of the image.

  Attributes:
    length: length of the axis.
    count: n, number of blocks; count * block is at least the length.
    block: l, queries in a block.
    halo: keys of the window before and after its block.
    table_rows: int32 [l, m], the row of a table of k embeddings that belongs
      to the offset of a pair; below 0 or above k - 1 for offsets that are out
      of reach.
    valid: float [n, l, m] of zeros and ones: the pairs of a query and a key
      that are both within the image and at most k // 2 apart.
  """
  length: Size
  count: Size
  block: int
  halo: int
  table_rows: tf.Tensor
  valid: tf.Tensor


class Cut(NamedTuple):
  """A cut of both axes; a pair is valid if it is valid in both."""
  rows: AxisCut
  columns: AxisCut


def cut(height: Size, width: Size, kernel_size: int, dtype: tf.DType) -> Cut:
  """Cuts an image; a size is a tensor where it is unknown while tracing."""
  return Cut(_cut_axis(height, kernel_size, dtype),
             _cut_axis(width, kernel_size, dtype))


def blocks(image: tf.Tensor, both: Cut) -> tf.Tensor:
  """[g, h, w, d] -> blocks [g, n, n, l, l, d]; zeros fill the last ones."""
  return _split(image, both, (0, 0))


def windows(image: tf.Tensor, both: Cut) -> tf.Tensor:
  """[g, h, w, d] -> windows [g, n, n, m, m, d]; zeros around the image."""
  return _split(image, both, (both.rows.halo, both.columns.halo))


def join(outputs: tf.Tensor, both: Cut) -> tf.Tensor:
  """Blocks [g, n, n, l, l, d] -> [g, h, w, d]."""
  rows, columns = both
  joined = tf.reshape(
      tf.transpose(outputs, [0, 1, 3, 2, 4, 5]),
      [-1, rows.count * rows.block, columns.count * columns.block,
       outputs.shape[-1]])
  return joined[:, :rows.length, :columns.length]


def _cut_axis(length: Size, kernel_size: int, dtype) -> AxisCut:
  halo = kernel_size // 2
  if isinstance(length, int):
    count = -(-length // _BLOCK)
    block = -(-length // count)
    if length <= block + 2 * halo:  # A window would be no shorter.
      count, block, halo = 1, length, 0
  else:
    block = _BLOCK
    count = -(-length // block)
  starts = tf.range(count)[:, None] * block
  query_positions = tf.range(block)
  key_positions = tf.range(-halo, block + halo)
  offsets = key_positions[None, :] - query_positions[:, None]
  queries, keys = starts + query_positions, starts + key_positions
  valid = ((tf.abs(offsets) <= kernel_size // 2)
           & (keys >= 0)[:, None, :] & (keys < length)[:, None, :]
           & (queries < length)[:, :, None])
  return AxisCut(length, count, block, halo, offsets + kernel_size // 2,
                 tf.cast(valid, dtype))


def _split(image: tf.Tensor, both: Cut, halos: Tuple[int, int]) -> tf.Tensor:
  rows, columns = both
  channels = image.shape[-1]
  split = tf.reshape(image, [-1, columns.length, channels])
  split = _split_axis(split, columns, halos[1])
  wide = columns.block + 2 * halos[1]
  # The number of columns may be unknown; the last axis then is, too.
  split = tf.reshape(
      split, [-1, rows.length, columns.count * wide * channels])
  split = _split_axis(split, rows, halos[0])
  high = rows.block + 2 * halos[0]
  split = tf.reshape(
      split, [-1, rows.count, high, columns.count, wide, channels])
  return tf.transpose(split, [0, 1, 3, 2, 4, 5])


def _split_axis(line: tf.Tensor, axis: AxisCut, halo: int) -> tf.Tensor:
  """[g, length, c] -> [g, n, block + 2 * halo, c], by slices alone."""
  size = axis.block + 2 * halo
  reach = -(-size // axis.block)  # Blocks that a window stretches over.
  total = axis.count + reach - 1
  line = tf.pad(line, [
      [0, 0], [halo, total * axis.block - halo - axis.length], [0, 0]])
  channels = sizes(line)[-1]
  line = tf.reshape(line, [-1, total, axis.block, channels])
  if reach == 1:
    return line
  return tf.concat(
      [line[:, i:i + axis.count, :size - i * axis.block]
       for i in range(reach)], axis=2)
