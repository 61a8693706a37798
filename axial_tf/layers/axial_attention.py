"""Position-sensitive self-attention along one axis, as a Keras layer."""

import dataclasses
from typing import Optional

import tensorflow as tf

from axial_tf import errors, settings
from axial_tf.layers import (
  attention_arguments,
  attention_core,
  attention_rows,
  configured,
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


class AxialAttention(configured.ConfiguredLayer):
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
      **kwargs: keyword arguments of tf.keras.layers.Layer.

    Raises:
      errors.UserError: channels that heads do not divide, an even or
        non-positive span, an unknown activation.
    """
    super().__init__(**kwargs)
    self._keep(
        key_channels=key_channels, value_channels=value_channels, heads=heads,
        span=span, terms=terms, activation=activation, norm=norm,
        scale_logits=scale_logits)
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
      return self._attend(inputs, training, stride)
    batch, length, other, channels = maps.sizes(inputs)
    rows = tf.reshape(tf.transpose(inputs, [0, 2, 1, 3]),
                      [batch * other, length, channels])
    rows = self._attend(rows, training, stride)
    return tf.transpose(tf.reshape(
        rows, [batch, other, -(-length // stride), self._value_channels]),
        [0, 2, 1, 3])

  # No condition below depends on a tensor, and converting the code takes
  # longer than tracing it.
  @tf.autograph.experimental.do_not_convert
  def _attend(self, inputs, training, stride):
    """call() for [batch, length, channels]."""
    batch, length, _ = maps.sizes(inputs)
    uses_batch = self._norm_uses_batch(training)
    blocks = local_span.cut(length, self._span, 1 if uses_batch else stride)
    wide = tf.float64 if inputs.dtype == tf.float64 else tf.float32
    query_rpe, key_rpe, value_rpe = (
        None if table is None else attention_core.position_embeddings(
            tf.cast(table, wide), blocks.query_positions, blocks.key_positions)
        for table in (self.query_rpe, self.key_rpe, self.value_rpe))
    band = outside = None
    if blocks.band is not None:
      # Finite, since a query that pads the last block has no valid key at all.
      lowest = tf.constant(wide.min / 4, wide)
      band = tf.where(blocks.band, tf.zeros([], wide), lowest)
      outside = tf.tile(
          tf.where(blocks.inside, tf.zeros([], wide), lowest), [batch, 1])
    projected, windows = self._project(inputs, blocks, training)
    rows = attention_core.RowOperands(
        tf.cast(projected, wide),
        None if windows is None else tf.cast(windows, wide), outside)

    form = attention_core.Form(
        self._heads, self._key_channels, self._value_channels,
        self._terms.content, self._terms.value_content, self._activation)
    scales, shift = self._logit_scales(
        rows, form, query_rpe, key_rpe, blocks, training)
    retrieved = attention_rows.attend(
        rows, attention_core.SharedOperands(
            *scales, query_rpe, key_rpe, value_rpe, shift, band), form,
        None if uses_batch else self._output_gains(wide))
    # Blocks must not enter the statistics of a batch one by one.
    outputs = local_span.join(tf.cast(tf.concat([
        tf.reshape(x, [-1, maps.sizes(x)[1], self._value_channels])
        for x in retrieved], -1), inputs.dtype), blocks, length)
    if uses_batch:
      outputs = tf.add_n(tf.split(
          self.output_norm(outputs, training=True), len(retrieved), axis=-1))
    return outputs[:, ::stride] if stride > blocks.stride else outputs

  def _norm_uses_batch(self, training):
    return self._norm is not None and self.output_norm.uses_batch(training)

  def _project(self, inputs, blocks, training):
    """Returns RowOperands.projected and windows for [b, length, channels]."""
    keys = self._key_channels
    together = local_span.is_whole(blocks) and blocks.stride == 1
    if self._norm_uses_batch(training):
      qkv = self.qkv_norm(_by_pixel(inputs, self.qkv_kernel), training=True)
      parts = [qkv] if together else tf.split(
          qkv, [keys, qkv.shape[-1] - keys], axis=-1)
    else:
      kernel, bias = self.qkv_kernel, tf.zeros([self.qkv_kernel.shape[-1]])
      if self._norm is not None:
        scale, bias = self.qkv_norm.affine(None, False)
        kernel = tf.cast(kernel, scale.dtype) * scale
      kernel, bias = tf.cast(kernel, inputs.dtype), tf.cast(bias, inputs.dtype)
      if together:
        parts = [_by_pixel(inputs, kernel, bias)]
      else:
        parts = [
            _by_pixel(local_span.queried(inputs, blocks), kernel[:, :keys],
                      bias[:keys]),
            _by_pixel(inputs, kernel[:, keys:], bias[keys:])]
    if together:
      return tf.linalg.matrix_transpose(parts[0]), None
    return (
        tf.linalg.matrix_transpose(local_span.split_queries(parts[0], blocks)),
        tf.linalg.matrix_transpose(local_span.windows(parts[1], blocks)))

  def _output_gains(self, dtype):
    """Returns the batch norm of what is retrieved, with moving statistics."""
    if self._norm is None:
      return attention_core.Gains(None, None, None)
    terms = self._terms
    scale, shift = (
        tf.reshape(tf.cast(x, dtype), [terms.num_value_terms, self._heads, -1])
        for x in self.output_norm.affine(None, False))
    scales = iter(tf.unstack(scale))
    return attention_core.Gains(
        next(scales) if terms.value_content else None,
        next(scales) if terms.value_position else None,
        tf.reduce_sum(shift, 0))

  def _logit_scales(self, rows, form, query_rpe, key_rpe, blocks, training):
    """Returns the factors of the three terms, and a shift, each [heads].

    A factor is None if it is 1 or its term not in use. So is the shift for a
    softmax, which cancels it.
    """
    in_use = (self._terms.content, self._terms.query_position,
              self._terms.key_position)
    terms = sum(in_use)
    dtype = rows.projected.dtype
    scales, shift = [None] * terms, None
    if self._norm is not None:

      def moments():
        query, key, _ = attention_core.split_heads(rows, form)
        return logit_moments.logit_moments(
            query, key, content=self._terms.content, query_rpe=query_rpe,
            key_rpe=key_rpe, blocks=blocks)

      scale, term_shift = (
          tf.cast(tf.reshape(x, [terms, self._heads]), dtype)
          for x in self.logit_norm.affine(moments, training))
      shift = tf.reduce_sum(term_shift, axis=0)
      scales = tf.unstack(scale)
      if self._activation == 'softmax':
        # The softmax does not feel the shift. Multiplied by zero it still
        # gives beta its true gradient, 0, rather than None.
        scales[0] += 0.0 * shift
        shift = None
    if self._scale_logits:
      factor = tf.fill(
          [self._heads],
          tf.constant((self._key_channels // self._heads) ** -0.5, dtype))
      scales = [factor if x is None else x * factor for x in scales]
      shift = None if shift is None else shift * factor
    scales = iter(scales)
    return [next(scales) if used else None for used in in_use], shift


def _by_pixel(inputs, kernel, bias=None):
  """[b, length, channels] x [channels, c], as one large matrix product."""
  batch, length, channels = maps.sizes(inputs)
  outputs = tf.matmul(tf.reshape(inputs, [-1, channels]), kernel)
  if bias is not None:
    outputs = tf.nn.bias_add(outputs, bias)
  return tf.reshape(outputs, [batch, length, outputs.shape[-1]])
