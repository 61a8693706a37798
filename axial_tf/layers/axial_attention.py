"""Position-sensitive self-attention along one axis, as a Keras layer."""

import dataclasses
from typing import Optional

import tensorflow as tf

from axial_tf import errors, settings
from axial_tf.layers import (
  attention_arguments,
  attention_core,
  attention_rows,
  local_span,
  logit_moments,
  normalization,
)
from axial_tf.layers import attention_maps as maps


@dataclasses.dataclass(frozen=True)
class AttentionTerms:
  """Which terms of equation 3 are in use; all of them in the paper.

  Attributes:
    content: q.k in the logits.
    query_position: q.r^q in the logits.
    key_position: k.r^k in the logits.
    value_content: v in what is retrieved.
    value_position: r^v in what is retrieved.
  """
  content: bool = True
  query_position: bool = True
  key_position: bool = True
  value_content: bool = True
  value_position: bool = True

  def __post_init__(self):
    settings.check_types(self)
    settings.require(
        self.content or self.query_position or self.key_position, self,
        'content', 'content, query_position or key_position to be True')
    settings.require(
        self.value_content or self.value_position, self, 'value_content',
        'value_content or value_position to be True')

  @property
  def num_logit_terms(self) -> int:
    return self.content + self.query_position + self.key_position

  @property
  def num_value_terms(self) -> int:
    return self.value_content + self.value_position


