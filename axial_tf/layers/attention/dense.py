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


def of(shared: chunk.Shared, origin: Size) -> chunk.Shared:
  """Returns the matrices of embeddings [o, d, p].

  They are [(o, p), (d, o)] of r^q, [(o, p), (d, p)] of r^k and [(o, p), (e, o)]
  of r^v.

  Args:
    shared: embeddings; None stays None.
    origin: 0, as for span.cut().
  """
  return chunk.Shared(*(
      _matrix(x, place, origin) for x, place in zip(shared[:3], _PLACES)), None)


def pairs_of(matrices: chunk.Shared, queries: Size, keys: Size, origin: Size
             ) -> chunk.Shared:
  """Returns what stands where of() puts embeddings, [o, d, p]."""
  return chunk.Shared(*(
      _pairs(matrix, place, queries, keys, origin)
      for matrix, place in zip(matrices[:3], _PLACES)), None)


def _matrix(embeddings, place, origin):
  if embeddings is None:
    return None
  queries, depth, keys = sizes(embeddings)
  pairs = graph_ops.reshape(
      graph_ops.transpose(embeddings, [0, 2, 1]), [queries * keys, depth])
  spread, here = _spread(
      place, queries, keys, depth, origin, embeddings.dtype)
  return tf.matmul(pairs, spread) * here


def _pairs(matrix, place, queries, keys, origin):
  if matrix is None:
    return None
  depth = sizes(matrix)[1] // (queries, keys)[place]
  spread, here = _spread(place, queries, keys, depth, origin, matrix.dtype)
  pairs = tf.matmul(matrix * here, spread, transpose_b=True)
  return graph_ops.transpose(
      graph_ops.reshape(pairs, [queries, keys, depth]), [0, 2, 1])


def _spread(place, queries, keys, depth, origin, dtype):
  """Returns what repeats depths for all positions, and where they belong.

  Two matrices of zeros and ones, [d, (d, x)] and [(o, p), (d, x)]. As products
  of matrices, compilers neither compute the large matrix again in each chunk
  nor have another form of it in between.
  """
  size = (queries, keys)[place]
  columns = origin + tf.range(depth * size)
  pairs = origin + tf.range(queries * keys)
  position = pairs % keys if place == _AT_KEY else pairs // keys
  return (
      tf.cast(tf.equal(tf.range(depth)[:, None], columns // size), dtype),
      tf.cast(tf.equal(position[:, None], columns % size), dtype))
