"""Computes an axis in chunks of rows, with a gradient of its own.

Inference on a CPU takes a group of rows at a time from projection to result, so
that the vectors of the others do not exist. A training step keeps the inputs
and what the queries retrieve; projections, normalized vectors and maps are
computed again in the backward pass. Batch norms become factors: that of the
projection is folded into its kernel (in inference), that of the logits into
queries and keys, by moments that need no logits, and that of what is retrieved
into the end of a chunk (in inference).

Letters: b batch, x position on the axis, n rows and heads, h heads, d and e
depth, l queries of a block, t terms.
"""

import functools
from typing import List, NamedTuple, Optional, Tuple

import tensorflow as tf

from axial_tf.layers import graph_ops, normalization, precision
from axial_tf.layers.attention import axis as axis_lib
from axial_tf.layers.attention import chunk as chunk_lib
from axial_tf.layers.attention import (
  chunks,
  compiled,
  dense,
  heads,
  lanes,
  layout,
  logit_norm,
  moments,
  output_norm,
  span,
  tables,
)
from axial_tf.layers.shapes import sizes

# Fewer rows make operations too small to be quick.
_FEWEST_ROWS = 4


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


class _Fixed(NamedTuple):
  """What all rows share in inference.

  Attributes:
    kernel: kernel of the projection, with its batch norm.
    bias: bias of the projection; None without batch norm.
    rows: operands of the chunks, without vectors.
    shared: operands of the chunks.
    gains: batch norm of what is retrieved.
  """
  kernel: tf.Tensor
  bias: Optional[tf.Tensor]
  rows: chunk_lib.Rows
  shared: chunk_lib.Shared
  gains: chunk_lib.Gains


class _Kept(NamedTuple):
  """What the backward pass needs besides inputs and parameters."""
  qkv: Optional[normalization.Affine]
  reserved: List[tf.Tensor]  # By normalization.Normalizer.normalize().
  gathered: Optional[tables.Gathered]
  position: Optional[moments.Position]
  logit: Optional[normalization.Affine]
  by_position: Optional[Tuple[tf.Tensor, tf.Tensor]]  # See moments.Position.
  output: Optional[normalization.Affine]
  retrieved: Optional[chunk_lib.Retrieved]  # Computed again if None.


