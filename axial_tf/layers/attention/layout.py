"""From pixels to rows of vectors, and back.

Pixels are [b, x, other, c]: batch, position on the axis, position on the other
axis, channels. Vectors are [n, d, x]: rows (batch, blocks of a local span,
other axis) and heads, depth, position; what is retrieved is [n, x, e]. In the
form 'lanes', where the other axis of pixels has the rows of a group, they are
[n, d, x, lane] and [n, e, x, lane].
"""

from typing import List, Sequence

import tensorflow as tf

from axial_tf.layers import graph_ops
from axial_tf.layers.shapes import sizes


def to_rows(pixels: tf.Tensor) -> tf.Tensor:
  """[b, x, other, c] -> [b * other, x, 1, c]."""
  _, length, other, channels = sizes(pixels)
  if not (isinstance(other, int) and other == 1):
    pixels = graph_ops.transpose(pixels, [0, 2, 1, 3])
  return graph_ops.reshape(pixels, [-1, length, 1, channels])


def from_rows(pixels: tf.Tensor, other: graph_ops.Size) -> tf.Tensor:
  """Inverse of to_rows()."""
  _, length, _, channels = sizes(pixels)
  if isinstance(other, int) and other == 1:
    return pixels
  return graph_ops.transpose(graph_ops.reshape(
      pixels, [-1, other, length, channels]), [0, 2, 1, 3])


def to_vectors(pixels: tf.Tensor, channels: Sequence[int], heads: int,
               dtype: tf.DType, form: str) -> List[tf.Tensor]:
  """[b, x, other, sum of channels] -> one [n, d, x] for each of channels."""
  batch, length, other, total = sizes(pixels)
  if form == 'lanes':
    turned = graph_ops.transpose(tf.cast(pixels, dtype), [0, 3, 1, 2])
    return [
        graph_ops.reshape(x, [batch * heads, count // heads, length, other])
        for x, count in zip(graph_ops.split(turned, channels, 1), channels)]
  turned = graph_ops.reshape(
      tf.cast(graph_ops.transpose(pixels, [0, 2, 3, 1]), dtype),
      [batch * other, total, length])
  return [
      graph_ops.reshape(x, [-1, count // heads, length])
      for x, count in zip(graph_ops.split(turned, channels, 1), channels)]


def to_pixels(retrieved: tf.Tensor, heads: int, other: graph_ops.Size,
              form: str) -> tf.Tensor:
  """[n, x, e] -> [b, x, other, heads * e]."""
  if form == 'lanes':
    _, depth, length, _ = sizes(retrieved)
    return graph_ops.transpose(graph_ops.reshape(
        retrieved, [-1, heads * depth, length, other]), [0, 2, 3, 1])
  _, length, depth = sizes(retrieved)
  turned = graph_ops.transpose(graph_ops.reshape(
      retrieved, [-1, other * heads, length, depth]), [0, 2, 1, 3])
  return graph_ops.reshape(turned, [-1, length, other, heads * depth])


def from_pixels(pixels: tf.Tensor, heads: int, form: str) -> tf.Tensor:
  """Inverse of to_pixels()."""
  _, length, other, channels = sizes(pixels)
  if form == 'lanes':
    return to_vectors(pixels, [channels], heads, pixels.dtype, form)[0]
  turned = graph_ops.transpose(graph_ops.reshape(
      pixels, [-1, length, other * heads, channels // heads]), [0, 2, 1, 3])
  return graph_ops.reshape(turned, [-1, length, channels // heads])
