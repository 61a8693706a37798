"""Computes what forward and backward passes over an axis have in common.

Letters: b batch, x position on the axis, n rows and heads, d and e depth.
"""

import functools
from typing import List, NamedTuple, Optional, Tuple

import tensorflow as tf

from axial_tf.layers import graph_ops, normalization
from axial_tf.layers.attention import chunk as chunk_lib
from axial_tf.layers.attention import (
  dense,
  layout,
  logit_norm,
  moments,
  output_norm,
  span,
  tables,
)
from axial_tf.layers.shapes import sizes


class Parameters(NamedTuple):
  """Variables of a layer as tensors; None where not in use."""
  kernel: tf.Tensor
  tables: List[tf.Tensor]
  qkv: Optional[normalization.Parameters]
  logit: Optional[normalization.Parameters]
  output: Optional[normalization.Parameters]


class Vectors(NamedTuple):
  """Queries, keys and values [n, d, x] of all blocks, and of the whole axis."""
  query: tf.Tensor
  key: tf.Tensor
  value: tf.Tensor
  axis: List[tf.Tensor]  # Those that meet positions.


class Kept(NamedTuple):
  """What the backward pass needs besides inputs and parameters."""
  qkv: Optional[normalization.Affine]
  reserved: List[tf.Tensor]  # By normalization.Normalizer.normalize().
  gathered: Optional[tables.Gathered]
  position: Optional[moments.Position]
  logit: Optional[normalization.Affine]
  by_position: Optional[Tuple[tf.Tensor, tf.Tensor]]  # See moments.Position.
  output: Optional[normalization.Affine]
  retrieved: Optional[chunk_lib.Retrieved]  # Computed again if None.


class Passes:
  """Steps of a pass over an axis."""

  def __init__(self, axis):
    self._axis = axis
    self._qkv_norm = axis.normalizer
    self._logit_norm = self._output_norm = None
    if axis.normalizer is not None:
      self._logit_norm = logit_norm.LogitNorm(axis)
      self._output_norm = output_norm.OutputNorm(axis)

  def _vectors(self, *pixels):
    """Turns queries, keys and values, together or apart."""
    blocks = self._axis.blocks
    keys, _, values = self._axis.channels
    turn = functools.partial(
        layout.to_vectors, heads=self._axis.heads,
        dtype=self._axis.compute_dtype, form=self._axis.form)
    if len(pixels) == 1 and span.is_whole(blocks) and blocks.stride == 1:
      query, key, value = turn(pixels[0], [keys, keys, values])
      return Vectors(query, key, value, self._positioned(query, key))
    axis = []
    if len(pixels) == 3:
      query, key, value = pixels
      return Vectors(*turn(span.split_queries(query, blocks), [keys]),
                     *turn(span.windows(key, blocks), [keys]),
                     *turn(span.windows(value, blocks), [values]), axis)
    if len(pixels) == 1:
      if self._axis.uses_batch:
        axis = self._positioned(
            *turn(pixels[0][..., :2 * keys], [keys, keys]))
      query, rest = graph_ops.split(pixels[0], [keys, keys + values], 3)
      # With a stride, this is the backward pass of inference.
      pixels = span.queried(query, blocks), rest
    query, rest = pixels
    return Vectors(*turn(span.split_queries(query, blocks), [keys]),
                   *turn(span.windows(rest, blocks), [keys, values]), axis)

  def _positioned(self, query, key):
    terms = self._axis.terms
    return [x for x, used in (
        (query, terms.query_position), (key, terms.key_position)) if used]

  def _pixels(self, like, values):
    """[b * x * other, c] -> [b, x, other, c]."""
    return graph_ops.reshape(values, [*sizes(like)[:3], sizes(values)[1]])

  def _gather(self, parameters):
    """Returns position embeddings, and what has the sums of their terms."""
    if not parameters.tables:
      return None, None
    gathered = tables.gather(parameters.tables, self._axis.blocks)
    terms = self._axis.terms
    count = terms.query_position + terms.key_position
    if parameters.logit is None or not self._axis.uses_batch or not count:
      return gathered, None
    return gathered, moments.Position.of(
        tf.stack(gathered.by_offset[:count]), self._axis.visible())

  def _operands(self, gathered, logit):
    """Returns the operands of the chunks, without vectors."""
    axis, terms = self._axis, self._axis.terms
    of_pairs = (tf.cast(x, axis.compute_dtype)
                for x in (gathered.of_pairs if gathered else ()))
    query_rpe, key_rpe, value_rpe = (
        next(of_pairs) if used else None for used in (
            terms.query_position, terms.key_position, terms.value_position))
    shared = chunk_lib.Shared(
        query_rpe, key_rpe, value_rpe, axis.pair_addend())
    return chunk_lib.Rows(
        None, None, None,
        None if logit is None else self._logit_norm.scales(logit),
        axis.key_addend()
    ), dense.of(shared, axis.origin) if axis.form == 'lanes' else shared

  def _with(self, rows, vectors):
    """Returns the operands of the chunks with those vectors that are used."""
    terms = self._axis.terms
    return rows._replace(
        query=vectors.query if terms.content or terms.query_position else None,
        key=vectors.key if terms.content or terms.key_position else None,
        value=vectors.value if terms.value_content else None)

  def _joined(self, total):
    """Brings the results of all queries back to pixels."""
    axis = self._axis
    return span.join(
        layout.to_pixels(total, axis.heads, axis.other, axis.form),
        axis.blocks, axis.queries)


def product(inputs, kernel, bias=None):
  """Returns [..., channels] x [channels, c] + [c], [the other axes, c]."""
  projected = tf.matmul(
      graph_ops.reshape(inputs, [-1, sizes(inputs)[-1]]), kernel)
  return projected if bias is None else tf.nn.bias_add(projected, bias)