def attend(layer, inputs: tf.Tensor, training: bool, stride: int) -> tf.Tensor:
  """Computes an axis; see backends for the arguments."""
  call = axis_lib.describe(layer, inputs, training, stride)
  run = compiled.call if call.compiled else _call_directly
  norms = () if call.normalizer is None else (
      layer.qkv_norm, layer.logit_norm, layer.output_norm)
  parameters = _Parameters(
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
    statistics = []
    infer = _infer_in_groups if call.form in ('matmul', 'fused') else _infer
    outputs, kept = infer(call, inputs, parameters)
  return lanes.ungroup(outputs, groups, batch), statistics, kept


def _infer(call, inputs, parameters):
  """Returns outputs and what is kept, without statistics of the batch."""
  passes = _Passes(axis_lib.Axis(call, inputs))
  fixed, kept = passes.prepare(parameters)
  return passes.infer(inputs, fixed), kept


def _infer_in_groups(call, inputs, parameters):
  """As _infer(), for groups of rows whose maps are a chunk."""
  rows = layout.to_rows(inputs)
  axis = axis_lib.Axis(call, rows)
  size = axis.chunk // (axis.blocks.count * axis.heads)
  known = isinstance(size, int)
  # A loop in the loop is slow where its length is unknown.
  size = chunks.at_least(_FEWEST_ROWS if known else 1, size)
  _, size = chunks.even(sizes(rows)[0], size)
  # Also where there are fewer, or none.
  group = tf.zeros([size, *sizes(rows)[1:]], rows.dtype)
  passes = _Passes(axis_lib.Axis(call, group))
  fixed, kept = passes.prepare(parameters)
  (outputs,), _ = chunks.apply(
      lambda group: ([passes.infer(group, fixed, in_chunks=known)], []),
      rows, size)
  return layout.from_rows(outputs, sizes(inputs)[2]), kept


def _backward(call, inputs, parameters, kept, grad_outputs):
  batch, groups = inputs.shape[0], axis_lib.groups(call, inputs)
  inputs, grad_outputs = (
      lanes.group(x, groups) for x in (inputs, grad_outputs))
  grad_inputs, *grads = _Passes(axis_lib.Axis(call, inputs)).backward(
      inputs, parameters, kept, grad_outputs)
  return [lanes.ungroup(grad_inputs, groups, batch), *grads]


class _Passes:
  """The forward and the backward pass of a call."""

  def __init__(self, axis):
    self._axis = axis
    self._qkv_norm = axis.normalizer
    self._logit_norm = self._output_norm = None
    if axis.normalizer is not None:
      self._logit_norm = logit_norm.LogitNorm(axis)
      self._output_norm = output_norm.OutputNorm(axis)

  def prepare(self, parameters):
    """Returns what infer() needs besides inputs, and what is kept."""
    kernel, bias, qkv = parameters.kernel, None, None
    logit = output = None
    gains = chunk_lib.Gains(None, None)
    if self._qkv_norm is not None:
      qkv = self._qkv_norm.affine_of(parameters.qkv, None)
      bias = tf.cast(qkv.shift, kernel.dtype)
      kernel = tf.cast(
          tf.cast(kernel, qkv.scale.dtype) * qkv.scale, kernel.dtype)
      logit, _ = self._logit_norm.affine(parameters.logit, None, None)
      output = self._output_norm.affine(parameters.output, None)
      gains = self._output_norm.gains(output)
    gathered, _ = self._gather(parameters)
    return (_Fixed(kernel, bias, *self._operands(gathered, logit), gains),
            _Kept(qkv, [], gathered, None, logit, None, output, None))

  def infer(self, inputs, fixed, in_chunks=True):
    """Returns the outputs, by the moving statistics."""
    axis = self._axis
    vectors = self._vectors(*self._project_fixed(inputs, fixed))

    def retrieve(part):
      rows, gains = part
      return [chunk_lib.retrieve(
          axis.settings, axis.form, rows, fixed.shared, gains).terms], []

    apply = axis.apply if in_chunks else lambda function, rows: function(rows)
    (total,), _ = apply(
        retrieve, (self._with(fixed.rows, vectors), fixed.gains))
    return tf.cast(self._joined(total), inputs.dtype)

  def forward(self, inputs, parameters):
    """Returns outputs, statistics of the batch norms, and what is kept."""
    values, qkv, reserved = self._qkv_norm.normalize(
        parameters.qkv, _product(inputs, parameters.kernel))
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
    kept = _Kept(qkv, reserved, gathered, position, logit, by_position,
                 output, retrieved)
    return tf.cast(outputs, inputs.dtype), self._statistics(kept), kept

  def _joined(self, total):
    """Brings the results of all queries back to pixels."""
    axis = self._axis
    return span.join(
        layout.to_pixels(total, axis.heads, axis.other, axis.form),
        axis.blocks, axis.queries)

  def _statistics(self, kept):
    """Returns mean and variance of each batch norm."""
    return [(kept.qkv.mean, kept.qkv.variance),
            (kept.logit.mean, kept.logit.variance), tuple(map(
                self._output_norm.by_channel,
                (kept.output.mean, kept.output.variance)))]

  # Projection.

  def _project_fixed(self, inputs, fixed):
    """Returns [b, x, other, c] of queries, keys and values.

    They are one tensor, or two where the queries are fewer, or three where to
    split is to copy.
    """
    keys, _, values = self._axis.channels
    queries = span.queried(inputs, self._axis.blocks)
    parts = [2 * keys + values]
    if self._axis.form == 'lanes':
      parts = [keys, keys, values]
    elif self._axis.blocks.stride > 1:
      parts = [keys, keys + values]
    biases = [None] * len(parts) if fixed.bias is None else (
        graph_ops.split(fixed.bias, parts, 0))
    return [
        self._pixels(x, _product(x, kernel, bias)) for x, kernel, bias in zip(
            (queries, inputs, inputs), graph_ops.split(fixed.kernel, parts, 1),
            biases)]

  def _vectors(self, *pixels):
    """Turns queries, keys and values, together or the queries apart."""
    blocks = self._axis.blocks
    keys, _, values = self._axis.channels
    turn = functools.partial(
        layout.to_vectors, heads=self._axis.heads,
        dtype=self._axis.compute_dtype, form=self._axis.form)
    if len(pixels) == 1 and span.is_whole(blocks) and blocks.stride == 1:
      query, key, value = turn(pixels[0], [keys, keys, values])
      return _Vectors(query, key, value, self._positioned(query, key))
    axis = []
    if len(pixels) == 3:
      query, key, value = pixels
      return _Vectors(*turn(span.split_queries(query, blocks), [keys]),
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
    return _Vectors(*turn(span.split_queries(query, blocks), [keys]),
                    *turn(span.windows(rest, blocks), [keys, values]), axis)

  def _positioned(self, query, key):
    terms = self._axis.terms
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

  # Backward pass.

  def backward(self, inputs, parameters, kept, grad_outputs):
    """Returns the gradients of the inputs and of all parameters."""
    qkv, logit, output = kept.qkv, kept.logit, kept.output
    gathered, retrieved = kept.gathered, kept.retrieved
    # As all that it takes is there, it would be computed early, and kept.
    with tf.control_dependencies([grad_outputs]):
      inputs = tf.identity(inputs)
    values = normalized = _product(inputs, parameters.kernel)
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


def _product(inputs, kernel, bias=None):
  """[..., channels] x [channels, c] -> [..., c] with one axis in front."""
  product = tf.matmul(
      graph_ops.reshape(inputs, [-1, sizes(inputs)[-1]]), kernel)
  return product if bias is None else tf.nn.bias_add(product, bias)
