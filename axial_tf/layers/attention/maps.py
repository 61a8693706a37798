"""Maps of queries and keys: how they are made and turned.

A map holds one number for each row, head, query and key, [r, h, l, m]. Making
it costs more time than all matrix products with it. Where the depth is small,
the quickest way on a CPU is to sum over it by elementwise products and let XLA
turn everything from the products to the exponential into one loop over the
map (fused). Otherwise each term is a batched matrix product.

The letters are those of rows.
"""

import functools

import tensorflow as tf

from axial_tf.layers.shapes import sizes


def call(function, settings, fused: bool, *operands):
  """Returns function(settings, fused, *operands), compiled by XLA if fused.

  Args:
    function: makes maps; returns a structure of tensors and None.
    settings: its first argument, an AttentionSettings.
    fused: its second argument.
    *operands: tensors, or named tuples of tensors and None.
  """
  if not fused:
    return function(settings, False, *operands)
  signature = tuple(
      None if x is None else (tuple(x.shape), x.dtype)
      for x in tf.nest.flatten(operands))
  kinds = tuple(type(x) for x in operands)
  return _compiled(function, settings, kinds, signature)(*operands)


@functools.lru_cache(maxsize=256)
def _compiled(function, settings, kinds, signature):
  """One TensorFlow function for all layers whose operands have one shape."""
  del kinds, signature  # Parts of the key.
  return tf.function(
      functools.partial(function, settings, True), autograph=False,
      jit_compile=True)


def content_term(query: tf.Tensor, key: tf.Tensor, fused: bool) -> tf.Tensor:
  """[r, h, d, l] . [r, h, d, m] -> map."""
  if not fused:
    # Turned first, as the gradient then multiplies the map from the left.
    return tf.matmul(tf.linalg.matrix_transpose(query), key)
  return _total(query[:, :, i, :, None] * key[:, :, i, None]
                for i in range(query.shape[2]))


def query_term(query: tf.Tensor, embeddings: tf.Tensor, fused: bool
               ) -> tf.Tensor:
  """[r, h, d, l] . [l, d, m] -> map."""
  if fused:
    return _total(query[:, :, i, :, None] * embeddings[:, i]
                  for i in range(query.shape[2]))
  term = tf.matmul(by_position(query), embeddings)  # [l, r * h, m]
  return _as_map(tf.transpose(term, [1, 0, 2]), query)


def key_term(key: tf.Tensor, embeddings: tf.Tensor, fused: bool) -> tf.Tensor:
  """[r, h, d, m] . [l, d, m] -> map."""
  if fused:
    return _total(key[:, :, i, None] * embeddings[:, i]
                  for i in range(key.shape[2]))
  term = tf.matmul(by_position(key),  # [m, r * h, l]
                   tf.transpose(embeddings, [2, 1, 0]))
  return _as_map(tf.transpose(term, [1, 2, 0]), key)


def retrieve(weights: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
  """map . [r, h, e, m] -> [r, h, l, e]."""
  return tf.matmul(weights, value, transpose_b=True)


def retrieve_position(weights: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
  """map . [l, e, m] -> [l, r * h, e]."""
  return tf.matmul(by_query(weights), embeddings, transpose_b=True)


def largest(pair_map: tf.Tensor, fused: bool) -> tf.Tensor:
  """Returns the maximum over the keys, [r, h, l, 1]."""
  keys = pair_map.shape[-1]
  if fused and keys is not None and keys >= 32:
    # The compiler has vector instructions for the maximum of arrays, but not
    # along the innermost axis. The pieces overlap where 8 is no divisor.
    size = -(-keys // 8)
    pair_map = functools.reduce(tf.maximum, (
        pair_map[..., start:start + size] for start in (
            min(i * size, keys - size) for i in range(8))))
  return tf.reduce_max(pair_map, -1, keepdims=True)


def _total(terms):
  return functools.reduce(tf.add, terms)


# Embeddings differ by position and not by row or head, so a product with them
# is one matrix product per position. The functions below bring that position
# to the front and back.


def by_query(pair_map: tf.Tensor) -> tf.Tensor:
  """[r, h, l, m] -> [l, r * h, m]."""
  _, _, queries, keys = sizes(pair_map)
  return tf.transpose(tf.reshape(pair_map, [-1, queries, keys]), [1, 0, 2])


def by_position(vectors: tf.Tensor) -> tf.Tensor:
  """[r, h, d, x] -> [x, r * h, d]."""
  _, _, depth, length = sizes(vectors)
  return tf.transpose(tf.reshape(vectors, [-1, depth, length]), [2, 0, 1])


def _as_map(pair_map, like):
  """[r * h, l, m] -> [r, h, l, m]."""
  _, queries, keys = sizes(pair_map)
  return tf.reshape(pair_map, [-1, sizes(like)[1], queries, keys])
