"""Maps of queries and keys: how they are made and turned.

A map holds one number for each row, head, query and key, [r, h, l, m]. Making
it costs more time than all matrix products with it. Where the depth is small,
the quickest way on a CPU is to sum over it by elementwise products and let XLA
turn everything from the products to the exponential into one loop over the
map (fused). Otherwise each term is a batched matrix product.

The letters are those of attention_core.
"""

import functools
from typing import Optional

import tensorflow as tf

Maybe = Optional[tf.Tensor]


def call(function, fused: bool, *operands):
  """Returns function(fused, *operands), compiled by XLA if fused.

  Args:
    function: makes maps; returns a structure of tensors and None.
    fused: its first argument.
    *operands: named tuples of tensors and None, and strings.
  """
  if not fused:
    return function(False, *operands)
  flat = tf.nest.flatten(operands)
  signature = tuple(
      (x.shape if x.shape.rank is None else tuple(x.shape), x.dtype)
      if tf.is_tensor(x) else x for x in flat)
  kinds = tuple(type(x) for x in operands)
  return _compiled(function, kinds, signature)(*operands)


@functools.cache
def _compiled(function, kinds, signature):
  """One TensorFlow function for all layers whose operands have one shape."""
  del kinds, signature  # Parts of the key.
  return tf.function(functools.partial(function, True), jit_compile=True)


def pair_terms(
    left: Maybe, right: Maybe, left_position: Maybe, left_rpe: Maybe,
    right_position: Maybe, right_rpe: Maybe, fused: bool) -> tf.Tensor:
  """Sums left.right, left_position.left_rpe and right_position.right_rpe.

  Args:
    left: [r, h, d, l], or None to leave the term out.
    right: [r, h, d, m].
    left_position: [r, h, d, l].
    left_rpe: [l, d, m], or None to leave the term out.
    right_position: [r, h, d, m].
    right_rpe: [l, d, m], or None to leave the term out.
    fused: whether to sum over d by elementwise products, which a compiler
      turns into one loop over the map; otherwise each term is a batched
      matrix product (and a transpose of the map, where its batch is a
      position).

  Returns:
    [r, h, l, m].
  """
  if fused:
    total = 0.0
    if left is not None:
      for i in range(left.shape[2]):
        total += left[:, :, i, :, None] * right[:, :, i, None]
    if left_rpe is not None:
      for i in range(left_rpe.shape[1]):
        total += left_position[:, :, i, :, None] * left_rpe[:, i]
    if right_rpe is not None:
      for i in range(right_rpe.shape[1]):
        total += right_position[:, :, i, None] * right_rpe[:, i]
    return total
  terms = []
  if left is not None:
    terms.append(tf.matmul(left, right, transpose_a=True))
  if left_rpe is not None:  # [l, r * h, m]
    term = tf.matmul(by_position(left_position, [2, 0, 1]), left_rpe)
    terms.append(_as_map(tf.transpose(term, [1, 0, 2]), left_position))
  if right_rpe is not None:  # [m, r * h, l]
    term = tf.matmul(by_position(right_position, [2, 0, 1]),
                     tf.transpose(right_rpe, [2, 1, 0]))
    terms.append(_as_map(tf.transpose(term, [1, 2, 0]), right_position))
  return tf.add_n(terms) if len(terms) > 1 else terms[0]


def largest(logits: tf.Tensor, fused: bool) -> tf.Tensor:
  """Returns the maximum over the keys, [r, h, l, 1]."""
  keys = logits.shape[-1]
  if fused and keys is not None and keys >= 32:
    # The compiler has vector instructions for the maximum of arrays, but not
    # along the innermost axis. The pieces overlap where 8 is no divisor.
    size = -(-keys // 8)
    pieces = [logits[..., start:start + size] for start in (
        min(i * size, keys - size) for i in range(8))]
    while len(pieces) > 1:
      pieces = [tf.maximum(a, b) for a, b in zip(pieces[::2], pieces[1::2])]
    logits = pieces[0]
  return tf.reduce_max(logits, -1, keepdims=True)


# Embeddings differ by position and not by row or head, so a product with them
# is one matrix product per position. The functions below bring that position
# to the front and back.


def by_query(pair_map: tf.Tensor) -> tf.Tensor:
  """[r, h, l, m] -> [l, r * h, m]."""
  _, _, queries, keys = sizes(pair_map)
  return tf.transpose(tf.reshape(pair_map, [-1, queries, keys]), [1, 0, 2])


def by_key(pair_map: tf.Tensor) -> tf.Tensor:
  """[r, h, l, m] -> [m, r * h, l]."""
  _, _, queries, keys = sizes(pair_map)
  return tf.transpose(tf.reshape(pair_map, [-1, queries, keys]), [2, 0, 1])


def by_position(vectors: tf.Tensor, order) -> tf.Tensor:
  """[r, h, d, x], flattened to [r * h, d, x], in another order of axes."""
  _, _, depth, length = sizes(vectors)
  return tf.transpose(tf.reshape(vectors, [-1, depth, length]), order)


def rows_first(vectors: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
  """[x, r * h, d] -> [r, h, d, x]."""
  _, heads, depth, length = sizes(like)
  vectors = tf.reshape(vectors, [length, -1, heads, depth])
  return tf.transpose(vectors, [1, 2, 3, 0])


def _as_map(pair_map, like):
  """[r * h, l, m] -> [r, h, l, m]."""
  _, queries, keys = sizes(pair_map)
  return tf.reshape(pair_map, [-1, sizes(like)[1], queries, keys])


def sizes(tensor: tf.Tensor) -> list:
  """Returns the sizes, as ints where they are known."""
  dynamic = tf.shape(tensor)
  return [dynamic[i] if size is None else size
          for i, size in enumerate(tensor.shape)]
