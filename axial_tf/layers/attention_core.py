"""The maths of position-sensitive axial attention, as pure functions.

Equation 3 of the paper, along one axis (equation 4):

  y_o = sum_p softmax_p(q_o.k_p + q_o.r^q_{p-o} + k_p.r^k_{p-o})
              (v_p + r^v_{p-o})

The logit of a pair (query o, key p) has three terms. The content term lets
each query meet each key wherever they are. The query-position term is what a
query seeks at an offset, whatever stands there; the key-position term is
where a key wants to be seen from, whoever asks. What is retrieved is the value
itself and an embedding of the offset at which it was found. The embeddings r
depend on p - o alone and are shared by the heads.

Each term is batch-normalized per head before the sum. That is an affine map
per (term, head): its scale is folded into q and k, so that no term is stored
by itself, and its shift, equal for all keys, drops out of the softmax.

Einsum letters: b batch (the other axis and the blocks of a local span folded
in), n block, h head, l query position, m key (memory) position, d, e depth.
"""

from typing import List, NamedTuple, Optional, Tuple

import tensorflow as tf

# Offsets are told apart up to this span; longer ones share the outermost row.
MAX_SPAN = 255
TABLE_ROWS = 2 * MAX_SPAN - 1


class LogitOperands(NamedTuple):
  """What the logits are made of; a term switched off has None.

  Attributes:
    query: [b, h, l, d].
    key: [b, h, m, d].
    content: whether queries meet keys.
    query_rpe: r^q [l, m, d] or None.
    key_rpe: r^k [l, m, d] or None.
    valid: bool [n, l, m], the pairs within the span in each of the n blocks
      that are folded into b (innermost), or None if all pairs count.
  """
  query: tf.Tensor
  key: tf.Tensor
  content: bool
  query_rpe: Optional[tf.Tensor]
  key_rpe: Optional[tf.Tensor]
  valid: Optional[tf.Tensor]


def position_embeddings(table: tf.Tensor, query_positions: tf.Tensor,
                        key_positions: tf.Tensor) -> tf.Tensor:
  """Returns r_{p-o} for all pairs: the table's row of each key - query offset.

  Args:
    table: [509, d]; row 254 belongs to offset 0.
    query_positions: int32 [l].
    key_positions: int32 [m].

  Returns:
    [l, m, d].
  """
  offsets = key_positions[None, :] - query_positions[:, None]
  rows = tf.clip_by_value(offsets + MAX_SPAN - 1, 0, TABLE_ROWS - 1)
  # A slice in between makes the gradient of the table a dense tensor.
  return tf.gather(table[:TABLE_ROWS], rows)


def logits(operands: LogitOperands, scales: List[tf.Tensor],
           shift: Optional[tf.Tensor] = None) -> tf.Tensor:
  """Returns the sum of the scaled logit terms, float32 [b, h, l, m].

  Args:
    operands: queries, keys and position embeddings.
    scales: factor [h] of each term in use, in the order content, query
      position, key position.
    shift: [h], added to all logits, or None.
  """
  query, key, content, query_rpe, key_rpe, _ = operands
  scales = iter(scales)
  terms = []
  if content:  # bhld,bhmd->bhlm
    terms.append(tf.matmul(
        _per_head(query, next(scales)), key, transpose_b=True))
  if query_rpe is not None:  # bhld,lmd->bhlm
    by_query = _position_major(_per_head(query, next(scales)))
    pairs = tf.matmul(by_query, tf.transpose(query_rpe, [0, 2, 1]))
    terms.append(_batch_major(pairs, [1, 0, 2], query))
  if key_rpe is not None:  # bhmd,lmd->bhlm
    by_key = _position_major(_per_head(key, next(scales)))
    pairs = tf.matmul(by_key, tf.transpose(key_rpe, [1, 2, 0]))
    terms.append(_batch_major(pairs, [1, 2, 0], key))
  total = tf.add_n(terms) if len(terms) > 1 else terms[0]
  if total.dtype != tf.float64:
    total = tf.cast(total, tf.float32)
  if shift is not None:
    total += tf.cast(shift, total.dtype)[:, None, None]
  return total


def logit_moments(operands: LogitOperands) -> Tuple[tf.Tensor, tf.Tensor]:
  """Returns mean and mean square of each term per head, over all valid pairs.

  With a position term, sum_m q_l.r_lm = q_l.(sum_m r_lm) and
  sum_m (q_l.r_lm)^2 = q_l^T (sum_m r_lm r_lm^T) q_l, and the sums over m do
  not depend on the batch. For the content term over all pairs,
  sum_lm (q_l.k_m)^2 = <sum_l q_l q_l^T, sum_m k_m k_m^T>. None of these needs
  a tensor of the size of the logits; only the content term of a local span
  does.

  Returns:
    Two tensors [terms * h], term outermost, float32 (float64 for float64).
  """
  query, key, content, query_rpe, key_rpe, valid = operands
  dtype = tf.float64 if query.dtype == tf.float64 else tf.float32
  query, key = tf.cast(query, dtype), tf.cast(key, dtype)
  if valid is None:
    pairs = tf.size(query[:, 0, :, 0]) * tf.shape(key)[2]
  else:
    valid = tf.cast(valid, dtype)
    blocks = tf.shape(valid)[0]
    pairs = (tf.shape(query)[0] // blocks) * tf.cast(
        tf.reduce_sum(valid), tf.int32)
  moments = []
  if content:
    moments.append(_content_sums(query, key, valid))
  if query_rpe is not None:
    moments.append(_position_sums(query, tf.cast(query_rpe, dtype), valid))
  if key_rpe is not None:
    transposed = tf.transpose(tf.cast(key_rpe, dtype), [1, 0, 2])
    valid_keys = None if valid is None else tf.transpose(valid, [0, 2, 1])
    moments.append(_position_sums(key, transposed, valid_keys))
  sums, squares = (tf.concat(m, 0) for m in zip(*moments))
  pairs = tf.cast(pairs, dtype)
  return sums / pairs, squares / pairs


