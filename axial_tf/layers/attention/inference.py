"""Infers an axis, by the moving statistics of its batch norms.

Nothing joins the rows then. CPUs take a group of them at a time from projection
to result, so that queries, keys and values of the others do not exist, and
those of the group stay in the cache; a group is computed in chunks, or in tiles
where these are quicker. The batch norms of the projection are folded into its
kernel, those of what is retrieved into the end of a chunk.
"""

from typing import NamedTuple, Optional, Tuple

import tensorflow as tf

from axial_tf import devices
from axial_tf.layers import compilation, graph_ops
from axial_tf.layers.attention import axis as axis_lib
from axial_tf.layers.attention import chunk as chunk_lib
from axial_tf.layers.attention import (
  chunks,
  compiled,
  layout,
  passes,
  span,
  tiles,
)
from axial_tf.layers.shapes import sizes

# Fewer rows make operations too small to be quick.
_FEWEST_ROWS = 4


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


def infer(call: axis_lib.Call, inputs: tf.Tensor, parameters: passes.Parameters
          ) -> Tuple[tf.Tensor, passes.Kept]:
  """Returns the outputs of a call, and what its backward pass needs.

  Args:
    call: the call.
    inputs: [batch, length, other, channels].
    parameters: variables of the layer.
  """
  if call.form in ('matmul', 'fused'):
    return _infer_in_groups(call, inputs, parameters)
  inference = _Inference(axis_lib.Axis(call, inputs))
  fixed, kept = inference.prepare(parameters)
  return inference.outputs(inputs, fixed), kept


def _infer_in_groups(call, inputs, parameters):
  """As infer(), for groups of rows."""
  rows = layout.to_rows(inputs)
  if (call.form == 'fused' and rows.shape.is_fully_defined()
      and compilation.tiles_pay()):
    outputs, kept = _infer_in_tiles(call, rows, parameters)
  else:
    outputs, kept = _infer_in_chunks(call, rows, parameters)
  return layout.from_rows(outputs, sizes(inputs)[2]), kept


def _infer_in_tiles(call, rows, parameters):
  """Infers groups of rows whose vectors are half the size of a chunk."""
  inference = _InferenceInTiles(axis_lib.Axis(call, rows, 1))
  fixed, kept = inference.prepare(parameters)
  count, length, _, _ = rows.shape
  row_bytes, cores = 4 * length * sum(call.channels), devices.cores()
  size = min(call.settings.chunk_bytes // (2 * row_bytes), count // cores)
  multiple = tiles.row_multiple(call.settings.heads)
  (outputs,), _ = chunks.apply(
      lambda group: ([inference.outputs(group, fixed)], []), rows,
      multiple * max(1, size // multiple), at_a_time=cores + 1)
  return outputs, kept


def _infer_in_chunks(call, rows, parameters):
  """Infers groups of rows whose maps are a chunk."""
  count = sizes(rows)[0]
  axis = axis_lib.Axis(call, rows)
  size = axis.chunk // (axis.blocks.count * axis.heads)
  # A loop in the loop is slow where its length is unknown.
  known = all(isinstance(x, int) for x in (count, size))
  _, size = chunks.even(
      count, chunks.at_least(_FEWEST_ROWS if known else 1, size))
  inference = _Inference(axis_lib.Axis(call, rows, size))
  fixed, kept = inference.prepare(parameters)
  (outputs,), _ = chunks.apply(
      lambda group: ([inference.outputs(group, fixed, in_chunks=known)], []),
      rows, size)
  return outputs, kept


class _Inference(passes.Passes):
  """The forward pass without statistics of the batch."""

  def prepare(self, parameters):
    """Returns what outputs() needs besides inputs, and what is kept."""
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
            passes.Kept(qkv, [], gathered, None, logit, None, output, None))

  def outputs(self, inputs, fixed, in_chunks=True):
    """Returns the outputs, by the moving statistics."""
    axis = self._axis
    vectors = self._vectors(*self._project(inputs, fixed))

    def retrieve(part):
      rows, gains = part
      return [chunk_lib.retrieve(
          axis.settings, axis.form, rows, fixed.shared, gains).terms], []

    apply = axis.apply if in_chunks else lambda function, rows: function(rows)
    (total,), _ = apply(
        retrieve, (self._with(fixed.rows, vectors), fixed.gains))
    return tf.cast(self._joined(total), inputs.dtype)

  def _project(self, inputs, fixed):
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
    kernels = graph_ops.split(fixed.kernel, parts, 1)
    return [
        self._pixels(x, passes.product(x, kernel, bias))
        for x, kernel, bias in zip((queries, inputs, inputs), kernels, biases)]


class _InferenceInTiles(_Inference):
  """As a program for each group of rows; the axis has one row."""

  def prepare(self, parameters):
    fixed, kept = super().prepare(parameters)
    order = tiles.heads_last(self._axis.channels, self._axis.heads)
    bias = fixed.bias
    if bias is not None:
      bias = graph_ops.gather(bias, order)
    return fixed._replace(
        kernel=graph_ops.gather(fixed.kernel, order, axis=1), bias=bias), kept

  def outputs(self, inputs, fixed):
    axis, blocks = self._axis, self._axis.blocks
    query, *rest = self._project(inputs, fixed)
    if not (rest or span.is_whole(blocks)):
      keys, _, values = axis.channels
      query, *rest = graph_ops.split(query, [keys, keys + values], 3)
    query = span.split_queries(query, blocks)
    rest = span.windows(rest[0], blocks) if rest else None

    def of_heads(values):
      return None if values is None else values[:axis.heads, 0]

    mask = fixed.rows.key_mask
    if mask is not None:
      mask = graph_ops.tile(mask[::axis.heads, 0], [inputs.shape[0], 1])
    outputs = compiled.call(
        tiles.attend, (axis.settings, axis.channels[0] // axis.heads),
        tiles.Vectors(*(
            None if x is None else tf.squeeze(x, 2) for x in (query, rest)),
            mask),
        tiles.Factors(*map(of_heads, (fixed.rows.scales, *fixed.gains))),
        fixed.shared)
    return span.join(
        tf.cast(outputs[:, :, None], inputs.dtype), blocks, axis.queries)
