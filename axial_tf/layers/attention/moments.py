"""Mean and mean square of the logits, without the logits.

In training, batch norm needs the statistics of each term of the logits over
all pairs of queries and keys. With a position term, sum_m q_l.r_lm =
q_l.(sum_m r_lm) and sum_m (q_l.r_lm)^2 = q_l^T (sum_m r_lm r_lm^T) q_l, and
the sums over m do not depend on the row. For the content term over all pairs,
sum_lm (q_l.k_m)^2 = <sum_l q_l q_l^T, sum_m k_m k_m^T>. None of these needs a
tensor of the size of the logits; only the content term of a local span does,
one chunk of rows at a time.
"""

from typing import Optional, Tuple

import tensorflow as tf

from axial_tf.layers.attention import chunks, maps, span
from axial_tf.layers.shapes import sizes


def logit_moments(
    query: tf.Tensor, key: tf.Tensor, *, content: bool,
    query_rpe: Optional[tf.Tensor], key_rpe: Optional[tf.Tensor],
    blocks: span.Blocks, execution: chunks.Execution
) -> Tuple[tf.Tensor, tf.Tensor]:
  """Returns mean and mean square of each term per head, over all valid pairs.

  Args:
    query: [r, h, d, l], float32 (or float64).
    key: [r, h, d, m].
    content: whether the content term is in use.
    query_rpe: r^q [l, d, m], or None if that term is not in use.
    key_rpe: r^k [l, d, m], or None.
    blocks: cut of the axis, the inner axis of r; vectors outside of the axis
      are zeros.
    execution: how chunks of rows are computed.

  Returns:
    Two tensors [terms * h], term outermost.
  """
  count = sizes(query)[0]
  valid = None
  if blocks.pair_mask is None:
    pairs = count * sizes(query)[-1] * sizes(key)[-1]
  else:
    valid = tf.cast(  # [n, l, m]
        blocks.pair_mask & blocks.query_mask[:, :, None]
        & blocks.key_mask[:, None], query.dtype)
    pairs = tf.cast(
        count // blocks.count, query.dtype) * tf.reduce_sum(valid)
  moments = []
  if content:
    moments.append(
        _content_sums(query, key) if valid is None
        else _masked_content_sums(
            query, key, tf.cast(blocks.pair_mask, query.dtype), execution))
  if query_rpe is not None:
    moments.append(_position_sums(query, query_rpe, valid))
  if key_rpe is not None:
    moments.append(_position_sums(
        key, tf.transpose(key_rpe, [2, 1, 0]),
        None if valid is None else tf.transpose(valid, [0, 2, 1])))
  sums, squares = (tf.concat(m, 0) for m in zip(*moments))
  pairs = tf.cast(pairs, query.dtype)
  return sums / pairs, squares / pairs


def _content_sums(query, key):
  """Sum and sum of squares of q_l.k_m over all pairs, each [h]."""
  sums = tf.einsum(
      'rhd,rhd->h', tf.reduce_sum(query, 3), tf.reduce_sum(key, 3))
  squares = tf.einsum(
      'rhde,rhde->h', tf.matmul(query, query, transpose_b=True),
      tf.matmul(key, key, transpose_b=True))
  return sums, squares


def _masked_content_sums(query, key, pair_mask, execution):
  """Sums q.k and its square over the pairs of all rows that a mask allows.

  Args:
    query: [r, h, d, l].
    key: [r, h, d, m].
    pair_mask: [l, m] of zeros and ones.
    execution: how chunks of rows are computed.

  Returns:
    Two tensors [h].
  """

  @tf.custom_gradient
  def compute(query, key):
    _, sums = chunks.apply(
        lambda rows: ([], maps.call(
            _chunk_sums, None, execution.fused, *rows, pair_mask)),
        (query, key), execution.chunk)

    def backward(*upstream):

      def chunk_gradient(rows):
        with tf.GradientTape() as tape:
          tape.watch(rows)
          sums = _chunk_sums(None, False, *rows, pair_mask)
        return tape.gradient(sums, rows, upstream), []

      return chunks.apply(chunk_gradient, (query, key), execution.chunk)[0]

    return tuple(sums), backward

  return compute(query, key)


def _chunk_sums(settings, fused, query, key, pair_mask):
  del settings
  content = pair_mask * maps.content_term(query, key, fused)
  # Two steps: a sum over adjacent axes is many times faster on CPUs.
  return [tf.reduce_sum(tf.reduce_sum(x, [2, 3]), 0)
          for x in (content, tf.square(content))]


def _position_sums(vectors, embeddings, valid):
  """Sum and sum of squares of x_l.r_lm over the valid pairs, each [h].

  Args:
    vectors: x [r, h, d, l].
    embeddings: r [l, d, m].
    valid: [n, l, m] of zeros and ones, or None.
  """
  if valid is None:
    row = tf.reduce_sum(embeddings, 2)[None]
    gram = tf.matmul(embeddings, embeddings, transpose_b=True)[None]
  else:
    row = tf.einsum('nlm,ldm->nld', valid, embeddings)
    gram = tf.matmul(
        valid[:, :, None] * embeddings, embeddings, transpose_b=True)
  _, heads, depth, length = sizes(vectors)
  blocks = sizes(row)[0]
  vectors = tf.reshape(vectors, [-1, blocks, heads * depth, length])
  # One matrix transpose per block brings the positions to the front.
  vectors = tf.linalg.matrix_transpose(tf.reshape(
      tf.transpose(vectors, [1, 0, 2, 3]), [blocks, -1, length]))
  by_position = tf.reshape(vectors, [blocks, length, -1, depth])
  sums = tf.reduce_sum(tf.reshape(vectors, [
      blocks, length, -1, heads, depth]), 2) * row[:, :, None]
  squares = by_position * tf.matmul(by_position, gram)
  return tuple(
      tf.reduce_sum(tf.reshape(tf.reduce_sum(
          tf.reshape(x, [-1, heads * depth]), 0), [heads, depth]), 1)
      for x in (sums, squares))