class AxialAttention(tf.keras.layers.Layer):
  """Axial attention over the second axis of [batch, length, channels].

  Batch norm stands, as in section 4.1 of the paper, after the projection to
  queries, keys and values (per channel), on each logit term (per head) and on
  each retrieved term (per channel). There is no output projection and, unless
  `scale_logits`, no division by sqrt(depth).

  Variables do not depend on the length: offsets index tables of 509 rows.
  """

  def __init__(
      self,
      key_channels: int,
      value_channels: int,
      *,
      heads: int = 8,
      span: Optional[int] = None,
      terms: AttentionTerms = AttentionTerms(),
      activation: str = 'softmax',
      norm: Optional[normalization.BatchNormSettings] = (
          normalization.BatchNormSettings()),  # noqa: B008 (frozen)
      scale_logits: bool = False,
      **kwargs):
    """Checks and keeps the settings.

    Args:
      key_channels: channels of all queries together (and of all keys).
      value_channels: channels of all values together, and of the output.
      heads: number of heads; divides both.
      span: odd number of keys seen by a query, centered on it; None for the
        whole axis.
      terms: which terms of the logits and values are in use.
      activation: 'softmax' over the keys or 'sigmoid' of each logit.
      norm: settings of the batch norms, or None for no batch norm.
      scale_logits: whether to divide the logits by sqrt(depth of a key).
      **kwargs: of tf.keras.layers.Layer.

    Raises:
      errors.UserError: channels that heads do not divide, an even or
        non-positive span, an unknown activation.
    """
    super().__init__(**kwargs)
    attention_arguments.check(
        'AxialAttention', key_channels, value_channels, heads, activation)
    if span is not None and (span < 1 or span % 2 == 0):
      raise errors.UserError(
          f'AxialAttention: expected span to be a positive odd number or None '
          f'for the whole axis, got {span}')
    self._key_channels = key_channels
    self._value_channels = value_channels
    self._heads = heads
    self._span = span
    self._terms = terms
    self._activation = activation
    self._norm = norm
    self._scale_logits = scale_logits
    if norm is not None:
      self.qkv_norm = normalization.MomentNormalization(
          norm, name='qkv_norm')
      self.logit_norm = normalization.MomentNormalization(
          norm, name='logit_norm')
      self.output_norm = normalization.MomentNormalization(
          norm, name='output_norm')

  def build(self, input_shape):
    channels = input_shape[-1]
    self.qkv_kernel = self.add_weight(
        'qkv_kernel', [channels, 2 * self._key_channels + self._value_channels],
        initializer=tf.keras.initializers.TruncatedNormal(
            stddev=channels ** -0.5))
    key_depth = self._key_channels // self._heads
    value_depth = self._value_channels // self._heads
    self.query_rpe = self._add_table(
        'query_rpe', key_depth, self._terms.query_position)
    self.key_rpe = self._add_table(
        'key_rpe', key_depth, self._terms.key_position)
    self.value_rpe = self._add_table(
        'value_rpe', value_depth, self._terms.value_position)
    if self._norm is not None:
      for layer, size in (
          (self.qkv_norm, self.qkv_kernel.shape[-1]),
          (self.logit_norm, self._terms.num_logit_terms * self._heads),
          (self.output_norm,
           self._terms.num_value_terms * self._value_channels)):
        with tf.name_scope(layer.name):
          layer.build([size])
    super().build(input_shape)

  def _add_table(self, name, depth, in_use):
    if not in_use:
      return None
    return self.add_weight(
        name, [attention_core.TABLE_ROWS, depth],
        initializer=tf.keras.initializers.TruncatedNormal(stddev=1.0))

  def call(self, inputs, training=False, stride=1):
    """Attends along the axis.

    Args:
      inputs: [batch, length, channels], or [batch, length, other, channels]
        with another axis, at each position of which attention is separate.
      training: whether batch norm uses the statistics of this batch.
      stride: outputs are those at every stride-th position. In inference, the
        others are never computed; in training they enter the statistics.

    Returns:
      The inputs' shape, with ceil(length / stride) and value_channels.
    """
    if inputs.ndim == 3:
      return self._attend(inputs[:, :, None], training, stride)[:, :, 0]
    return self._attend(inputs, training, stride)

  # No condition below depends on a tensor, and converting the code takes
  # longer than tracing it.
  @tf.autograph.experimental.do_not_convert
  def _attend(self, inputs, training, stride):
    """call() for [batch, length, other, channels]."""
    qkv = self._project(inputs, training)
    length = maps.sizes(inputs)[1]
    blocks = local_span.cut(
        length, self._span, 1 if self._norm_uses_batch(training) else stride)
    wide = tf.float64 if inputs.dtype == tf.float64 else tf.float32
    query, key, value = (
        tf.cast(x, wide) for x in self._split_heads(qkv, blocks))
    query_rpe, key_rpe, value_rpe = (
        None if table is None else attention_core.position_embeddings(
            tf.cast(table, wide), blocks.query_positions, blocks.key_positions)
        for table in (self.query_rpe, self.key_rpe, self.value_rpe))

    scales, shift = self._logit_scales(
        query, key, query_rpe, key_rpe, blocks,
        maps.sizes(inputs)[0], training)
    content, query_position, key_position = (
        None if scale is None else scale[:, None, None] for scale in scales)
    band = outside = None
    if blocks.band is not None:
      batch, _, other, _ = maps.sizes(inputs)
      # Finite, since a query that pads the last block has no valid key at all.
      lowest = tf.constant(wide.min / 4, wide)
      band = tf.where(blocks.band, tf.zeros([], wide), lowest)
      outside = tf.tile(tf.where(
          blocks.inside, tf.zeros([], wide), lowest)[None, :, None],
          [batch, 1, other, 1])
      outside = tf.reshape(outside, [-1, maps.sizes(outside)[-1]])
    retrieved = attention_rows.attend(
        attention_core.RowOperands(
            None if content is None else query * content,
            None if content is None else key,
            None if query_position is None else query * query_position,
            None if key_position is None else key * key_position,
            value if self._terms.value_content else None, outside),
        attention_core.SharedOperands(
            query_rpe, key_rpe, value_rpe, shift, band), self._activation)
    retrieved = [x for x in retrieved if x is not None]
    if self._norm is not None and not self._norm_uses_batch(training):
      retrieved = [self._normalize_moving(retrieved)]
    outputs = local_span.join(
        self._join_heads(retrieved, inputs, blocks), blocks, length)
    if self._norm_uses_batch(training):
      outputs = self.output_norm(outputs, training=True)
    if len(retrieved) > 1:
      outputs = tf.add_n(tf.split(outputs, len(retrieved), axis=-1))
    return outputs[:, ::stride] if stride > blocks.stride else outputs

  def _norm_uses_batch(self, training):
    return self._norm is not None and self.output_norm.uses_batch(training)

  def _project(self, inputs, training):
    """Returns normalized queries, keys and values, [b, length, o, channels]."""
    *outer, channels = maps.sizes(inputs)
    pixels = tf.reshape(inputs, [-1, channels])  # One large matrix product.
    if self._norm is None or self.qkv_norm.uses_batch(training):
      qkv = tf.matmul(pixels, self.qkv_kernel)
      if self._norm is not None:
        qkv = self.qkv_norm(qkv, training=True)
    else:
      scale, shift = self.qkv_norm.affine(None, False)
      kernel = tf.cast(self.qkv_kernel, scale.dtype) * scale
      qkv = tf.nn.bias_add(tf.matmul(pixels, tf.cast(kernel, inputs.dtype)),
                           tf.cast(shift, inputs.dtype))
    return tf.reshape(qkv, [*outer, qkv.shape[-1]])

  def _split_heads(self, qkv, blocks):
    """Cuts [b, length, o, channels] into q, k, v [b * n * o, heads, d, l].

    Of the keys and values, the last axis has the length of a window.
    """
    channels = [self._key_channels, self._key_channels, self._value_channels]
    if local_span.is_whole(blocks) and blocks.stride == 1:
      parts = tf.split(_channels_first(qkv[:, None]), channels, 1)
    else:
      query, rest = tf.split(qkv, [channels[0], sum(channels[1:])], -1)
      query = _channels_first(local_span.split_queries(query, blocks))
      key, value = tf.split(
          _channels_first(local_span.windows(rest, blocks)), channels[1:], 1)
      parts = query, key, value
    return [
        tf.reshape(x, [-1, self._heads, size // self._heads,
                       maps.sizes(x)[-1]])
        for x, size in zip(parts, channels)]

  def _normalize_moving(self, retrieved):
    """Returns the sum of the terms [r, l, heads, d], normalized."""
    scale, shift = (
        tf.reshape(tf.cast(x, retrieved[0].dtype),
                   [len(retrieved), self._heads, -1])
        for x in self.output_norm.affine(None, False))
    total = tf.reduce_sum(shift, 0)
    for term, factor in zip(retrieved, tf.unstack(scale)):
      total += term * factor
    return total

  def _join_heads(self, retrieved, inputs, blocks):
    """Terms [b * n * o, l, heads, d] -> [b, n, l, o, terms * heads * d]."""
    batch, _, other, _ = maps.sizes(inputs)
    count, length = blocks.count, blocks.block
    outputs = tf.concat([
        tf.reshape(x, [batch * count, other, length, self._value_channels])
        for x in retrieved], -1)
    if not (isinstance(other, int) and other == 1):
      outputs = tf.transpose(outputs, [0, 2, 1, 3])
    return tf.cast(tf.reshape(
        outputs, [batch, count, length, other, outputs.shape[-1]]),
        inputs.dtype)

  def _logit_scales(
      self, query, key, query_rpe, key_rpe, blocks, batch, training):
    """Returns the factor of each of the three terms, and a shift, [heads].

    Factors of unused terms are None; so is the shift for a softmax, which
    cancels it.
    """
    terms = (self._terms.content, self._terms.query_position,
             self._terms.key_position)
    scales = [tf.ones([self._heads], query.dtype)] * sum(terms)
    shift = None
    if self._norm is not None:
      scale, term_shift = self.logit_norm.affine(
          lambda: logit_moments.logit_moments(
              query, key, content=self._terms.content, query_rpe=query_rpe,
              key_rpe=key_rpe, blocks=blocks, batch=batch), training)
      by_term = [sum(terms), self._heads]
      shift = tf.reduce_sum(
          tf.cast(tf.reshape(term_shift, by_term), query.dtype), axis=0)
      scales = tf.unstack(tf.cast(tf.reshape(scale, by_term), query.dtype))
      if self._activation == 'softmax':
        # The softmax does not feel the shift. Multiplied by zero it still
        # gives beta its true gradient, 0, rather than None.
        scales[0] += 0.0 * shift
        shift = None
    if self._scale_logits:
      factor = (self._key_channels // self._heads) ** -0.5
      scales = [scale * factor for scale in scales]
      shift = None if shift is None else shift * factor
    scales = iter(scales)
    return [next(scales) if in_use else None for in_use in terms], shift

  def get_config(self):
    return {
        **super().get_config(),
        'key_channels': self._key_channels,
        'value_channels': self._value_channels,
        'heads': self._heads,
        'span': self._span,
        'terms': dataclasses.asdict(self._terms),
        'activation': self._activation,
        'norm': self._norm and dataclasses.asdict(self._norm),
        'scale_logits': self._scale_logits,
    }

  @classmethod
  def from_config(cls, config):
    return cls(**cls.decode_config(config))

  @staticmethod
  def decode_config(config):
    """Returns the config with its dataclasses restored from dicts."""
    norm = config['norm']
    return {
        **config,
        'terms': AttentionTerms(**config['terms']),
        'norm': norm and normalization.BatchNormSettings(**norm)}


def _channels_first(tensor):
  """[b, n, x, o, c] -> [b * n * o, c, x]."""
  batch, blocks, length, other, channels = maps.sizes(tensor)
  # Matrices: transposes of more axes are many times slower on CPUs.
  tensor = tf.linalg.matrix_transpose(
      tf.reshape(tensor, [batch * blocks, length, other * channels]))
  return tf.reshape(tensor, [-1, channels, length])
