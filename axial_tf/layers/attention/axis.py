"""Sizes of one call of an axis, and how it is computed."""

import dataclasses
from typing import NamedTuple, Optional, Tuple

import tensorflow as tf

from axial_tf import devices, errors, unfolded
from axial_tf.layers import (
  compilation,
  graph_ops,
  normalization,
  precision,
)
from axial_tf.layers.attention import chunks, lanes, span
from axial_tf.layers.attention import settings as settings_lib
from axial_tf.layers.shapes import sizes

# At larger depths matrix products are quicker than elementwise ones: on CPUs,
# and in programs for GPUs.
_DEEPEST_FUSED = 16
_DEEPEST_IN_PROGRAM = 8

# Numbers along the last axis that a TPU computes on at a time: longer axes fill
# them themselves, and fewer rows do not. Deeper heads are for its matrix units.
_LANES = 128
_DEEPEST_IN_LANES = 16


class Call(NamedTuple):
  """What a call is computed by, besides tensors.

  Attributes:
    settings: settings of the attention.
    channels: channels of all queries, of all keys and of all values.
    normalizer: arithmetic of the three batch norms, or None.
    uses_batch: whether batch norms use the statistics of this batch.
    stride: distance of the queries on the axis.
    form: how chunks are computed; see chunk.
    compiled: whether XLA compiles the forward and the backward pass, each as
      a whole.
  """
  settings: settings_lib.AttentionSettings
  channels: Tuple[int, int, int]
  normalizer: Optional[normalization.Normalizer]
  uses_batch: bool
  stride: int
  form: str
  compiled: bool


def describe(layer, inputs: tf.Tensor, training: bool, stride: int) -> Call:
  """Describes a call of an AxialAttention.

  Args:
    layer: the layer.
    inputs: [batch, length, other, channels].
    training: whether this is training.
    stride: distance of the queries on the axis.
  """
  settings = layer.settings
  uses_batch = layer.uses_batch(training)
  stride = 1 if uses_batch else stride
  if settings.chunk_bytes is None:
    settings = dataclasses.replace(
        settings, chunk_bytes=chunks.CHUNK_BYTES[devices.of_programs()])
  else:
    _require_whole_maps(settings, inputs.shape[1], stride)
  channels = layer.key_channels, layer.key_channels, layer.value_channels
  normalizer = None if settings.norm is None else layer.qkv_norm.normalizer
  backend = settings.backend
  if backend == 'auto':
    backend = compilation.backend_of_device(
        _fits_fused(settings, channels, inputs),
        _fits_lanes(settings, channels, inputs))
  compiled = compilation.axis_is_program(
      backend, inputs.shape, uses_batch and normalizer.synchronized)
  if compiled and normalizer is not None:
    normalizer = dataclasses.replace(normalizer, fused=False)
  return Call(
      settings, channels, normalizer, uses_batch, stride,
      _form(backend, settings, channels, inputs, compiled), compiled)


def _form(backend, settings, channels, inputs, compiled) -> str:
  """Returns the form of chunks that a backend has for an axis."""
  if backend == 'lanes' and not (
      inputs.shape.is_fully_defined() and inputs.shape.num_elements()
      and span.sees_all(inputs.shape[1], settings.span)):
    return 'einsum'
  if backend == 'compiled':
    shallow = channels[0] // settings.heads <= _DEEPEST_IN_PROGRAM
    return 'program' if compiled and shallow else 'einsum'
  return backend


