"""The maths of position-sensitive attention in k x k windows.

Equation 3 of the paper, over the k x k pixels p around each pixel o:

  y_o = sum_p softmax_p(q_o.k_p + q_o.r^q_{p-o} + k_p.r^k_{p-o})
              (v_p + r^v_{p-o})

The embedding of an offset is, as in stand-alone self-attention (the paper's
baseline), the concatenation of one of its row offset and one of its column
offset. A position term therefore is a sum of a term that does not depend on
the key's column and one that does not depend on its row. Neither needs a
tensor of the size of the logits, nor do their moments.

Letters: g batch and head, n, o blocks (down, across), y, x query in its block,
w, z key in its window (down, across), d depth.
"""

import math
from typing import List, NamedTuple, Optional, Tuple

import tensorflow as tf

from axial_tf.layers import precision
from axial_tf.layers.baselines import local_windows_2d
from axial_tf.layers.shapes import sizes

# Twice this is still finite in float32; a query that pads the last block has
# no valid key at all.
_EXCLUDED = -1e38


class Tables(NamedTuple):
  """Embeddings of the k row offsets [k, d1] and column offsets [k, d2]."""
  rows: tf.Tensor
  columns: tf.Tensor


class PairTerms(NamedTuple):
  """The logit terms before batch norm, float32; None where not in use.

  Attributes:
    content: q.k, [g, n, o, y, x, w, z].
    query: q.r^q as summands of rows [g, n, o, y, x, w] and of columns
      [g, n, o, y, x, z].
    key: k.r^k as summands of rows [g, n, o, y, w, z] and of columns
      [g, n, o, x, w, z].
  """
  content: Optional[tf.Tensor]
  query: Optional[Tuple[tf.Tensor, tf.Tensor]]
  key: Optional[Tuple[tf.Tensor, tf.Tensor]]


def pair_terms(query: tf.Tensor, key: tf.Tensor, content: bool,
               query_rpe: Optional[Tables], key_rpe: Optional[Tables],
               cut: local_windows_2d.Cut) -> PairTerms:
  """Returns the logit terms.

  Args:
    query: [g, n, o, y, x, d].
    key: [g, n, o, w, z, d].
    content: whether q.k is in use.
    query_rpe: tables of r^q or None.
    key_rpe: tables of r^k or None.
    cut: cut of the image into blocks.
  """
  content_term = query_term = key_term = None
  if content:
    content_term = precision.widen(tf.reshape(
        tf.matmul(_flat(query), _flat(key), transpose_b=True),
        sizes(query)[:5] + sizes(key)[3:5]))
  if query_rpe is not None:
    rows, columns = _embeddings(query_rpe, cut)
    split = rows.shape[-1]
    query_term = (
        _product('gnoyxd,ywd->gnoyxw', query[..., :split], rows),
        _product('gnoyxd,xzd->gnoyxz', query[..., split:], columns))
  if key_rpe is not None:
    rows, columns = _embeddings(key_rpe, cut)
    split = rows.shape[-1]
    key_term = (
        _product('gnowzd,ywd->gnoywz', key[..., :split], rows),
        _product('gnowzd,xzd->gnoxwz', key[..., split:], columns))
  return PairTerms(content_term, query_term, key_term)


