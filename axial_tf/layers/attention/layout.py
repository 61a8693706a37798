"""From pixels to rows of vectors, and back.

Pixels are [b, x, other, c]: batch, position on the axis, position on the other
axis, channels. Vectors are [n, d, x]: rows (batch, blocks of a local span,
other axis) and heads, depth, position; what is retrieved is [n, x, e]. See
heads for their order in lanes, which have functions of their own.
"""

from typing import List, Sequence

import tensorflow as tf

from axial_tf.layers import graph_ops
from axial_tf.layers.shapes import sizes


def to_vectors(pixels: tf.Tensor, channels: Sequence[int], heads: int,
               dtype: tf.DType) -> List[tf.Tensor]:
  """[b, x, other, sum of channels] -> one [n, d, x] for each of channels."""
  batch, length, other, total = sizes(pixels)
  turned = graph_ops.reshape(
      tf.cast(graph_ops.transpose(pixels, [0, 2, 3, 1]), dtype),
      [batch * other, total, length])
  return [
      graph_ops.reshape(x, [-1, count // heads, length])
      for x, count in zip(graph_ops.split(turned, channels, 1), channels)]


def to_pixels(retrieved: tf.Tensor, heads: int, other: graph_ops.Size
              ) -> tf.Tensor:
  """[n, x, e] -> [b, x, other, heads * e]."""
  _, length, depth = sizes(retrieved)
  turned = graph_ops.transpose(graph_ops.reshape(
      retrieved, [-1, other * heads, length, depth]), [0, 2, 1, 3])
  return graph_ops.reshape(turned, [-1, length, other, heads * depth])


def from_pixels(pixels: tf.Tensor, heads: int) -> tf.Tensor:
  """Inverse of to_pixels()."""
  _, length, other, channels = sizes(pixels)
  turned = graph_ops.transpose(graph_ops.reshape(
      pixels, [-1, length, other * heads, channels // heads]), [0, 2, 1, 3])
  return graph_ops.reshape(turned, [-1, length, channels // heads])


def to_lanes(pixels: tf.Tensor, channels: Sequence[int], heads: int,
             dtype: tf.DType) -> List[tf.Tensor]:
  """[n, x, lane, sum of channels] -> one [n, d, x, lane] for each of channels.

  Args:
    pixels: pixels of groups of rows.
    channels: channels of all heads of each of the vectors.
    heads: number of heads.
    dtype: type of the vectors.
  """
  groups, length, lanes, _ = sizes(pixels)
  turned = graph_ops.transpose(tf.cast(pixels, dtype), [0, 3, 1, 2])
  return [
      graph_ops.reshape(x, [groups * heads, count // heads, length, lanes])
      for x, count in zip(graph_ops.split(turned, channels, 1), channels)]


def from_lanes(vectors: tf.Tensor, heads: int) -> tf.Tensor:
  """[n, d, x, lane] -> [n, x, lane, heads * d]."""
  count, depth, length, lanes = sizes(vectors)
  return graph_ops.transpose(graph_ops.reshape(
      vectors, [count // heads, heads * depth, length, lanes]), [0, 2, 3, 1])