def _fits_lanes(settings, channels, inputs) -> bool:
  """Whether the backend 'lanes' suits an axis."""
  if not inputs.shape.is_fully_defined():
    return False
  batch, length, other, _ = inputs.shape
  return (span.sees_all(length, settings.span) and length <= _LANES
          and batch * other >= _LANES
          and channels[0] // settings.heads <= _DEEPEST_IN_LANES)


def _fits_fused(settings, channels, inputs) -> bool:
  """Whether the loops of the backend 'fused' suit an axis."""
  return (inputs.shape[1] is not None
          and channels[0] // settings.heads <= _DEEPEST_FUSED)


def _require_whole_maps(settings, length: Optional[int], stride: int) -> None:
  """Checks that a chunk of the given size holds a map of a known length."""
  if length is None:
    return
  queries, keys = span.cut(length, settings.span, stride).offset_rows.shape
  least = chunks.map_bytes(queries, keys)
  if settings.chunk_bytes < least:
    raise errors.UserError(
        f'AttentionSettings.chunk_bytes: expected at least {least}, the bytes '
        f'of one map of {queries} queries and {keys} keys on an axis of '
        f'{length} positions, got {settings.chunk_bytes}; None takes what '
        f'suits the device')


def groups(call: Call, inputs: tf.Tensor) -> Optional[int]:
  """Returns the number of groups of rows for a call in lanes, else None."""
  if call.form != 'lanes':
    return None
  batch, length, other, _ = inputs.shape
  queries, keys = span.cut(
      length, call.settings.span, call.stride).offset_rows.shape
  return lanes.count(batch, other, chunks.chunk_size(
      queries, keys, call.settings.chunk_bytes))


class Axis:
  """What the parts of a call share.

  Attributes:
    settings: settings of the attention.
    terms: those of its terms that are in use.
    heads: number of heads.
    channels: channels of all queries, of all keys and of all values.
    normalizer: arithmetic of the three batch norms, or None.
    uses_batch: whether batch norms use the statistics of this batch.
    dtype: type of sums, statistics and factors.
    compute_dtype: type of vectors and maps; products sum in float32 whatever
      it is.
    batch: number of images.
    length: length of the axis.
    other: length of the other axis.
    origin: 0, as for span.cut().
    blocks: cut of the axis.
    queries: number of queries on the axis.
    rows: number of rows: images, blocks and positions on the other axis; in
      lanes, of groups of them.
    form: how chunks are computed; see chunk.
    chunk: number of maps in a chunk, at most; in lanes, of groups of them.
  """

  def __init__(self, call: Call, inputs: tf.Tensor,
               batch: Optional[graph_ops.Size] = None):
    """Measures the inputs of a call.

    Args:
      call: the call.
      inputs: [batch, length, other, channels].
      batch: number of images, if not that of the inputs.
    """
    (self.settings, self.channels, self.normalizer, self.uses_batch,
     self._stride, self.form, _) = call
    self.terms = self.settings.terms
    self.heads = self.settings.heads
    self.dtype = precision.wide(inputs.dtype)
    self.batch, self.length, self.other, _ = sizes(inputs)
    if batch is not None:
      self.batch = batch
    on_accelerator = self.form in ('einsum', 'program', 'lanes')
    # Compiled programs would store tables of positions at each use.
    self.origin = 0 if not on_accelerator else graph_ops.once(
        'zero', lambda: unfolded.zero(inputs))
    self.blocks = self._once('blocks', lambda: span.cut(
        self.length, self.settings.span, self._stride, self.origin))
    self.queries = -(-self.length // self._stride)
    self.rows = self.batch * self.blocks.count
    # Other forms are those of CPUs, which gain nothing from short types.
    self.compute_dtype = inputs.dtype if on_accelerator else self.dtype
    self.chunk = chunks.chunk_size(
        *sizes(self.blocks.offset_rows), self.settings.chunk_bytes)
    if self.form == 'lanes':
      groups = self.rows * self.heads
      # Several groups are joined, so all or one.
      self.chunk = groups if groups * self.other <= self.chunk else 1
    else:
      self.rows *= self.other

  def visible(self) -> tf.Tensor:
    """Returns whether positions see offsets, [t, x, w] of zeros and ones.

    For queries and for keys, where they meet positions.
    """
    directions = [direction for direction, used in (
        (1, self.terms.query_position), (-1, self.terms.key_position)) if used]
    reach = self.blocks.reach
    return self._once(
        ('visible', self.dtype, *directions), lambda: graph_ops.constant(
            span.stack([
                span.seen(self.length, reach, direction, self.origin)
                for direction in directions]), self.dtype))

  def pair_addend(self) -> Optional[tf.Tensor]:
    """Returns what keeps queries from keys beyond the span, [l, m]."""
    return self._addend(self.blocks.pair_mask, 'pairs')

  def key_addend(self) -> Optional[tf.Tensor]:
    """Returns what keeps queries from keys beyond the axis, [n, 1, m]."""
    addend = self._addend(self.blocks.key_mask, 'keys')
    return None if addend is None else tf.expand_dims(
        self._repeat_blocks(addend), 1)

  def query_mask(self) -> Optional[tf.Tensor]:
    """Returns which queries are within the axis, [n, l, 1]; None if all."""
    mask = self.blocks.query_mask
    return None if mask is None else tf.expand_dims(self._repeat_blocks(
        graph_ops.constant(mask, self.compute_dtype)), 2)

  def apply(self, function, rows):
    """Applies a function to chunks of rows, as chunks.apply()."""
    by_chunk = lanes.apply if self.form == 'lanes' else chunks.apply
    return by_chunk(function, rows, self.chunk)

  def _addend(self, mask, name):
    return None if mask is None else self._once(
        (name, self.compute_dtype), lambda: graph_ops.constant(
            span.addend(mask, self.compute_dtype), self.compute_dtype))

  def _repeat_blocks(self, values):
    """Repeats values of the blocks for all rows: [blocks, w] -> [n, w]."""
    count, width = sizes(values)
    repeated = graph_ops.tile(
        graph_ops.reshape(values, [1, count, 1, width]),
        [self.batch, 1, self.other * self.heads, 1])
    return graph_ops.reshape(repeated, [-1, width])

  def _once(self, name, make):
    """Returns make(), which depends on the cut only, once in a graph."""
    length = self.length
    return graph_ops.once(
        (name, length if isinstance(length, int) else length.ref(),
         self.settings.span, self._stride, isinstance(self.origin, int)), make)
