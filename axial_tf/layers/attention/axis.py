"""Sizes of one call of an axis, and how it is computed."""

from typing import Optional

import tensorflow as tf

from axial_tf.layers import graph_ops, precision
from axial_tf.layers.attention import chunks, span
from axial_tf.layers.shapes import sizes

# At larger depths matrix products are quicker than elementwise ones.
_DEEPEST_FUSED = 16


class Axis:
  """What the parts of a call share.

  Attributes:
    settings: settings of the attention.
    terms: those of its terms that are in use.
    heads: number of heads.
    channels: channels of all queries, of all keys and of all values.
    uses_batch: whether batch norms use the statistics of this batch.
    dtype: type of sums, statistics and factors.
    compute_dtype: type of vectors and maps; products sum in float32 whatever
      it is.
    batch: number of images.
    length: length of the axis.
    other: length of the other axis.
    blocks: cut of the axis.
    queries: number of queries on the axis.
    rows: number of rows: images, blocks and positions on the other axis.
    form: how chunks are computed; see chunk.
    chunk: number of maps in a chunk, at most.
  """

  def __init__(self, layer, inputs: tf.Tensor, uses_batch: bool, stride: int):
    """Measures a call of an AxialAttention.

    Args:
      layer: the layer.
      inputs: [batch, length, other, channels].
      uses_batch: whether batch norms use the statistics of this batch.
      stride: distance of the queries on the axis.
    """
    self.settings = layer.settings
    self.terms = layer.settings.terms
    self.heads = layer.settings.heads
    self.channels = [
        layer.key_channels, layer.key_channels, layer.value_channels]
    self.uses_batch = uses_batch
    self.dtype = precision.wide(inputs.dtype)
    self.batch, self.length, self.other, _ = sizes(inputs)
    self.form = self._form()
    self._stride = stride
    # Compiled programs would store tables of positions at each use.
    self._origin = 0 if self.form != 'einsum' else graph_ops.once(
        'zero', lambda: _zero(inputs))
    self.blocks = self._once('blocks', lambda: span.cut(
        self.length, self.settings.span, stride, self._origin))
    self.queries = -(-self.length // stride)
    self.rows = self.batch * self.blocks.count * self.other
    # Other forms are those of CPUs, which gain nothing from short types.
    self.compute_dtype = (
        inputs.dtype if self.form == 'einsum' else self.dtype)
    self.chunk = chunks.chunk_size(
        *sizes(self.blocks.offsets), self.settings.chunk_bytes)

  def _form(self):
    backend = self.settings.backend
    if backend != 'auto':
      return backend
    if chunks.has_accelerator():
      return 'einsum'
    # Compiling takes seconds: not for one call, and not for each image size.
    # Masks make the compiled loops slower than matrix products.
    fused = (tf.inside_function() and isinstance(self.length, int)
             and span.sees_all(self.length, self.settings.span)
             and self.channels[0] // self.heads <= _DEEPEST_FUSED)
    return 'fused' if fused else 'matmul'

  def visible(self) -> tf.Tensor:
    """Returns whether positions see offsets, [t, x, w] of zeros and ones.

    For queries and for keys, where they meet positions.
    """
    directions = [direction for direction, used in (
        (1, self.terms.query_position), (-1, self.terms.key_position)) if used]
    reach = self.blocks.reach
    return self._once(('visible', *directions), lambda: graph_ops.constant(
        span.stack([
            span.seen(self.length, reach, direction, self._origin)
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
    if not isinstance(self.length, int):
      return make()
    return graph_ops.once(
        (name, self.length, self.settings.span, self._stride,
         isinstance(self._origin, int)), make)


def _zero(inputs):
  """Returns a zero that no compiler takes for a constant too early."""
  # tf.zeros_like() would make a constant.
  return tf.raw_ops.ZerosLike(x=tf.cast(inputs[0, 0, 0, 0], tf.int32))
