"""Computes an axis in chunks of rows whose maps are never kept.

Batch norms become factors: that of the projection is folded into its kernel
(in inference), that of the logits into queries and keys, by moments that need
no logits, and that of what is retrieved into the end of a chunk (in
inference).
"""

from typing import List

import tensorflow as tf

from axial_tf.layers import normalization, shapes
from axial_tf.layers.attention import chunks, gradient, moments, span, tables
from axial_tf.layers.attention import rows as rows_lib

# At larger depths matrix products are quicker than elementwise ones.
_DEEPEST_FUSED = 16


def attend(layer, inputs: tf.Tensor, training: bool, stride: int) -> tf.Tensor:
  """Computes an axis in chunks; see backends for the arguments."""
  settings = layer.settings
  batch, length, _ = shapes.sizes(inputs)
  uses_batch = layer.uses_batch(training)
  blocks = span.cut(length, settings.span, 1 if uses_batch else stride)
  dtype = normalization.wide(inputs.dtype)
  pair_mask, key_mask = span.masks(blocks, batch, dtype)
  rows = rows_lib.Rows(*_project(layer, inputs, blocks, training), key_mask)
  execution = _execution(settings, rows, pair_mask)
  embeddings = [
      None if table is None else tf.transpose(tables.embeddings(
          tf.cast(table, dtype), blocks.query_positions, blocks.key_positions),
          [0, 2, 1])
      for table in (layer.query_rpe, layer.key_rpe, layer.value_rpe)]
  scales, shift = _logit_scales(
      layer, rows, embeddings[:2], blocks, training, execution)
  shared = rows_lib.Shared(*scales, *embeddings, shift, pair_mask)
  retrieved = _attend(settings, execution, rows, shared,
                      None if uses_batch else _output_gains(layer, dtype))
  # Blocks must not enter the statistics of a batch one by one.
  outputs = span.join(tf.cast(tf.concat([
      tf.reshape(x, [-1, shapes.sizes(x)[1], layer.value_channels])
      for x in retrieved], -1), inputs.dtype), blocks, length)
  if uses_batch:
    outputs = tf.add_n(tf.split(
        layer.output_norm(outputs, training=True), len(retrieved), axis=-1))
  return outputs[:, ::stride] if stride > blocks.stride else outputs


def _attend(settings, execution, rows, shared, gains) -> List[tf.Tensor]:
  """Computes all rows, with gradients.

  Args:
    settings: settings of the attention.
    execution: how chunks are computed.
    rows: operands of all rows.
    shared: operands that the rows share.
    gains: gains by which what is retrieved is summed, or None.

  Returns:
    Tensors [r, l, h, e]: the content and the position, as far as they are in
    use, or their sum.
  """

  def attend_chunk(rows, shared):
    return rows_lib.attend(settings, execution.fused, rows, shared)

  @tf.custom_gradient
  def compute(*operands):
    # The masks have no gradient.
    inputs, common, weights = chunks.fill(
        rows_lib.without_masks(rows, shared) + (gains,), operands)
    inputs = inputs._replace(key_mask=rows.key_mask)
    common = common._replace(pair_mask=shared.pair_mask)

    def forward(rows):
      if gains is None:
        return chunks.tensors(attend_chunk(rows, common)), []
      return [rows_lib.attend_and_sum(
          settings, execution.fused, rows, common, weights)], []

    outputs, _ = chunks.apply(forward, inputs, execution.chunk)
    kept = None if gains is not None else _retrieved(settings, outputs)

    def backward(*upstream):

      def chunk_gradient(chunk):
        rows, kept, upstream = chunk
        grad_gains = []
        if kept is None:
          kept = attend_chunk(rows, common)
          grads, grad_gains = gradient.total_gradient(
              kept, weights, upstream[0])
        else:
          grads = chunks.fill(kept._replace(log_normalizer=None), upstream)
        grad_rows, grad_shared = gradient.attend_gradient(
            settings, execution.fused, rows, common, kept, grads)
        return grad_rows, grad_shared + grad_gains

      grad_rows, grad_common = chunks.apply(
          chunk_gradient, (inputs, kept, upstream), execution.chunk)
      return grad_rows + grad_common

    return outputs if kept is None else chunks.tensors(kept[:2]), backward

  return list(compute(*chunks.tensors(
      rows_lib.without_masks(rows, shared) + (gains,))))


def _retrieved(settings, outputs) -> rows_lib.Retrieved:
  """Returns the tensors of a Retrieved with their names again."""
  terms, outputs = settings.terms, iter(outputs)
  return rows_lib.Retrieved(*(next(outputs) if in_use else None for in_use in (
      terms.value_content, terms.value_position,
      settings.activation == 'softmax')))


