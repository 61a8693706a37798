"""Computes an axis in chunks of rows, with a gradient of its own.

A training step keeps the inputs and what the queries retrieve; projections,
normalized vectors and maps are computed again in the backward pass. Batch norms
become factors: that of the logits of queries and keys, by moments that need no
logits.

Letters: b batch, x position on the axis, n rows and heads, d and e depth, l
queries of a block, t terms.
"""

import tensorflow as tf

from axial_tf.layers import graph_ops, normalization, precision, recompute
from axial_tf.layers.attention import axis as axis_lib
from axial_tf.layers.attention import chunk as chunk_lib
from axial_tf.layers.attention import (
  chunks,
  compiled,
  dense,
  heads,
  inference,
  lanes,
  layout,
  passes,
  span,
  tables,
)
from axial_tf.layers.shapes import sizes


def attend(layer, inputs: tf.Tensor, training: bool, stride: int) -> tf.Tensor:
  """Computes an axis; see backends for the arguments."""
  call = axis_lib.describe(layer, inputs, training, stride)
  run = compiled.call if call.compiled else _call_directly
  norms = () if call.normalizer is None else (
      layer.qkv_norm, layer.logit_norm, layer.output_norm)
  parameters = passes.Parameters(
      tf.cast(layer.qkv_kernel, inputs.dtype),
      [precision.widen(table) for table in (
          layer.query_rpe, layer.key_rpe, layer.value_rpe)
       if table is not None],
      *(norm.parameters(training) for norm in norms),
      *[None] * (3 - len(norms)))

  statistics = []

  @tf.custom_gradient
  def compute(inputs, *values):
    parameters_ = chunks.fill(parameters, values)
    # As further results, the statistics would get gradients of zeros.
    outputs, statistics[:], kept = run(_forward, (call,), inputs, parameters_)

    def backward(grad_outputs):
      return run(_backward, (call,), inputs, parameters_, kept, grad_outputs)

    return outputs, backward

  outputs = compute(inputs, *chunks.tensors(parameters))
  for norm, (mean, variance) in zip(norms, statistics):
    norm.average(mean, variance)
  return outputs[:, ::stride] if call.uses_batch and stride > 1 else outputs


def _call_directly(function, static, *operands):
  return function(*static, *operands)


def _forward(call, inputs, parameters):
  batch, groups = inputs.shape[0], axis_lib.groups(call, inputs)
  inputs = lanes.group(inputs, groups)
  if call.uses_batch:
    outputs, statistics, kept = _Passes(
        axis_lib.Axis(call, inputs)).forward(inputs, parameters)
  else:
    outputs, kept = inference.infer(call, inputs, parameters)
    statistics = []
  return lanes.ungroup(outputs, groups, batch), statistics, kept


def _backward(call, inputs, parameters, kept, grad_outputs):
  batch, groups = inputs.shape[0], axis_lib.groups(call, inputs)
  inputs, grad_outputs = (
      lanes.group(x, groups) for x in (inputs, grad_outputs))
  grad_inputs, *grads = _Passes(axis_lib.Axis(call, inputs)).backward(
      inputs, parameters, kept, grad_outputs)
  return [lanes.ungroup(grad_inputs, groups, batch), *grads]