def moments(terms: PairTerms, heads: int, cut: local_windows_2d.Cut
            ) -> Tuple[tf.Tensor, tf.Tensor]:
  """Returns mean and mean square of each term per head, over valid pairs.

  Returns:
    Two tensors [terms * heads], term outermost.
  """
  by_term = []
  if terms.content is not None:
    by_term.append(_content_sums(terms.content, cut))
  if terms.query is not None:
    by_term.append(
        _sums_of_outer_sum(terms.query, _query_masks(cut), axis=-1))
  if terms.key is not None:
    by_term.append(_sums_of_outer_sum(terms.key, _key_masks(cut), axis=-3))
  sums, squares = (tf.concat([_per_head(part, heads) for part in parts], 0)
                   for parts in zip(*by_term))
  images = tf.cast(tf.shape(by_term[0][0])[0] // heads, sums.dtype)
  pairs = (images * tf.reduce_sum(cut.rows.valid)
           * tf.reduce_sum(cut.columns.valid))
  return sums / pairs, squares / pairs


def logits(terms: PairTerms, scales: List[tf.Tensor],
           shift: Optional[tf.Tensor], cut: local_windows_2d.Cut) -> tf.Tensor:
  """Returns the sum of the scaled terms, [g, n, o, y, x, w, z].

  Pairs that are not valid get a large negative number: the masks of rows and
  columns are added to the small summands and so cost nothing.

  Args:
    terms: result of pair_terms.
    scales: factor [heads] of each term in use.
    shift: [heads], added to all logits, or None.
    cut: cut of the image into blocks.
  """
  by_term = iter(zip(scales, [shift, None, None]))
  total = None
  if terms.content is not None:
    total = _affine(terms.content, *next(by_term))
  rows, columns = (_EXCLUDED * (1 - mask) for mask in _query_masks(cut))
  if terms.query is not None:
    scale, shift = next(by_term)
    rows += _affine(terms.query[0], scale, shift)
    columns += _affine(terms.query[1], scale)
  pairs = rows[..., None] + columns[..., None, :]
  total = pairs if total is None else total + pairs
  if terms.key is not None:
    scale, shift = next(by_term)
    total += _affine(terms.key[0], scale, shift)[..., :, None, :, :]
    total += _affine(terms.key[1], scale)[..., None, :, :, :]
  return total


def attention_weights(pair_logits: tf.Tensor, activation: str) -> tf.Tensor:
  """'softmax' over both axes of the window, or 'sigmoid' of each pair."""
  if activation == 'sigmoid':
    return tf.sigmoid(pair_logits)
  shape = sizes(pair_logits)
  flat = tf.reshape(pair_logits, [-1, shape[5] * shape[6]])
  return tf.reshape(tf.nn.softmax(flat), shape)


def retrieve(weights: tf.Tensor, value: Optional[tf.Tensor],
             value_rpe: Optional[Tables],
             cut: local_windows_2d.Cut) -> List[tf.Tensor]:
  """Returns retrieved content and position, [g, n, o, y, x, d], if in use.

  Args:
    weights: [g, n, o, y, x, w, z].
    value: [g, n, o, w, z, d] or None.
    value_rpe: tables of r^v or None.
    cut: cut of the image into blocks.
  """
  shape = sizes(weights)
  retrieved = []
  if value is not None:
    pairs = tf.reshape(
        weights, shape[:3] + [shape[3] * shape[4], shape[5] * shape[6]])
    retrieved.append(tf.reshape(
        tf.matmul(pairs, _flat(value)), shape[:5] + [value.shape[-1]]))
  if value_rpe is not None:
    rows, columns = _embeddings(value_rpe, cut)
    retrieved.append(tf.concat([
        tf.einsum('gnoyxw,ywd->gnoyxd', tf.reduce_sum(weights, -1), rows),
        tf.einsum('gnoyxz,xzd->gnoyxd', tf.reduce_sum(weights, -2), columns),
    ], axis=-1))
  return retrieved


def _embeddings(tables, cut):
  """[k, d] of each axis -> [l, m, d]; zeros for offsets outside the window."""
  # A product with ones and zeros has, unlike a gather, a dense gradient.
  return [
      tf.tensordot(
          tf.one_hot(axis.table_rows, table.shape[0], dtype=table.dtype),
          table, 1)
      for table, axis in zip(tables, cut)]


def _content_sums(content, cut):
  rows, columns = _query_masks(cut)
  masked = rows[..., None] * columns[..., None, :] * content
  return masked, masked * content


def _sums_of_outer_sum(summands, masks, axis):
  """Sums a + b and (a + b)^2 over all valid pairs of a and b.

  Sum_ij (a_i + b_j)^2 = (number of j) sum_i a_i^2 + 2 sum_i a_i sum_j b_j
  + (number of i) sum_j b_j^2.

  Args:
    summands: a and b; they differ in size along `axis` alone.
    masks: zeros and ones, which of a and of b are valid.
    axis: axis of i and of j.

  Returns:
    Both without that axis.
  """
  (a, b), (valid_a, valid_b) = summands, masks
  count_a, count_b = (tf.reduce_sum(mask, axis) for mask in masks)
  sum_a, sum_b = (tf.reduce_sum(x, axis) for x in (valid_a * a, valid_b * b))
  square_a, square_b = (
      tf.reduce_sum(x, axis) for x in (valid_a * a * a, valid_b * b * b))
  return (count_b * sum_a + count_a * sum_b,
          count_b * square_a + 2 * sum_a * sum_b + count_a * square_b)


def _per_head(tensor, heads):
  """Sums [batch * heads, ...] to [heads]."""
  tensor = tf.reduce_sum(tensor, list(range(1, tensor.shape.rank)))
  return tf.reduce_sum(tf.reshape(tensor, [-1, heads]), 0)


def _affine(tensor, scale, shift=None):
  """[batch * heads, ...] * scale + shift, both [heads]."""
  shape = sizes(tensor)
  tensor = tf.reshape(tensor, [-1, scale.shape[0], math.prod(shape[1:])])
  tensor *= tf.cast(scale, tensor.dtype)[:, None]
  if shift is not None:
    tensor += tf.cast(shift, tensor.dtype)[:, None]
  return tf.reshape(tensor, shape)


# Masks are repeated along an axis that they do not depend on: the products
# with them then broadcast along few groups of axes, and TensorFlow's CPU
# kernels support no more than five.


def _query_masks(cut):
  """Valid rows [n, 1, y, x, w] and columns [o, y, x, z] of each query."""
  rows, columns = cut.rows.valid, cut.columns.valid
  return (tf.repeat(rows[:, None, :, None], cut.columns.block, axis=3),
          tf.repeat(columns[:, None], cut.rows.block, axis=1))


def _key_masks(cut):
  """Valid rows [n, 1, y, w, z] and columns [o, x, w, z] of each key."""
  rows, columns = cut.rows.valid, cut.columns.valid
  high, wide = sizes(rows)[-1], sizes(columns)[-1]
  return (tf.repeat(rows[:, None, :, :, None], wide, axis=4),
          tf.repeat(columns[:, :, None], high, axis=2))


def _flat(blocks):
  """[g, n, o, a, b, d] -> [g, n, o, a * b, d]."""
  shape = sizes(blocks)
  return tf.reshape(blocks, shape[:3] + [shape[3] * shape[4], shape[5]])


def _product(equation, a, b):
  return precision.widen(tf.einsum(equation, a, b))
