"""Position embeddings as large matrices.

With q.r^q, each query o has a small matrix of its own, r_o [d, p], which all
rows share. The matrix units of a TPU are 128 wide, and as good as idle with 4
to 16 rows. A matrix [(o, p), (d, o')] that holds r_o where o' = o, and zeros
elsewhere, means as many times the work as there are queries, and less time.

These matrices have the pairs (o, p) of queries and keys as their rows, and
depth and position of a vector as their columns. Letters as in chunk.
"""

import tensorflow as tf

from axial_tf.layers import graph_ops
from axial_tf.layers.attention import chunk
from axial_tf.layers.graph_ops import Size
from axial_tf.layers.shapes import sizes


# Where vectors that meet r^q, r^k and r^v are: at the query or at the key.
_AT_QUERY, _AT_KEY = 0, 1
_PLACES = _AT_QUERY, _AT_KEY, _AT_QUERY


def of(shared: chunk.Shared) -> chunk.Shared:
  """Returns the matrices of embeddings [o, d, p].

  They are [(o, p), (d, o)] of r^q, [(o, p), (d, p)] of r^k and [(o, p), (e, o)]
  of r^v; the mask stays.
  """
  return chunk.Shared(*map(_matrix, shared[:3], _PLACES), shared.pair_mask)


def pairs_of(matrices: chunk.Shared, queries: Size, keys: Size
             ) -> chunk.Shared:
  """Returns what stands where of() puts embeddings, [o, d, p]."""
  return chunk.Shared(*(
      _pairs(matrix, place, queries, keys)
      for matrix, place in zip(matrices[:3], _PLACES)), None)


def _matrix(embeddings, place):
  if embeddings is None:
    return None
  queries, _, keys = sizes(embeddings)
  parts = tf.expand_dims(graph_ops.transpose(embeddings, [0, 2, 1]), 3)
  return graph_ops.reshape(
      parts * _diagonal(place, queries, keys, embeddings.dtype),
      [queries * keys, -1])


def _pairs(matrix, place, queries, keys):
  if matrix is None:
    return None
  parts = graph_ops.reshape(matrix, [queries, keys, -1, (queries, keys)[place]])
  return graph_ops.transpose(graph_ops.reduce_sum(
      parts * _diagonal(place, queries, keys, matrix.dtype), 3), [0, 2, 1])


def _diagonal(place, queries, keys, dtype):
  """Returns ones where the last axis is the position at `place`, else 0."""
  size = (queries, keys)[place]
  positions = tf.range(size)
  shape = [1, 1, 1, 1]
  shape[place] = size
  return tf.cast(tf.equal(
      graph_ops.reshape(positions, shape), positions), dtype)