def _project(layer, inputs, blocks, training):
  """Returns queries, keys and values [r, h, d, x], in the type of sums."""
  keys = layer.key_channels
  kernel, bias = layer.qkv_kernel, None
  if layer.settings.norm is not None and not layer.uses_batch(training):
    scale, bias = layer.qkv_norm.affine(None, False)
    kernel = tf.cast(kernel, scale.dtype) * scale
    bias = tf.cast(bias, inputs.dtype)
  kernel = tf.cast(kernel, inputs.dtype)
  if blocks.stride == 1:
    qkv = _by_pixel(inputs, kernel, bias)
    if layer.uses_batch(training):
      qkv = layer.qkv_norm(qkv, training=True)
    query, key, value = tf.split(qkv, [keys, keys, layer.value_channels], -1)
  else:
    query = _by_pixel(span.queried(inputs, blocks), kernel[:, :keys],
                      None if bias is None else bias[:keys])
    key, value = tf.split(
        _by_pixel(inputs, kernel[:, keys:],
                  None if bias is None else bias[keys:]),
        [keys, layer.value_channels], -1)
  return [_by_head(x, layer.settings.heads) for x in (
      span.split_queries(query, blocks), span.windows(key, blocks),
      span.windows(value, blocks))]


def _by_pixel(inputs, kernel, bias):
  """[b, length, channels] x [channels, c], as one large matrix product."""
  batch, length, channels = shapes.sizes(inputs)
  outputs = tf.matmul(tf.reshape(inputs, [-1, channels]), kernel)
  if bias is not None:
    outputs = tf.nn.bias_add(outputs, bias)
  return tf.reshape(outputs, [batch, length, outputs.shape[-1]])


def _by_head(vectors, heads):
  """[r, x, h * d] -> [r, h, d, x], in the type of sums."""
  _, length, channels = shapes.sizes(vectors)
  return tf.cast(
      tf.reshape(tf.linalg.matrix_transpose(vectors),
                 [-1, heads, channels // heads, length]),
      normalization.wide(vectors.dtype))


def _logit_scales(layer, rows, embeddings, blocks, training, execution):
  """Returns the factors of the three terms, and a shift, each [heads].

  A factor is None if it is 1 or its term not in use. So is the shift for a
  softmax, which cancels it.
  """
  terms = layer.settings.terms
  if layer.settings.norm is None:
    return [None] * 3, None

  def batch_moments():
    return moments.logit_moments(
        rows.query, rows.key, content=terms.content, query_rpe=embeddings[0],
        key_rpe=embeddings[1], blocks=blocks, execution=execution)

  scale, shift = (
      tf.cast(tf.reshape(x, [terms.num_logit_terms, -1]), rows.query.dtype)
      for x in layer.logit_norm.affine(batch_moments, training))
  shift = tf.reduce_sum(shift, 0)
  scales = tf.unstack(scale)
  if layer.settings.activation == 'softmax':
    # The softmax cancels the shift. Multiplied by zero it still gives beta its
    # true gradient, 0, rather than None.
    scales[0] += 0.0 * shift
    shift = None
  scales = iter(scales)
  return [next(scales) if in_use else None for in_use in (
      terms.content, terms.query_position, terms.key_position)], shift


def _output_gains(layer, dtype) -> rows_lib.Gains:
  """Returns the batch norm of what is retrieved, by moving statistics."""
  if layer.settings.norm is None:
    return rows_lib.Gains(None, None, None)
  terms = layer.settings.terms
  scale, shift = (
      tf.reshape(tf.cast(x, dtype),
                 [terms.num_value_terms, layer.settings.heads, -1])
      for x in layer.output_norm.affine(None, False))
  scales = iter(tf.unstack(scale))
  return rows_lib.Gains(
      next(scales) if terms.value_content else None,
      next(scales) if terms.value_position else None,
      tf.reduce_sum(shift, 0))


def _execution(settings, rows, pair_mask) -> chunks.Execution:
  """Returns how the chunks of these rows are computed."""
  query, key = rows.query, rows.key
  fused = settings.backend == 'fused'
  if settings.backend == 'auto':
    # Compiling takes seconds: not for one call, and not for each image size.
    # Masks make the compiled loops slower than matrix products.
    fused = (tf.inside_function() and pair_mask is None
             and query.shape[2] <= _DEEPEST_FUSED
             and None not in (*query.shape[1:], key.shape[-1])
             and not chunks.has_accelerator())
  return chunks.Execution(
      fused, chunks.chunk_size(query, key, settings.chunk_bytes))
