"""The backward pass of attention_core, chunk by chunk.

It makes the attention weights anew from the logarithm of the softmax's
denominator, so that no map of queries and keys outlives the chunk of rows in
which it is made. The letters are those of attention_core.
"""

from typing import Tuple

import tensorflow as tf

from axial_tf.layers import attention_core as core
from axial_tf.layers import attention_maps as maps


def attend_gradient(
    rows: core.RowOperands, shared: core.SharedOperands,
    retrieved: core.Retrieved, upstream: core.Retrieved, form: core.Form,
    fused: bool) -> Tuple[core.RowOperands, core.SharedOperands]:
  """Computes the gradients of attend() for a chunk of rows.

  With the weights w = softmax(logits) and dw their gradient, that of the
  logits is w (dw - delta), where delta = sum_m w dw is the inner product of
  what was retrieved and its gradient.

  Args:
    rows: as given to attend().
    shared: as given to attend().
    retrieved: what attend() returned.
    upstream: gradients of `retrieved.content` and `retrieved.position`.
    form: as given to attend().
    fused: as in pair_terms.

  Returns:
    Gradients with the fields of rows and shared (those of shared summed over
    the rows; 'outside' and 'band' have none).
  """
  weights, of_logits, query, key, value = maps.call(
      _weights_and_gradient, fused, rows, shared, retrieved, upstream, form)

  of_value = tf.zeros_like(value)
  of_value_rpe = None
  if form.value_content:  # rlhe,rhlm->rhem
    of_value = tf.matmul(tf.transpose(upstream.content, [0, 2, 1, 3]), weights,
                         transpose_a=True)
  if shared.value_rpe is not None:  # rlhe,rhlm->lem
    _, length, heads, depth = maps.sizes(upstream.position)
    of_position = tf.transpose(tf.reshape(  # One matrix per query position.
        upstream.position, [-1, length, heads * depth]), [1, 0, 2])
    of_value_rpe = tf.matmul(tf.reshape(of_position, [length, -1, depth]),
                             maps.by_query(weights), transpose_a=True)
  # Each term gives its part of the gradients of queries and keys; the part of
  # a term's own vector is its gradient before the term's scale.
  of_query, of_key = [], []
  of_content_scale = of_query_scale = of_key_scale = None
  of_query_rpe = of_key_rpe = None
  if form.content:
    of_key.append(tf.matmul(  # rhdl,rhlm->rhdm
        core.scaled(query, shared.content_scale), of_logits))
    part = tf.linalg.matrix_transpose(  # rhdm,rhlm->rhdl
        tf.matmul(of_logits, key, transpose_b=True))
    of_query.append(core.scaled(part, shared.content_scale))
    of_content_scale = _of_scale(query, part, shared.content_scale)
  if shared.query_rpe is not None:
    by_query = maps.by_query(of_logits)
    of_query_rpe = tf.matmul(  # rhdl,rhlm->ldm
        maps.by_position(core.scaled(query, shared.query_scale), [2, 1, 0]),
        by_query)
    part = maps.rows_first(  # ldm,rhlm->rhdl
        tf.matmul(by_query, shared.query_rpe, transpose_b=True), query)
    of_query.append(core.scaled(part, shared.query_scale))
    of_query_scale = _of_scale(query, part, shared.query_scale)
  if shared.key_rpe is not None:
    by_key = maps.by_key(of_logits)
    of_key_rpe = tf.transpose(  # rhdm,rhlm->ldm
        tf.matmul(
            maps.by_position(core.scaled(key, shared.key_scale), [2, 1, 0]),
            by_key), [2, 1, 0])
    key_rpe = tf.transpose(shared.key_rpe, [2, 1, 0])  # [m, d, l]
    part = maps.rows_first(  # ldm,rhlm->rhdm
        tf.matmul(by_key, key_rpe, transpose_b=True), key)
    of_key.append(core.scaled(part, shared.key_scale))
    of_key_scale = _of_scale(key, part, shared.key_scale)
  of_shift = None
  if shared.shift is not None:
    of_shift = tf.reduce_sum(of_logits, [0, 2, 3])
  return (
      _join_heads(core.Heads(
          _sum(of_query, query), _sum(of_key, key), of_value), rows),
      core.SharedOperands(
          of_content_scale, of_query_scale, of_key_scale, of_query_rpe,
          of_key_rpe, of_value_rpe, of_shift, None))


def sum_gradient(
    retrieved: core.Retrieved, gains: core.Gains, upstream: tf.Tensor
) -> Tuple[core.Retrieved, core.Gains]:
  """Computes the gradients of what attend() sums.

  Args:
    retrieved: what attend() returns without gains.
    gains: as given to attend().
    upstream: gradient of the sum, [r, l, h, e].

  Returns:
    Gradients of `retrieved.content` and `retrieved.position`, and of the gains.
  """

  def over_rows(x):
    return tf.reduce_sum(x, [0, 1])

  of_terms = [
      None if x is None else upstream if gain is None else upstream * gain
      for x, gain in zip(retrieved[:2], gains[:2])]
  of_gains = [
      None if gain is None else over_rows(upstream * x)
      for x, gain in zip(retrieved[:2], gains[:2])]
  of_offset = None if gains.offset is None else over_rows(upstream)
  return core.Retrieved(*of_terms, None), core.Gains(*of_gains, of_offset)


def _weights_and_gradient(fused, rows, shared, retrieved, upstream, form):
  """Returns the weights, the gradient of the logits and the Heads."""
  heads = core.split_heads(rows, form)
  logits = core.logits_of(fused, heads, rows.outside, shared, form)
  of_content, of_position = (
      None if x is None else tf.transpose(x, [0, 2, 3, 1])
      for x in upstream[:2])
  of_weights = maps.pair_terms(
      of_content, heads.value, of_position, shared.value_rpe, None, None, fused)
  if form.activation == 'sigmoid':
    weights = tf.sigmoid(logits)
    return weights, weights * (1 - weights) * of_weights, *heads
  weights = tf.exp(logits - retrieved.log_normalizer[..., None])
  delta = sum(
      tf.reduce_sum(a * b, 3)
      for a, b in zip(retrieved[:2], upstream[:2]) if a is not None)
  delta = tf.transpose(delta, [0, 2, 1])[..., None]  # [r, h, l, 1]
  return weights, weights * (of_weights - delta), *heads


def _join_heads(heads: core.Heads, rows: core.RowOperands) -> core.RowOperands:
  """Turns core.split_heads() back, for gradients."""
  query, key, value = (
      tf.reshape(x, [-1, x.shape[1] * x.shape[2], maps.sizes(x)[3]])
      for x in heads)
  if rows.windows is None:
    return core.RowOperands(tf.concat([query, key, value], 1), None, None)
  return core.RowOperands(query, tf.concat([key, value], 1), None)


def _of_scale(vectors, part, scale):
  """Gradient of core.scaled(vectors, scale) for the scale."""
  return None if scale is None else tf.reduce_sum(
      tf.reduce_sum(vectors * part, [2, 3]), 0)


def _sum(parts, like):
  return tf.add_n(parts) if parts else tf.zeros_like(like)
