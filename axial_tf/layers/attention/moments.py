"""Mean and mean square of the logits, without the logits.

In training, batch norm needs the statistics of each term of the logits over
all pairs of queries and keys. With a position term, sum_p q_o.r_op =
q_o.(sum_p r_op) and sum_p (q_o.r_op)^2 = q_o^T (sum_p r_op r_op^T) q_o, and the
sums over p do not depend on the row. For the content term over all pairs,
sum_op (q_o.k_p)^2 = <sum_o q_o q_o^T, sum_p k_p k_p^T>. None of these needs a
tensor of the size of the logits; only the content term of a local span does,
one chunk of rows at a time.

Each class has sums and sums of squares, each [t, h], and their gradient, which
takes twice the gradient of the squares.

Letters: n rows and heads, h heads, d depth, x position, w offset, t terms. For
tensors in lanes see heads.
"""

from typing import List, NamedTuple, Tuple

import tensorflow as tf

from axial_tf.layers import graph_ops, precision
from axial_tf.layers.attention import chunks, heads
from axial_tf.layers.attention.contract import contract
from axial_tf.layers.shapes import sizes

Sums = Tuple[tf.Tensor, tf.Tensor]


class Content:
  """q_o.k_p over all pairs."""

  def __init__(self, query: tf.Tensor, key: tf.Tensor, num_heads: int,
               form: str):
    """Takes queries [n, d, o] and keys [n, d, p] of a form of chunks."""
    self._vectors = precision.widen(query), precision.widen(key)
    self._heads = num_heads
    self._form = form
    self._totals = [
        graph_ops.reduce_sum(x, 2, keepdims=True) for x in self._vectors]
    self._grams = [
        _gram_in_lanes(x) if form == 'lanes' else (
            tf.matmul(x, x, transpose_b=True)) for x in self._vectors]

  def sums(self) -> Sums:
    return tuple(
        graph_ops.reshape(graph_ops.reduce_sum(
            heads.over_rows(a * b, self._heads, self._form), [1, 2]), [1, -1])
        for a, b in (self._totals, self._grams))

  def gradient(self, grad_sums: tf.Tensor, twice_grad_squares: tf.Tensor
               ) -> Tuple[tf.Tensor, tf.Tensor]:
    """Returns the gradients of queries and keys from those of the sums."""
    linear, quadratic = _by_row(
        grad_sums, twice_grad_squares, self._vectors[0], self._heads,
        self._form)
    multiply = _multiply_in_lanes if self._form == 'lanes' else tf.matmul
    return tuple(
        linear * total + multiply(quadratic * gram, vectors)
        for vectors, total, gram in zip(
            self._vectors, self._totals[::-1], self._grams[::-1]))


class MaskedContent:
  """q_o.k_p over the pairs of all rows that a mask allows."""

  def __init__(self, query: tf.Tensor, key: tf.Tensor, num_heads: int,
               pair_mask: tf.Tensor, form_of_terms: str, form: str,
               chunk: graph_ops.Size):
    """Keeps the operands.

    Args:
      query: [n, d, o].
      key: [n, d, p].
      num_heads: h.
      pair_mask: [o, p] of zeros and ones.
      form_of_terms: form of the products that make a map, as in contract().
      form: form of the products with it.
      chunk: number of rows and heads in a chunk.
    """
    self._vectors = query, key
    self._heads = num_heads
    self._mask = pair_mask
    self._form = form
    self._form_of_terms = form_of_terms
    self._chunk = chunk

  def sums(self) -> Sums:
    def chunk_sums(vectors):
      terms = self._terms(*vectors)
      return [graph_ops.reduce_sum(x, [1, 2])
              for x in (terms, tf.square(terms))], []

    found, _ = chunks.apply(chunk_sums, self._vectors, self._chunk)
    return tuple(
        graph_ops.reshape(
            heads.over_rows(x, self._heads, self._form), [1, -1])
        for x in found)

  def gradient(self, grad_sums: tf.Tensor, twice_grad_squares: tf.Tensor
               ) -> Tuple[tf.Tensor, tf.Tensor]:
    """Returns the gradients of queries and keys from those of the sums."""

    def chunk_gradient(operands):
      query, key, linear, quadratic = operands
      grad = tf.cast(
          self._mask * linear + quadratic * self._terms(query, key),
          query.dtype)
      return [contract('nop,ndp->ndo', grad, key, self._form),
              contract('nop,ndo->ndp', grad, query, self._form)], []

    return tuple(chunks.apply(
        chunk_gradient,
        (*self._vectors, *_by_row(
            grad_sums, twice_grad_squares, self._vectors[0], self._heads,
            self._form)),
        self._chunk)[0])

  def _terms(self, query, key):
    return self._mask * precision.widen(
        contract('ndo,ndp->nop', query, key, self._form_of_terms))


