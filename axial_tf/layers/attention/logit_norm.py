"""Batch norm of the logits, as factors of queries and keys."""

import numpy as np
import tensorflow as tf

from axial_tf.layers import graph_ops
from axial_tf.layers.attention import axis as axis_lib
from axial_tf.layers.attention import heads, moments, span

# Forms of a masked content term and of products with its map, by form of
# chunks; here, 'fused' has no loops that XLA compiles.
_MASKED_FORMS = {
    'fused': ('matmul', 'matmul'), 'program': ('elementwise', 'einsum')}


class LogitNorm:
  """The batch norm of the logits of one call.

  Letters: n rows and heads, h heads, t terms.
  """

  def __init__(self, axis: axis_lib.Axis):
    self._norm = axis.normalizer
    self._axis = axis
    # Place of each factor [h, t] among those of the batch norm [t, h].
    self._places = np.arange(axis.terms.num_logit_terms * axis.heads).reshape(
        [-1, axis.heads]).transpose()

  def _content_moments(self, vectors):
    """Returns what has the sums of the content term."""
    mask = self._axis.blocks.pair_mask
    if mask is None:
      return moments.Content(
          vectors.query, vectors.key, self._axis.heads, self._axis.form)
    return moments.MaskedContent(
        vectors.query, vectors.key, self._axis.heads,
        graph_ops.constant(mask, self._axis.dtype),
        *_MASKED_FORMS.get(self._axis.form, [self._axis.form] * 2),
        self._axis.chunk)

  def _pairs(self):
    """Returns how many pairs the statistics count."""
    axis = self._axis
    seen = span.count_pairs(axis.length, axis.blocks.reach)
    return graph_ops.constant(axis.batch * axis.other * seen, axis.dtype)

  def affine(self, parameters, vectors, position):
    """Returns the affine map of the logits' terms, [t * h].

    Also returns what the gradient needs of position.sums(), or None.
    """
    values = by_position = None
    if self._axis.uses_batch:
      sums = []
      if self._axis.terms.content:
        sums.append(self._content_moments(vectors).sums())
      if position is not None:
        found, by_position = position.sums(
            vectors.axis, self._axis.heads, self._axis.form)
        sums.append(found)
      values = tuple(
          graph_ops.reshape(graph_ops.concat(x, 0), [-1]) / self._pairs()
          for x in zip(*sums))
    return self._norm.affine_of(parameters, values), by_position

  def scales(self, logit):
    """Returns the factors of the terms, and a shift for a sigmoid, by row."""
    scale = graph_ops.gather(
        tf.cast(logit.scale, self._axis.dtype), self._places)
    if self._axis.settings.activation == 'sigmoid':
      shift = graph_ops.gather(
          tf.cast(logit.shift, self._axis.dtype), self._places)
      scale = graph_ops.concat(
          [scale, graph_ops.reduce_sum(shift, 1, keepdims=True)], 1)
    return heads.to_rows(scale, self._axis.rows, self._axis.form)

  def gradient(self, parameters, logit, vectors, position, by_position,
               grad_scales):
    """Returns gradients of the logits' batch norm and through its moments.

    Returns:
      The gradients of its parameters, and lists of those of queries and keys,
      of axis queries and keys, and of the embeddings by offset.
    """
    terms, count = self._axis.terms, self._axis.terms.num_logit_terms
    axis = heads.axis_of_terms(self._axis.form)
    grad = graph_ops.transpose(heads.over_rows(
        grad_scales, self._axis.heads, self._axis.form), [axis, 3 - axis, 0])
    grad_shift = None
    if self._axis.settings.activation == 'sigmoid':
      grad, grad_shift = graph_ops.split(grad, [count, 1], 0)
      grad_shift = graph_ops.tile(
          graph_ops.reshape(grad_shift, [-1]), [count])
    grad_logit, grad_moments = self._norm.affine_gradient(
        parameters, logit, graph_ops.reshape(grad, [-1]), grad_shift)
    by_block = by_axis = by_offset = ()
    if grad_moments is not None:
      grad_moments = [
          graph_ops.reshape(x / self._pairs(), [count, -1])
          for x in grad_moments]
      parts = [1] * terms.content + [len(vectors.axis)] * bool(vectors.axis)
      by_part = list(zip(*(
          graph_ops.split(x, parts, 0) for x in grad_moments)))
      if terms.content:
        by_block = self._content_moments(vectors).gradient(*by_part[0])
      if position is not None:
        by_axis, by_offset = position.gradient(
            vectors.axis, self._axis.heads, self._axis.form, by_position,
            *by_part[-1])
        by_offset = tf.unstack(by_offset)
    return grad_logit, by_block, by_axis, by_offset