class _Passes(passes.Passes):
  """The forward pass of training, and the backward pass."""

  def forward(self, inputs, parameters):
    """Returns outputs, statistics of the batch norms, and what is kept."""
    values, qkv, reserved = self._qkv_norm.normalize(
        parameters.qkv, passes.product(inputs, parameters.kernel))
    vectors = self._vectors(self._pixels(inputs, values))
    gathered, position = self._gather(parameters)
    logit, by_position = self._logit_norm.affine(
        parameters.logit, vectors, position)
    rows, shared = self._operands(gathered, logit)
    retrieved = self._retrieve(self._with(rows, vectors), shared)
    output = self._output_norm.affine(parameters.output, retrieved.terms)
    axis = self._axis
    outputs = self._joined(chunk_lib.total(
        axis.settings, heads.axis_of_terms(axis.form), retrieved.terms,
        self._output_norm.gains(output)))
    kept = passes.Kept(
        qkv, reserved, gathered, position, logit, by_position, output,
        retrieved)
    return tf.cast(outputs, inputs.dtype), self._statistics(kept), kept

  def _statistics(self, kept):
    """Returns mean and variance of each batch norm."""
    return [(kept.qkv.mean, kept.qkv.variance),
            (kept.logit.mean, kept.logit.variance), tuple(map(
                self._output_norm.by_channel,
                (kept.output.mean, kept.output.variance)))]

  def _retrieve(self, rows, shared):
    """Returns what all queries retrieve, 0 for those beyond the axis."""
    axis = self._axis
    outputs, _ = axis.apply(
        lambda part: (chunks.tensors(chunk_lib.retrieve(
            axis.settings, axis.form, part, shared)), []), rows)
    mask = axis.query_mask()
    if mask is not None:
      outputs[0] *= mask
    return chunk_lib.Retrieved(
        outputs[0], outputs[1] if len(outputs) > 1 else None)

  def backward(self, inputs, parameters, kept, grad_outputs):
    """Returns the gradients of the inputs and of all parameters."""
    qkv, logit, output = kept.qkv, kept.logit, kept.output
    gathered, retrieved = kept.gathered, kept.retrieved
    inputs = recompute.after(inputs, grad_outputs)
    values = normalized = passes.product(inputs, parameters.kernel)
    if qkv is not None:
      normalized = precision.scaled(values, qkv.scale, qkv.shift)
    pixels = self._pixels(inputs, normalized)
    with tf.GradientTape() as tape:
      tape.watch(pixels)
      vectors = self._vectors(pixels)
    rows, shared = self._operands(gathered, logit)
    rows = self._with(rows, vectors)
    if retrieved is None:
      retrieved = self._retrieve(rows, shared)
    grad = layout.from_pixels(
        span.split_queries(
            tf.cast(grad_outputs, self._axis.compute_dtype),
            self._axis.blocks), self._axis.heads, self._axis.form)
    grad_terms = graph_ops.concat(
        [grad] * self._axis.terms.num_value_terms,
        heads.axis_of_terms(self._axis.form))
    grad_output = None
    if output is not None:
      grad_terms, grad_output = self._output_norm.gradient(
          parameters.output, output, retrieved.terms, grad_terms)
    grad_rows, grad_shared = self._chunk_gradients(
        rows, shared, retrieved, grad_terms)
    grad_logit, by_block, by_axis, by_offset = None, (), (), ()
    if logit is not None:
      grad_logit, by_block, by_axis, by_offset = self._logit_norm.gradient(
          parameters.logit, logit, vectors, kept.position,
          kept.by_position, grad_rows.scales)
    grad_tables = [] if gathered is None else tables.gather_gradient(
        self._axis.blocks, [x for x in grad_shared[:3] if x is not None],
        by_offset)
    targets, grads = zip(*(pair for pair in (
        *zip(vectors, grad_rows[:3]), *zip(vectors, by_block),
        *zip(vectors.axis, by_axis)) if pair[1] is not None))
    grads = [tf.cast(x, target.dtype) for x, target in zip(grads, targets)]
    grad_values = graph_ops.reshape(
        tape.gradient(targets, pixels, grads), sizes(values))
    grad_qkv = None
    if qkv is not None:
      grad_values, *grad_qkv = self._qkv_norm.normalize_gradient(
          parameters.qkv, qkv, kept.reserved, values, grad_values)
      grad_qkv = normalization.Parameters(*grad_qkv, None)
    flat = graph_ops.reshape(inputs, [-1, sizes(inputs)[3]])
    return [
        graph_ops.reshape(tf.matmul(
            grad_values, parameters.kernel, transpose_b=True), sizes(inputs)),
        tf.matmul(flat, grad_values, transpose_a=True), *grad_tables,
        *_of_norms(parameters, (grad_qkv, grad_logit, grad_output))]

  def _chunk_gradients(self, rows, shared, retrieved, grad):
    """Returns the gradients of the operands of the chunks."""
    axis, delta = self._axis, None
    if axis.settings.activation == 'softmax':
      delta = graph_ops.reduce_sum(
          grad * retrieved.terms, heads.axis_of_terms(axis.form), keepdims=True)
      if axis.form == 'lanes':
        delta = graph_ops.transpose(delta, [0, 2, 1, 3])
    found = []

    def chunk_gradient(part):
      found[:] = chunk_lib.gradient(
          axis.settings, axis.form, part[0], shared, part[1])
      return tuple(map(chunks.tensors, found))

    by_row, summed = axis.apply(
        chunk_gradient, (rows, chunk_lib.Upstream(
            grad, delta, retrieved.log_normalizer)))
    by_row, summed = map(chunks.fill, found, (by_row, summed))
    if axis.form == 'lanes':
      summed = dense.pairs_of(
          summed, *sizes(axis.blocks.offset_rows), axis.origin)
    return by_row, summed


def _of_norms(parameters, grads):
  """Returns the gradients of batch norms in the order of their tensors."""
  flat = []
  for norm, grad in zip(parameters[2:], grads):
    if norm is not None:
      # Moving statistics have none.
      flat += [grad.gamma, grad.beta, *[None] * len(norm.moving or ())]
  return flat