class Position(NamedTuple):
  """x.r over the offsets that each position sees, for q.r^q and k.r^k.

  With S_x, the sum over rows of x x^T at a position, the sum of squares over
  all rows is the sum over x of <S_x, sum_w r_w r_w^T>.

  Attributes:
    visible: zeros and ones, whether a position sees an offset, [t, x, w].
    columns: r by offset, [t, w, d, 1].
    row: sums of r over the offsets that are seen, [t, x, 1, d, 1].
    gram: sums of r r^T over the offsets that are seen, [t, x, 1, d, d].
  """
  visible: tf.Tensor
  columns: tf.Tensor
  row: tf.Tensor
  gram: tf.Tensor

  @classmethod
  def of(cls, embeddings: tf.Tensor, visible: tf.Tensor) -> 'Position':
    """Makes what all rows share.

    Args:
      embeddings: r by offset, [t, w, d].
      visible: as the attribute.
    """
    terms, offsets, depth = sizes(embeddings)
    columns = graph_ops.reshape(embeddings, [terms, offsets, depth, 1])
    pairs = columns * graph_ops.reshape(embeddings, [terms, offsets, 1, depth])
    return cls(
        visible, columns,
        graph_ops.reshape(
            tf.matmul(visible, embeddings), [terms, -1, 1, depth, 1]),
        graph_ops.reshape(tf.matmul(visible, graph_ops.reshape(
            pairs, [terms, -1, depth * depth])), [terms, -1, 1, depth, depth]))

  def sums(self, vectors: List[tf.Tensor], num_heads: int, form: str
           ) -> Tuple[Sums, Tuple[tf.Tensor, tf.Tensor]]:
    """Returns the sums over queries, keys or both, t tensors [n, d, x].

    Also returns the sums over rows of x and of x x^T, for gradient().
    """
    if form == 'lanes':
      total, square = _over_lanes(vectors, num_heads)
    else:
      x = _by_position(vectors, num_heads)
      total = graph_ops.reduce_sum(x, 4, keepdims=True)
      square = tf.matmul(x, x, transpose_b=True)
    return (graph_ops.reduce_sum(total * self.row, [1, 3, 4]),
            graph_ops.reduce_sum(square * self.gram, [1, 3, 4])
            ), (total, square)

  def gradient(self, vectors: List[tf.Tensor], num_heads: int, form: str,
               over_rows: Tuple[tf.Tensor, tf.Tensor], grad_sums: tf.Tensor,
               twice_grad_squares: tf.Tensor
               ) -> Tuple[List[tf.Tensor], tf.Tensor]:
    """Returns the gradients of vectors and embeddings from those of sums.

    Args:
      vectors: as for sums().
      num_heads: h.
      form: form of chunks.
      over_rows: second result of sums().
      grad_sums: gradients of the sums.
      twice_grad_squares: twice the gradients of the sums of squares.
    """
    terms, offsets, depth, _ = sizes(self.columns)
    linear, quadratic = (
        graph_ops.reshape(x, [terms, 1, num_heads, 1, 1])
        for x in (grad_sums, twice_grad_squares))
    if form == 'lanes':
      grad_vectors = self._gradient_in_lanes(
          vectors, num_heads, grad_sums, twice_grad_squares)
    else:
      x = _by_position(vectors, num_heads)
      grad = tf.matmul(quadratic * self.gram, x) + linear * self.row
      grad_vectors = [
          graph_ops.reshape(graph_ops.transpose(part, [2, 1, 0]),
                            [-1, depth, sizes(part)[0]])
          for part in tf.unstack(graph_ops.reshape(
              grad, [terms, sizes(x)[1], num_heads * depth, -1]))]
    total, square = (
        graph_ops.reduce_sum(factor * value, 2)
        for factor, value in zip((linear, quadratic), over_rows))
    grad_pairs = tf.matmul(self.visible, graph_ops.reshape(
        square, [terms, -1, depth * depth]), transpose_a=True)
    grad_embeddings = graph_ops.reshape(tf.matmul(graph_ops.reshape(
        grad_pairs, [terms, offsets, depth, depth]), self.columns),
        [terms, offsets, depth])
    return grad_vectors, grad_embeddings + tf.matmul(
        self.visible, graph_ops.reshape(total, [terms, -1, depth]),
        transpose_a=True)

  def _gradient_in_lanes(self, vectors, num_heads, *grads):
    found = []
    for x, row, gram, *by_head in zip(
        vectors, *map(tf.unstack, (self.row, self.gram, *grads))):
      linear, quadratic = (
          heads.to_rows(tf.expand_dims(value, 1),
                        sizes(x)[0] // num_heads, 'lanes')
          for value in by_head)
      # [x, 1, d, 1] -> [1, d, x, 1] and [x, 1, d, d] -> [1, d, d, x, 1].
      row = graph_ops.transpose(row, [1, 2, 0, 3])
      gram = tf.expand_dims(graph_ops.transpose(gram, [1, 2, 3, 0]), 4)
      found.append(linear * row + quadratic * graph_ops.reduce_sum(
          gram * tf.expand_dims(precision.widen(x), 1), 2))
    return found


def _by_position(vectors, num_heads):
  """Tensors [n, d, x] -> [t, x, h, d, rows]."""
  _, depth, length = sizes(vectors[0])
  turned = [
      graph_ops.transpose(graph_ops.reshape(
          x, [-1, num_heads * depth, length]), [2, 1, 0]) for x in vectors]
  return precision.widen(graph_ops.reshape(
      tf.stack(turned), [len(vectors), length, num_heads, depth, -1]))


def _over_lanes(vectors, num_heads):
  """Returns sums over rows, as the second result of Position.sums()."""
  totals, squares = [], []
  for x in map(precision.widen, vectors):
    total = heads.over_rows(x, num_heads, 'lanes')
    square = heads.over_rows(_pairs(x), num_heads, 'lanes')
    totals.append(graph_ops.transpose(total, [2, 0, 1]))
    squares.append(graph_ops.transpose(square, [3, 0, 1, 2]))
  return tf.expand_dims(tf.stack(totals), 4), tf.stack(squares)


def _pairs(x):
  """Products of depths: [n, d, x, lane] -> [n, d, d, x, lane]."""
  return tf.expand_dims(x, 2) * tf.expand_dims(x, 1)


def _gram_in_lanes(x):
  """Sums x x^T over positions: [n, d, x, lane] -> [n, d, d, lane]."""
  return graph_ops.reduce_sum(_pairs(x), 3)


def _multiply_in_lanes(matrices, x):
  """[n, d, d, lane] x [n, d, x, lane] -> [n, d, x, lane]."""
  return graph_ops.reduce_sum(
      tf.expand_dims(matrices, 3) * tf.expand_dims(x, 1), 2)


def _by_row(grad_sums, twice_grad_squares, vectors, num_heads, form):
  """Returns factors [n, 1, 1] of what is summed and of the sum's terms."""
  both = graph_ops.transpose(
      graph_ops.concat([grad_sums, twice_grad_squares], 0), [1, 0])
  return graph_ops.split(
      heads.to_rows(both, sizes(vectors)[0] // num_heads, form),
      [1, 1], heads.axis_of_terms(form))
