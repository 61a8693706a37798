"""Backward pass of a chunk of rows, which recomputes its attention weights.

With the logarithm of the softmax's denominator, log_normalizer, the weights w
and the gradient of the logits are

  w           = exp(logits - log_normalizer)
  grad_w      = grad_content.v + grad_position.r^v
  delta       = sum_m w grad_w = content.grad_content + position.grad_position
  grad_logits = w (grad_w - delta)         (sigmoid: w (1 - w) grad_w)

This much is written by hand, so that one compiled loop over the map makes w
and grad_logits and no map outlives its chunk. The logits are linear in each of
their operands, and so is what the weights retrieve: the rest is left to
GradientTape. The letters are those of rows.
"""

from typing import List, Tuple

import tensorflow as tf

from axial_tf.layers.attention import chunks, maps
from axial_tf.layers.attention import rows as rows_lib
from axial_tf.layers.attention import settings as settings_lib


def attend_gradient(
    settings: settings_lib.AttentionSettings, fused: bool, rows: rows_lib.Rows,
    shared: rows_lib.Shared, retrieved: rows_lib.Retrieved,
    upstream: rows_lib.Retrieved) -> Tuple[List[tf.Tensor], List[tf.Tensor]]:
  """Computes the gradients of rows.attend() for a chunk of rows.

  Args:
    settings: settings as given to attend().
    fused: implementation as given to attend().
    rows: operands as given to attend().
    shared: operands as given to attend().
    retrieved: result of attend().
    upstream: gradients of `retrieved.content` and `retrieved.position`.

  Returns:
    Gradients of the tensors of rows and of shared, without those of masks;
    the latter are summed over the rows.
  """
  weights, grad_logits = maps.call(
      _weights_and_gradient, settings, fused, rows, shared, retrieved,
      upstream)
  sources = [chunks.tensors(x) for x in rows_lib.without_masks(rows, shared)]
  with tf.GradientTape() as tape:
    tape.watch(sources)
    # None of these is evaluated in a graph: their gradients do not need them.
    outputs = [rows_lib.logits(settings, False, rows, shared),
               *rows_lib.rows_first(
                   *rows_lib.retrieve(settings, weights, rows, shared),
                   settings.heads)]
  return tuple(tape.gradient(
      chunks.tensors(outputs), sources,
      [grad_logits, *chunks.tensors(upstream)],
      unconnected_gradients=tf.UnconnectedGradients.ZERO))


def total_gradient(
    retrieved: rows_lib.Retrieved, gains: rows_lib.Gains, upstream: tf.Tensor
) -> Tuple[rows_lib.Retrieved, List[tf.Tensor]]:
  """Returns the gradients of what rows.total() sums and those of its gains."""
  terms, used = retrieved._replace(log_normalizer=None), chunks.tensors(gains)
  with tf.GradientTape() as tape:
    tape.watch([chunks.tensors(terms), used])
    total = rows_lib.total(*terms[:2], gains)
  grad_terms, grad_gains = tape.gradient(
      total, [chunks.tensors(terms), used], upstream)
  return chunks.fill(terms, grad_terms), grad_gains


def _weights_and_gradient(settings, fused, rows, shared, retrieved, upstream):
  """Returns the weights and the gradient of the logits."""
  logits = rows_lib.logits(settings, fused, rows, shared)
  grad_content, grad_position = (
      None if x is None else tf.transpose(x, [0, 2, 3, 1])  # [r, h, e, l]
      for x in upstream[:2])
  terms = []
  if grad_content is not None:
    terms.append(maps.content_term(grad_content, rows.value, fused))
  if grad_position is not None:
    terms.append(maps.query_term(grad_position, shared.value_rpe, fused))
  grad_weights = tf.add_n(terms)
  if settings.activation == 'sigmoid':
    weights = tf.sigmoid(logits)
    return weights, weights * (1 - weights) * grad_weights
  weights = tf.exp(logits - retrieved.log_normalizer[..., None])
  delta = tf.add_n([  # [r, l, h]
      tf.reduce_sum(x * grad, -1)
      for x, grad in zip(retrieved[:2], upstream[:2]) if x is not None])
  delta = tf.transpose(delta, [0, 2, 1])[..., None]
  return weights, weights * (grad_weights - delta)
