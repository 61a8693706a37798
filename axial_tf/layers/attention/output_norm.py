"""Batch norm of what is retrieved."""

import numpy as np
import tensorflow as tf

from axial_tf.layers import graph_ops, normalization, precision
from axial_tf.layers.attention import axis as axis_lib
from axial_tf.layers.attention import chunk as chunk_lib
from axial_tf.layers.attention import chunks, heads


class OutputNorm:
  """The batch norm of what the queries of one call retrieve.

  Letters: n rows and heads, l queries of a block, h heads, e depth, t terms.
  """

  def __init__(self, axis: axis_lib.Axis):
    self._norm = axis.normalizer
    self._axis = axis
    # Place of each channel [h, t, e] among those of the batch norm [t, h, e].
    terms = axis.terms.num_value_terms
    self._places = np.arange(terms * axis.channels[2]).reshape(
        [terms, axis.heads, -1]).transpose([1, 0, 2]).reshape([-1])

  def affine(self, parameters, retrieved):
    """Returns the affine map of [h * t * e]; by moving statistics for None."""
    values = None
    if retrieved is not None:
      retrieved = precision.widen(retrieved)
      values = tuple(self._over_queries(x) / self._count()
                     for x in (retrieved, tf.square(retrieved)))
    return self._norm.affine_of(
        self._by_head(parameters), values)

  def _by_head(self, parameters):
    """Brings the parameters to the order of what is retrieved."""
    return chunks.fill(parameters, [
        graph_ops.gather(x, self._places) for x in chunks.tensors(parameters)])

  def by_channel(self, values):
    """Brings [h * t * e] to the order of the batch norm's channels."""
    return graph_ops.gather(values, np.argsort(self._places))

  def _count(self):
    axis = self._axis
    return graph_ops.constant(
        axis.batch * axis.length * axis.other, axis.dtype)

  def _over_queries(self, values):
    """Sums [n, l, w] over rows and queries: [h * w]."""
    form = self._axis.form
    if form in ('einsum', 'program', 'lanes'):  # Compilers choose an order.
      total = graph_ops.reduce_sum(
          heads.over_rows(values, self._axis.heads, form),
          3 - heads.axis_of_terms(form))
    else:  # On CPUs, several times quicker than the other way round.
      total = heads.over_rows(
          graph_ops.reduce_sum(values, 1), self._axis.heads, form)
    return graph_ops.reshape(total, [-1])

  def gains(self, output):
    """Returns the batch norm of what is retrieved, by row."""
    shift = graph_ops.reduce_sum(graph_ops.reshape(
        tf.cast(output.shift, self._axis.dtype),
        [self._axis.heads, self._axis.terms.num_value_terms, -1]), 1)
    return chunk_lib.Gains(
        self._factors(output), heads.to_rows(
            shift, self._axis.rows, self._axis.form))

  def _factors(self, output):
    return self._to_rows(tf.cast(output.scale, self._axis.dtype))

  def _to_rows(self, values):
    """[h * w] -> [n, 1, w]."""
    return heads.to_rows(
        graph_ops.reshape(values, [self._axis.heads, -1]), self._axis.rows,
        self._axis.form)

  def gradient(self, parameters, output, retrieved, by_term):
    """Returns the gradients of what is retrieved and of its batch norm.

    Args:
      parameters: variables of the call.
      output: affine map of what is retrieved.
      retrieved: [n, l, t * e].
      by_term: gradient of its normalized terms, [n, l, t * e].
    """
    dtype = by_term.dtype
    by_term, retrieved = map(precision.widen, (by_term, retrieved))
    grad_output, grad_moments = self._norm.affine_gradient(
        self._by_head(parameters), output,
        self._over_queries(by_term * retrieved), self._over_queries(by_term))
    grad_output = normalization.Parameters(
        *map(self.by_channel, grad_output[:2]), None)
    by_term *= self._factors(output)
    if grad_moments is None:
      return tf.cast(by_term, dtype), grad_output
    mean, twice_square = (
        self._to_rows(x / self._count()) for x in grad_moments)
    by_term = tf.cast(by_term + twice_square * retrieved + mean, dtype)
    mask = self._axis.query_mask()
    return by_term if mask is None else by_term * mask, grad_output
