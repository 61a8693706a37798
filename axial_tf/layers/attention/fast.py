"""Computes an axis in chunks of rows, with a gradient of its own.

A training step keeps the inputs and what the queries retrieve; projections,
normalized vectors and maps are computed again in the backward pass. Batch norms
become factors: that of the projection is folded into its kernel (in inference),
that of the logits into queries and keys, by moments that need no logits, and
that of what is retrieved into the end of a chunk (in inference).

Letters: b batch, x position on the axis, n rows and heads, h heads, d and e
depth, l queries of a block, t terms.
"""

import functools
from typing import List, NamedTuple, Optional

import numpy as np
import tensorflow as tf

from axial_tf.layers import graph_ops, normalization
from axial_tf.layers.attention import chunk as chunk_lib
from axial_tf.layers.attention import (
  chunks,
  heads,
  layout,
  moments,
  span,
  tables,
)
from axial_tf.layers.shapes import sizes

# At larger depths matrix products are quicker than elementwise ones.
_DEEPEST_FUSED = 16


class _Parameters(NamedTuple):
  """Variables of a layer as tensors; None where not in use."""
  kernel: tf.Tensor
  tables: List[tf.Tensor]
  qkv: Optional[normalization.Parameters]
  logit: Optional[normalization.Parameters]
  output: Optional[normalization.Parameters]


class _Vectors(NamedTuple):
  """Queries, keys and values [n, d, x] of all blocks, and of the whole axis."""
  query: tf.Tensor
  key: tf.Tensor
  value: tf.Tensor
  axis: List[tf.Tensor]  # Those that meet positions.


def attend(layer, inputs: tf.Tensor, training: bool, stride: int) -> tf.Tensor:
  """Computes an axis; see backends for the arguments."""
  uses_batch = layer.uses_batch(training)
  axis = _Axis(layer, inputs, uses_batch, 1 if uses_batch else stride)
  norms = () if layer.settings.norm is None else (
      layer.qkv_norm, layer.logit_norm, layer.output_norm)
  parameters = _Parameters(
      tf.cast(layer.qkv_kernel, inputs.dtype),
      [tf.cast(table, axis.dtype) for table in (
          layer.query_rpe, layer.key_rpe, layer.value_rpe)
       if table is not None],
      *(norm.parameters(training) for norm in norms),
      *[None] * (3 - len(norms)))

  statistics = []

  @tf.custom_gradient
  def compute(inputs, *values):
    # As further results, the statistics would get gradients of zeros.
    outputs, statistics[:], backward = axis.forward(
        inputs, chunks.fill(parameters, values))
    return outputs, backward

  outputs = compute(inputs, *chunks.tensors(parameters))
  for norm, (mean, variance) in zip(norms, statistics):
    norm.average(mean, variance)
  return outputs[:, ::stride] if uses_batch and stride > 1 else outputs