def attention_weights(pair_logits: tf.Tensor, activation: str,
                      valid: Optional[tf.Tensor]) -> tf.Tensor:
  """Returns weights in 0..1, [b, h, l, m]; pairs that are not valid get 0.

  Args:
    pair_logits: [b, h, l, m].
    activation: 'softmax' over the keys, or 'sigmoid' of each pair.
    valid: bool [n, l, m] as in LogitOperands.
  """
  if valid is not None:
    _, heads, queries, keys = _shape(pair_logits)
    # Finite, since a query that pads the last block has no valid key at all.
    excluded = tf.where(
        valid, tf.zeros([], pair_logits.dtype), pair_logits.dtype.min / 2)
    by_block = tf.reshape(
        pair_logits, [-1, _shape(valid)[0], heads, queries, keys])
    pair_logits = tf.reshape(
        by_block + excluded[:, None], [-1, heads, queries, keys])
  if activation == 'sigmoid':
    return tf.sigmoid(pair_logits)
  return tf.nn.softmax(pair_logits)


def retrieve(weights: tf.Tensor, value: Optional[tf.Tensor],
             value_rpe: Optional[tf.Tensor]) -> List[tf.Tensor]:
  """Returns the retrieved content and position, each [b, h, l, d], if in use.

  Args:
    weights: [b, h, l, m].
    value: [b, h, m, d] or None.
    value_rpe: r^v [l, m, d] or None.
  """
  retrieved = []
  if value is not None:  # bhlm,bhmd->bhld
    retrieved.append(tf.matmul(weights, value))
  if value_rpe is not None:  # bhlm,lmd->bhld
    found = tf.matmul(_position_major(weights),
                      tf.transpose(value_rpe, [0, 2, 1]), transpose_b=True)
    retrieved.append(_batch_major(found, [1, 0, 2], weights))
  return retrieved


def _per_head(tensor, scale):
  return tensor * tf.cast(scale, tensor.dtype)[:, None, None]


# Embeddings differ by position and not by batch or head, so a product with them
# is one matrix product per position. Transposing for it by hand, with d never
# the innermost axis of an embedding, makes a training step of the attention
# twice as fast as einsum: its gradients then need no narrow products.


def _position_major(tensor):
  """[b, h, l, x] -> [l, b * h, x]."""
  _, _, length, depth = _shape(tensor)
  return tf.transpose(tf.reshape(tensor, [-1, length, depth]), [1, 0, 2])


def _batch_major(tensor, order, like):
  """Transposes a product by position to [b * h, l, x] -> [b, h, l, x]."""
  tensor = tf.transpose(tensor, order)
  _, length, depth = _shape(tensor)
  return tf.reshape(tensor, [-1, _shape(like)[1], length, depth])


def _content_sums(query, key, valid):
  """Sum and sum of squares of q_l.k_m over the valid pairs, each [h]."""
  if valid is None:
    sums = tf.einsum('bhd,bhd->h', tf.reduce_sum(query, 2),
                     tf.reduce_sum(key, 2))
    squares = tf.einsum('bhde,bhde->h',
                        tf.matmul(query, query, transpose_a=True),
                        tf.matmul(key, key, transpose_a=True))
    return sums, squares
  content = tf.matmul(query, key, transpose_b=True)
  _, heads, queries, keys = _shape(content)
  content = valid[:, None] * tf.reshape(
      content, [-1, _shape(valid)[0], heads, queries, keys])
  # Two steps: a sum over adjacent axes is many times faster on CPUs.
  sums, squares = (tf.reduce_sum(x, [3, 4])
                   for x in (content, tf.square(content)))
  return tf.reduce_sum(sums, [0, 1]), tf.reduce_sum(squares, [0, 1])


def _position_sums(vectors, embeddings, valid):
  """Sum and sum of squares of x_l.r_lm over the valid pairs, each [h].

  Args:
    vectors: x [b, h, l, d].
    embeddings: r [l, m, d].
    valid: [n, l, m] of zeros and ones, or None.
  """
  if valid is None:
    row = tf.reduce_sum(embeddings, 1)[None]
    gram = tf.einsum('lmd,lme->lde', embeddings, embeddings)[None]
  else:
    row = tf.einsum('nlm,lmd->nld', valid, embeddings)
    gram = tf.einsum('nlm,lmde->nlde', valid,
                     embeddings[..., None] * embeddings[..., None, :])
  _, heads, length, depth = _shape(vectors)
  vectors = tf.reshape(vectors, [-1, _shape(row)[0], heads, length, depth])
  sums = tf.einsum('nhld,nld->h', tf.reduce_sum(vectors, 0), row)
  outer = tf.einsum('bnhld,bnhle->nhlde', vectors, vectors)
  return sums, tf.einsum('nhlde,nlde->h', outer, gram)


def _shape(tensor):
  """Returns the sizes, as ints where they are known."""
  dynamic = tf.shape(tensor)
  return [dynamic[i] if size is None else size
          for i, size in enumerate(tensor.shape)]
