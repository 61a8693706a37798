"""Sizes of one call of an axis, and how it is computed."""

import numpy as np
import tensorflow as tf

from axial_tf.layers import graph_ops, normalization
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
    dtype: type of sums.
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
    self.dtype = normalization.wide(inputs.dtype)
    self.batch, self.length, self.other, _ = sizes(inputs)
    self.blocks = span.cut(self.length, self.settings.span, stride)
    self.queries = -(-self.length // stride)
    self.rows = self.batch * self.blocks.count * self.other
    self.form = self._form()
    self.chunk = chunks.chunk_size(
        sizes(self.blocks.query_positions)[0],
        sizes(self.blocks.key_positions)[0], self.settings.chunk_bytes)

  def _form(self):
    backend = self.settings.backend
    if backend != 'auto':
      return backend
    if chunks.has_accelerator():
      return 'einsum'
    # Compiling takes seconds: not for one call, and not for each image size.
    # Masks make the compiled loops slower than matrix products.
    fused = (tf.inside_function() and self.blocks.pair_mask is None
             and self.channels[0] // self.heads <= _DEEPEST_FUSED
             and isinstance(self.blocks.key_positions, np.ndarray))
    return 'fused' if fused else 'matmul'

  def repeat_blocks(self, values: span.Positions) -> tf.Tensor:
    """Repeats values of the blocks for all rows and heads.

    Args:
      values: [blocks, w].

    Returns:
      [n, w].
    """
    values = graph_ops.constant(values, self.dtype)
    count, width = sizes(values)
    repeated = graph_ops.tile(
        graph_ops.reshape(values, [1, count, 1, width]),
        [self.batch, 1, self.other * self.heads, 1])
    return graph_ops.reshape(repeated, [-1, width])

  def query_mask(self):
    """Returns which queries are within the axis, [n, l, 1]; None if all."""
    if span.is_whole(self.blocks):
      return None
    return tf.expand_dims(self.repeat_blocks(self.blocks.query_mask), 2)