class _Axis:
  """One call of a layer: its sizes, and both passes."""

  def __init__(self, layer, inputs, uses_batch, stride):
    self._layer = layer
    self._settings = layer.settings
    self._terms = layer.settings.terms
    self._heads = layer.settings.heads
    self._uses_batch = uses_batch
    self.dtype = normalization.wide(inputs.dtype)
    self._batch, self._length, self._other, _ = sizes(inputs)
    self._blocks = blocks = span.cut(
        self._length, layer.settings.span, stride)
    self._queries = -(-self._length // stride)
    self._rows = self._batch * blocks.count * self._other
    self._form = _form(layer, blocks)
    self._chunk = chunks.chunk_size(
        sizes(blocks.query_positions)[0], sizes(blocks.key_positions)[0],
        layer.settings.chunk_bytes)
    # Place of each channel of what is retrieved [h, t, e] among those of its
    # batch norm [t, h, e], and of each factor of the logits [h, t].
    self._places = np.arange(
        self._terms.num_value_terms * layer.value_channels).reshape(
            [self._terms.num_value_terms, self._heads, -1]).transpose(
                [1, 0, 2]).reshape([-1])
    self._logit_places = np.arange(
        self._terms.num_logit_terms * self._heads).reshape(
            [-1, self._heads]).transpose()

  def forward(self, inputs, parameters):
    """Returns outputs, statistics of the batch norms, and the gradient."""
    projected, qkv, normalize_gradient = self._project(inputs, parameters)
    vectors = self._vectors(*projected)
    gathered, position = self._gather(parameters)
    logit = self._logit_affine(parameters, vectors, position)
    rows, shared = self._operands(vectors, gathered, logit)
    retrieved = None
    if self._uses_batch:
      retrieved = self._retrieve(rows, shared)
      output = self._output_affine(parameters, retrieved.terms)
      total = chunk_lib.total(
          self._settings, retrieved.terms, self._gains(output))
    else:
      output = self._output_affine(parameters, None)
      total = self._retrieve_total(rows, shared, self._gains(output))
    outputs = span.join(
        layout.to_pixels(total, self._heads, self._other), self._blocks,
        self._queries)

    def backward(grad_outputs):
      return self._gradient(
          inputs, parameters, (qkv, logit, output), normalize_gradient,
          gathered, position, retrieved, grad_outputs)

    return (tf.cast(outputs, inputs.dtype),
            self._statistics(qkv, logit, output), backward)

  def _statistics(self, qkv, logit, output):
    """Returns mean and variance of each batch norm that uses the batch's."""
    if not self._uses_batch:
      return []
    return [(qkv.mean, qkv.variance), (logit.mean, logit.variance), tuple(
        graph_ops.gather(x, np.argsort(self._places))
        for x in (output.mean, output.variance))]

  # Projection.

  def _project(self, inputs, parameters):
    """Returns queries, keys and values, their batch norm, and its gradient.

    They are [b, x, other, c] together; with a stride, queries and the rest are
    two tensors.
    """
    kernel = parameters.kernel
    if parameters.qkv is None:
      return [self._pixels(inputs, _product(inputs, kernel))], None, None
    norm = self._layer.qkv_norm
    if self._uses_batch:
      values, affine, gradient = norm.normalize(
          parameters.qkv, _product(inputs, kernel))
      return [self._pixels(inputs, values)], affine, gradient
    affine = norm.affine_of(parameters.qkv, None)
    kernel = tf.cast(
        tf.cast(kernel, affine.scale.dtype) * affine.scale, inputs.dtype)
    bias = tf.cast(affine.shift, inputs.dtype)
    parts = [(inputs, slice(None))]
    if self._blocks.stride > 1:
      place = self._layer.key_channels
      parts = [(span.queried(inputs, self._blocks), slice(None, place)),
               (inputs, slice(place, None))]
    return [
        self._pixels(x, tf.nn.bias_add(
            _product(x, kernel[:, part]), bias[part])) for x, part in parts
    ], affine, functools.partial(
        norm.normalize_gradient, parameters.qkv, affine)

  def _vectors(self, *pixels):
    """Turns queries, keys and values, together or the queries apart."""
    blocks, layer = self._blocks, self._layer
    keys, values = layer.key_channels, layer.value_channels
    turn = functools.partial(
        layout.to_vectors, heads=self._heads, dtype=self.dtype)
    if len(pixels) == 1 and span.is_whole(blocks) and blocks.stride == 1:
      query, key, value = turn(pixels[0], [keys, keys, values])
      return _Vectors(query, key, value, self._positioned(query, key))
    axis = []
    if len(pixels) == 1:
      if self._uses_batch:
        axis = self._positioned(
            *turn(pixels[0][..., :2 * keys], [keys, keys]))
      query, rest = graph_ops.split(pixels[0], [keys, keys + values], 3)
      pixels = span.queried(query, blocks), rest
    query, rest = pixels
    return _Vectors(*turn(span.split_queries(query, blocks), [keys]),
                    *turn(span.windows(rest, blocks), [keys, values]), axis)

  def _positioned(self, query, key):
    terms = self._terms
    return [x for x, used in (
        (query, terms.query_position), (key, terms.key_position)) if used]

  def _pixels(self, like, values):
    """[b * x * other, c] -> [b, x, other, c]."""
    return graph_ops.reshape(values, [*sizes(like)[:3], sizes(values)[1]])

  # Attention.

  def _gather(self, parameters):
    """Returns position embeddings, and what has the sums of their terms."""
    if not parameters.tables:
      return None, None
    gathered = tables.Gathered(parameters.tables, self._blocks)
    directions = [
        span.seen(self._length, self._blocks.reach, direction)
        for direction, used in ((1, self._terms.query_position),
                                (-1, self._terms.key_position)) if used]
    if parameters.logit is None or not self._uses_batch or not directions:
      return gathered, None
    return gathered, moments.Position(
        tf.stack(gathered.by_offset[:len(directions)]),
        graph_ops.constant(span.stack(directions), self.dtype), self._heads)

  def _operands(self, vectors, gathered, logit):
    """Returns the operands of the chunks."""
    terms, blocks = self._terms, self._blocks
    of_pairs = iter(gathered.of_pairs if gathered else ())
    query_rpe, key_rpe, value_rpe = (
        next(of_pairs) if used else None for used in (
            terms.query_position, terms.key_position, terms.value_position))
    pair_mask = key_mask = None
    if blocks.pair_mask is not None:
      pair_mask = graph_ops.constant(
          span.addend(blocks.pair_mask, self.dtype), self.dtype)
      key_mask = self._by_row(span.addend(blocks.key_mask, self.dtype))
      key_mask = tf.expand_dims(key_mask, 1)
    return chunk_lib.Rows(
        vectors.query if terms.content or terms.query_position else None,
        vectors.key if terms.content or terms.key_position else None,
        vectors.value if terms.value_content else None,
        None if logit is None else self._scales(logit), key_mask
    ), chunk_lib.Shared(query_rpe, key_rpe, value_rpe, pair_mask)

  def _by_row(self, by_block):
    """Repeats values of the blocks: [blocks, w] -> [n, w]."""
    values = graph_ops.constant(by_block, self.dtype)
    count, width = sizes(values)
    repeated = graph_ops.tile(
        graph_ops.reshape(values, [1, count, 1, width]),
        [self._batch, 1, self._other * self._heads, 1])
    return graph_ops.reshape(repeated, [-1, width])

  def _query_mask(self):
    """Returns which queries are within the axis, [n, l, 1]; None if all."""
    if span.is_whole(self._blocks):
      return None
    return tf.expand_dims(self._by_row(self._blocks.query_mask), 2)

  def _retrieve(self, rows, shared):
    """Returns what all queries retrieve, 0 for those beyond the axis."""
    outputs, _ = chunks.apply(
        lambda part: (chunks.tensors(chunk_lib.retrieve(
            self._settings, self._form, part, shared)), []), rows, self._chunk)
    mask = self._query_mask()
    if mask is not None:
      outputs[0] *= mask
    return chunk_lib.Retrieved(
        outputs[0], outputs[1] if len(outputs) > 1 else None)

  def _retrieve_total(self, rows, shared, gains):
    """Returns the sum of what is retrieved, for known gains."""
    outputs, _ = chunks.apply(
        lambda part: ([chunk_lib.retrieve(
            self._settings, self._form, part[0], shared, part[1]).terms], []),
        (rows, gains), self._chunk)
    return outputs[0]

  # Batch norm of the logits.

  def _content_moments(self, vectors):
    """Returns what has the sums of the content term."""
    mask = self._blocks.pair_mask
    if mask is None:
      return moments.Content(vectors.query, vectors.key, self._heads)
    return moments.MaskedContent(
        vectors.query, vectors.key, self._heads,
        graph_ops.constant(mask, self.dtype),
        'matmul' if self._form == 'fused' else self._form, self._chunk)

  def _pairs(self):
    """Returns how many pairs the statistics count."""
    seen = span.count(span.seen(self._length, self._blocks.reach))
    return graph_ops.constant(self._batch * self._other * seen, self.dtype)

  def _logit_affine(self, parameters, vectors, position):
    if parameters.logit is None:
      return None
    values = None
    if self._uses_batch:
      sums = []
      if self._terms.content:
        sums.append(self._content_moments(vectors).sums())
      if position is not None:
        sums.append(position.sums(vectors.axis))
      values = tuple(
          graph_ops.reshape(graph_ops.concat(x, 0), [-1]) / self._pairs()
          for x in zip(*sums))
    return self._layer.logit_norm.affine_of(parameters.logit, values)

  def _scales(self, logit):
    """Returns the factors of the terms, and a shift for a sigmoid, by row."""
    scale = graph_ops.gather(
        tf.cast(logit.scale, self.dtype), self._logit_places)
    if self._settings.activation == 'sigmoid':
      shift = graph_ops.gather(
          tf.cast(logit.shift, self.dtype), self._logit_places)
      scale = graph_ops.concat(
          [scale, graph_ops.reduce_sum(shift, 1, keepdims=True)], 1)
    return heads.to_rows(scale, self._rows)

  def _logit_gradient(self, parameters, logit, vectors, position, grad_scales):
    """Returns gradients of the logits' batch norm and through its moments.

    Returns:
      The gradients of its parameters, and lists of those of queries and keys,
      of axis queries and keys, and of the embeddings by offset.
    """
    terms, count = self._terms, self._terms.num_logit_terms
    grad = graph_ops.transpose(graph_ops.reduce_sum(
        heads.over_rows(grad_scales, self._heads), 1), [1, 0])  # [t, h]
    grad_shift = None
    if self._settings.activation == 'sigmoid':
      grad, grad_shift = graph_ops.split(grad, [count, 1], 0)
      grad_shift = graph_ops.tile(
          graph_ops.reshape(grad_shift, [-1]), [count])
    grad_logit, grad_moments = self._layer.logit_norm.affine_gradient(
        parameters.logit, logit, graph_ops.reshape(grad, [-1]), grad_shift)
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
        by_axis, by_offset = position.gradient(vectors.axis, *by_part[-1])
        by_offset = tf.unstack(by_offset)
    return grad_logit, by_block, by_axis, by_offset

  # Batch norm of what is retrieved.

  def _output_affine(self, parameters, retrieved):
    """Returns its affine map, in the order of what is retrieved."""
    if parameters.output is None:
      return None
    values = None
    if retrieved is not None:
      values = tuple(self._over_queries(x) / self._count()
                     for x in (retrieved, tf.square(retrieved)))
    return self._layer.output_norm.affine_of(
        self._by_head(parameters.output), values)

  def _by_head(self, parameters):
    """Brings the parameters to the order of what is retrieved."""
    return chunks.fill(parameters, [
        graph_ops.gather(x, self._places) for x in chunks.tensors(parameters)])

  def _count(self):
    return graph_ops.constant(
        self._batch * self._length * self._other, self.dtype)

  def _over_queries(self, values):
    """Sums [n, l, w] over rows and queries: [h * w]."""
    return graph_ops.reshape(graph_ops.reduce_sum(
        heads.over_rows(values, self._heads), 1), [-1])

  def _gains(self, output):
    """Returns the batch norm of what is retrieved, by row."""
    if output is None:
      return chunk_lib.Gains(None, None)
    shift = graph_ops.reduce_sum(graph_ops.reshape(
        tf.cast(output.shift, self.dtype),
        [self._heads, self._terms.num_value_terms, -1]), 1)
    return chunk_lib.Gains(
        self._factors(output), heads.to_rows(shift, self._rows))

  def _factors(self, output):
    return heads.to_rows(graph_ops.reshape(
        tf.cast(output.scale, self.dtype), [self._heads, -1]), self._rows)

  def _output_gradient(self, parameters, output, retrieved, grad):
    """Returns the gradients of what is retrieved and of its batch norm.

    Args:
      parameters: variables of the call.
      output: affine map of what is retrieved, or None.
      retrieved: [n, l, t * e].
      grad: gradient of the sum of its terms, [n, l, e].
    """
    count = self._terms.num_value_terms
    by_term = graph_ops.concat([grad] * count, 2)
    if output is None:
      return by_term, None
    norm = self._layer.output_norm
    grad_output, grad_moments = norm.affine_gradient(
        self._by_head(parameters.output), output,
        self._over_queries(by_term * retrieved), self._over_queries(by_term))
    grad_output = normalization.Parameters(*(
        graph_ops.gather(x, np.argsort(self._places))
        for x in grad_output[:2]), None)
    by_term *= self._factors(output)
    if grad_moments is None:
      return by_term, grad_output
    mean, twice_square = (
        heads.to_rows(graph_ops.reshape(
            x / self._count(), [self._heads, -1]), self._rows)
        for x in grad_moments)
    by_term = by_term + (twice_square * retrieved + mean)
    mask = self._query_mask()
    return by_term if mask is None else by_term * mask, grad_output

  # Backward pass.

  def _gradient(self, inputs, parameters, affines, normalize_gradient,
                gathered, position, retrieved, grad_outputs):
    """Returns the gradients of the inputs and of all parameters."""
    qkv, logit, output = affines
    values = normalized = _product(inputs, parameters.kernel)
    if qkv is not None:
      normalized = values * tf.cast(qkv.scale, values.dtype) + tf.cast(
          qkv.shift, values.dtype)
    pixels = self._pixels(inputs, normalized)
    with tf.GradientTape() as tape:
      tape.watch(pixels)
      vectors = self._vectors(pixels)
    rows, shared = self._operands(vectors, gathered, logit)
    if retrieved is None:
      retrieved = self._retrieve(rows, shared)
    grad = layout.from_pixels(
        span.split_queries(tf.cast(grad_outputs, self.dtype), self._blocks),
        self._heads)
    grad_terms, grad_output = self._output_gradient(
        parameters, output, retrieved.terms, grad)
    grad_rows, grad_shared = self._chunk_gradients(
        rows, shared, retrieved, grad_terms)
    grad_logit, by_block, by_axis, by_offset = None, (), (), ()
    if logit is not None:
      grad_logit, by_block, by_axis, by_offset = self._logit_gradient(
          parameters, logit, vectors, position, grad_rows.scales)
    grad_tables = [] if gathered is None else gathered.gradient(
        [x for x in grad_shared[:3] if x is not None], by_offset)
    targets, grads = zip(*(pair for pair in (
        *zip(vectors, grad_rows[:3]), *zip(vectors, by_block),
        *zip(vectors.axis, by_axis)) if pair[1] is not None))
    grad_values = graph_ops.reshape(
        tape.gradient(targets, pixels, grads), sizes(values))
    grad_norms = [grad_logit, grad_output]
    if qkv is None:
      grad_norms.insert(0, None)
    else:
      grad_values, *grad_qkv = normalize_gradient(values, grad_values)
      grad_norms.insert(0, normalization.Parameters(*grad_qkv, None))
    flat = graph_ops.reshape(inputs, [-1, sizes(inputs)[3]])
    return [
        graph_ops.reshape(tf.matmul(
            grad_values, parameters.kernel, transpose_b=True), sizes(inputs)),
        tf.matmul(flat, grad_values, transpose_a=True), *grad_tables,
        *_of_norms(parameters, grad_norms)]

  def _chunk_gradients(self, rows, shared, retrieved, grad):
    """Returns the gradients of the operands of the chunks."""
    delta = None
    if self._settings.activation == 'softmax':
      delta = graph_ops.reduce_sum(grad * retrieved.terms, 2, keepdims=True)
    found = []

    def chunk_gradient(part):
      found[:] = chunk_lib.gradient(
          self._settings, self._form, part[0], shared, part[1])
      return tuple(map(chunks.tensors, found))

    by_row, summed = chunks.apply(
        chunk_gradient, (rows, chunk_lib.Upstream(
            grad, delta, retrieved.log_normalizer)), self._chunk)
    return chunks.fill(found[0], by_row), chunks.fill(found[1], summed)


def _of_norms(parameters, grads):
  """Returns the gradients of batch norms in the order of their tensors."""
  flat = []
  for norm, grad in zip(parameters[2:], grads):
    if norm is not None:
      # Moving statistics have none.
      flat += [grad.gamma, grad.beta, *[None] * len(norm.moving or ())]
  return flat


def _form(layer, blocks) -> str:
  """Returns how the chunks of an axis are computed; see chunk."""
  backend = layer.settings.backend
  if backend != 'auto':
    return backend
  if chunks.has_accelerator():
    return 'einsum'
  # Compiling takes seconds: not for one call, and not for each image size.
  # Masks make the compiled loops slower than matrix products.
  fused = (tf.inside_function() and blocks.pair_mask is None
           and layer.key_channels // layer.settings.heads <= _DEEPEST_FUSED
           and isinstance(blocks.key_positions, np.ndarray))
  return 'fused' if fused else 'matmul'


def _product(inputs, kernel):
  """[..., channels] x [channels, c] -> [..., c] with one axis in front."""
  return tf.matmul(
      graph_ops.reshape(inputs, [-1, sizes(inputs)[-1]]), kernel)
