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
per (term, head): its scale is folded into the operands, so that no term is
stored by itself, and its shift, equal for all keys, drops out of the softmax.

Forward and backward pass are both written out here. The backward pass makes
the attention weights anew from the logarithm of the softmax's denominator, so
that no map of queries and keys outlives the chunk of rows in which it is made
(`attention_rows` cuts the chunks).

Letters: r rows (batch, blocks of a local span, the other axis), h heads, l
query position, m key (memory) position, d depth of queries and keys, e depth
of values. All maps are [r, h, l, m]; all
vectors have the position last, [r, h, d, l], so that vector instructions run
along it.
"""

from typing import NamedTuple, Optional, Tuple

import tensorflow as tf

from axial_tf.layers import attention_maps as maps

# Offsets are told apart up to this span; longer ones share the outermost row.
MAX_SPAN = 255
TABLE_ROWS = 2 * MAX_SPAN - 1

Maybe = Optional[tf.Tensor]


class RowOperands(NamedTuple):
  """Operands that differ by row; None for those of a term switched off.

  The logits are query_content.key_content + query_position.r^q +
  key_position.r^k: the same queries and keys under the terms' scales.

  Attributes:
    query_content: [r, h, d, l].
    key_content: [r, h, d, m].
    query_position: [r, h, d, l].
    key_position: [r, h, d, m].
    value: [r, h, e, m].
    outside: [r, m], 0 for keys within the axis and a large negative number for
      those outside; None if all are within.
  """
  query_content: Maybe
  key_content: Maybe
  query_position: Maybe
  key_position: Maybe
  value: Maybe
  outside: Maybe


class SharedOperands(NamedTuple):
  """Operands that all rows share; None for those of a term switched off.

  Attributes:
    query_rpe: r^q [l, d, m].
    key_rpe: r^k [l, d, m].
    value_rpe: r^v [l, e, m].
    shift: [h], added to the logits; None for a softmax, which cancels it.
    band: [l, m], 0 for the pairs within the span and a large negative number
      for the others; None if all are within.
  """
  query_rpe: Maybe
  key_rpe: Maybe
  value_rpe: Maybe
  shift: Maybe
  band: Maybe


class Retrieved(NamedTuple):
  """What a query retrieves.

  Attributes:
    content: sum of weighted values [r, l, h, e], or None.
    position: sum of weighted embeddings [r, l, h, e], or None.
    log_normalizer: logarithm of the softmax's denominator [r, h, l]; None for
      a sigmoid.
  """
  content: Maybe
  position: Maybe
  log_normalizer: Maybe


def position_embeddings(table: tf.Tensor, query_positions: tf.Tensor,
                        key_positions: tf.Tensor) -> tf.Tensor:
  """Returns r_{p-o} for all pairs: the table's row of each key - query offset.

  Args:
    table: [509, d]; row 254 belongs to offset 0.
    query_positions: int32 [l].
    key_positions: int32 [m].

  Returns:
    [l, d, m].
  """
  offsets = key_positions[None, :] - query_positions[:, None]
  rows = tf.clip_by_value(offsets + MAX_SPAN - 1, 0, TABLE_ROWS - 1)
  # A slice in between makes the gradient of the table a dense tensor.
  return tf.transpose(tf.gather(table[:TABLE_ROWS], rows), [0, 2, 1])


def attend(rows: RowOperands, shared: SharedOperands, activation: str,
           fused: bool) -> Retrieved:
  """Computes equation 3 for a chunk of rows.

  Args:
    rows: operands.
    shared: operands.
    activation: 'softmax' over the keys or 'sigmoid' of each pair.
    fused: as in pair_terms.
  """
  weights, total, log_normalizer = maps.call(
      _weights, fused, rows, shared, activation)
  content = position = None
  if rows.value is not None:  # rhlm,rhem->rhle
    content = tf.matmul(weights, rows.value, transpose_b=True)
  if shared.value_rpe is not None:  # rhlm,lem->l(rh)e
    position = tf.matmul(
        maps.by_query(weights), shared.value_rpe, transpose_b=True)
  return Retrieved(
      *maps.call(_finish, fused, content, position, total,
                 weights.shape[1]), log_normalizer)


def attend_gradient(
    rows: RowOperands, shared: SharedOperands, retrieved: Retrieved,
    upstream: Retrieved, activation: str, fused: bool
) -> Tuple[RowOperands, SharedOperands]:
  """Computes the gradients of attend() for a chunk of rows.

  With the weights w = softmax(logits) and dw their gradient, that of the
  logits is w (dw - delta), where delta = sum_m w dw is the inner product of
  what was retrieved and its gradient.

  Args:
    rows: as given to attend().
    shared: as given to attend().
    retrieved: what attend() returned.
    upstream: gradients of `retrieved.content` and `retrieved.position`.
    activation: as given to attend().
    fused: as in pair_terms.

  Returns:
    Gradients with the fields of rows and shared (those of shared summed over
    the rows; 'outside' and 'band' have none).
  """
  weights, of_logits = maps.call(
      _weights_and_gradient, fused, rows, shared, retrieved, upstream,
      activation)

  of_value = of_value_rpe = None
  if rows.value is not None:  # rlhe,rhlm->rhem
    of_value = tf.matmul(tf.transpose(upstream.content, [0, 2, 1, 3]), weights,
                         transpose_a=True)
  if shared.value_rpe is not None:  # rlhe,rhlm->lem
    _, length, heads, depth = maps.sizes(upstream.position)
    of_position = tf.transpose(tf.reshape(  # One matrix per query position.
        upstream.position, [-1, length, heads * depth]), [1, 0, 2])
    of_value_rpe = tf.matmul(tf.reshape(of_position, [length, -1, depth]),
                             maps.by_query(weights), transpose_a=True)
  of_query = of_key = of_query_position = of_query_rpe = None
  if rows.query_content is not None:
    of_key = tf.matmul(rows.query_content, of_logits)  # rhdl,rhlm->rhdm
    of_query = tf.linalg.matrix_transpose(  # rhdm,rhlm->rhdl
        tf.matmul(of_logits, rows.key_content, transpose_b=True))
  if rows.query_position is not None:
    by_query = maps.by_query(of_logits)
    of_query_rpe = tf.matmul(  # rhdl,rhlm->ldm
        maps.by_position(rows.query_position, [2, 1, 0]), by_query)
    of_query_position = maps.rows_first(  # ldm,rhlm->rhdl
        tf.matmul(by_query, shared.query_rpe, transpose_b=True),
        rows.query_position)
  of_key_position = of_key_rpe = None
  if rows.key_position is not None:
    by_key = maps.by_key(of_logits)
    key_rpe = tf.transpose(shared.key_rpe, [2, 1, 0])  # [m, d, l]
    of_key_rpe = tf.transpose(  # rhdm,rhlm->ldm
        tf.matmul(maps.by_position(rows.key_position, [2, 1, 0]), by_key),
        [2, 1, 0])
    of_key_position = maps.rows_first(  # ldm,rhlm->rhdm
        tf.matmul(by_key, key_rpe, transpose_b=True), rows.key_position)
  of_shift = None
  if shared.shift is not None:
    of_shift = tf.reduce_sum(of_logits, [0, 2, 3])
  return (
      RowOperands(of_query, of_key, of_query_position, of_key_position,
                  of_value, None),
      SharedOperands(of_query_rpe, of_key_rpe, of_value_rpe, of_shift, None))


def _weights(fused, rows, shared, activation):
  """Returns weights, their sum over the keys and its logarithm.

  The weights of a softmax are not yet divided by their sum, and the logarithm
  is that of the sum of exp(logits).
  """
  logits = _logits(fused, rows, shared)
  if activation == 'sigmoid':
    return tf.sigmoid(logits), None, None
  largest = maps.largest(logits, fused)
  weights = tf.exp(logits - largest)
  total = tf.reduce_sum(weights, -1)
  return weights, total, largest[..., 0] + tf.math.log(total)


def _weights_and_gradient(
    fused, rows, shared, retrieved, upstream, activation):
  """Returns the weights and the gradient of the logits."""
  logits = _logits(fused, rows, shared)
  of_content, of_position = (
      None if x is None else tf.transpose(x, [0, 2, 3, 1])
      for x in upstream[:2])
  of_weights = maps.pair_terms(
      of_content, rows.value, of_position, shared.value_rpe, None, None, fused)
  if activation == 'sigmoid':
    weights = tf.sigmoid(logits)
    return weights, weights * (1 - weights) * of_weights
  weights = tf.exp(logits - retrieved.log_normalizer[..., None])
  delta = sum(
      tf.reduce_sum(a * b, 3)
      for a, b in zip(retrieved[:2], upstream[:2]) if a is not None)
  delta = tf.transpose(delta, [0, 2, 1])[..., None]  # [r, h, l, 1]
  return weights, weights * (of_weights - delta)


def _logits(fused, rows, shared):
  logits = maps.pair_terms(
      rows.query_content, rows.key_content, rows.query_position,
      shared.query_rpe, rows.key_position, shared.key_rpe, fused)
  if shared.shift is not None:
    logits += shared.shift[:, None, None]
  if shared.band is not None:
    logits += shared.band
  if rows.outside is not None:
    logits += rows.outside[:, None, None]
  return logits


def _finish(fused, content, position, total, heads):
  """Brings what is retrieved to [r, l, h, e] and divides it by the total."""
  del fused
  share = 1.0
  if total is not None:
    share = tf.transpose(1 / total, [0, 2, 1])[..., None]
  if content is not None:
    content = tf.transpose(content, [0, 2, 1, 3]) * share
  if position is not None:
    length, _, depth = maps.sizes(position)
    position = tf.transpose(tf.reshape(
        position, [length, -1, heads, depth]), [1, 0, 2, 3]) * share
  return content, position
