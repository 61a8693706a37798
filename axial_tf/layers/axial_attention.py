"""Position-sensitive self-attention along one axis, as a Keras layer."""

import dataclasses
from typing import Optional

import tensorflow as tf

from axial_tf import errors, settings
from axial_tf.layers import attention_core, local_span, normalization


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
    for name, value in (('key_channels', key_channels),
                        ('value_channels', value_channels)):
      if heads < 1 or value < heads or value % heads:
        raise errors.UserError(
            f'AxialAttention: expected {name} to be a positive multiple of '
            f'heads, got {value} channels and {heads} heads; choose another '
            f'width or number of heads')
    if span is not None and (span < 1 or span % 2 == 0):
      raise errors.UserError(
          f'AxialAttention: expected span to be a positive odd number or None '
          f'for the whole axis, got {span}')
    if activation not in ('softmax', 'sigmoid'):
      raise errors.UserError(
          f"AxialAttention: expected activation 'softmax' or 'sigmoid', got "
          f'{activation!r}')
    self._key_channels = key_channels
    self._value_channels = value_channels
    self._heads = heads
    self._span = span
    self._terms = terms
    self._activation = activation
    self._norm = norm
    self._scale_logits = scale_logits
    if norm is not None:
      self.qkv_norm = normalization.batch_norm(norm, name='qkv_norm')
      self.logit_norm = normalization.MomentNormalization(
          norm, name='logit_norm')
      self.output_norm = normalization.batch_norm(norm, name='output_norm')

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
      with tf.name_scope(self.logit_norm.name):
        self.logit_norm.build([self._terms.num_logit_terms * self._heads])
    super().build(input_shape)

  def _add_table(self, name, depth, in_use):
    if not in_use:
      return None
    return self.add_weight(
        name, [attention_core.TABLE_ROWS, depth],
        initializer=tf.keras.initializers.TruncatedNormal(stddev=1.0))

  def call(self, inputs, training=False):
    """Attends along the axis.

    Args:
      inputs: [batch, length, channels].
      training: whether batch norm uses the statistics of this batch.

    Returns:
      [batch, length, value_channels].
    """
    length = inputs.shape[1]
    if length is None:
      length = tf.shape(inputs)[1]
    blocks = local_span.cut(length, self._span)
    qkv = tf.linalg.matmul(inputs, self.qkv_kernel)
    if self._norm is not None:
      qkv = self.qkv_norm(qkv, training=training)
    query, key, value = tf.split(
        qkv, [self._key_channels, self._key_channels, self._value_channels],
        axis=-1)
    query = self._split_heads(local_span.split_queries(query, blocks))
    key = self._split_heads(local_span.windows(key, blocks))
    value = self._split_heads(local_span.windows(value, blocks))

    operands = attention_core.LogitOperands(
        query, key, self._terms.content,
        self._embeddings(self.query_rpe, blocks),
        self._embeddings(self.key_rpe, blocks), blocks.valid)
    scales, shift = self._logit_scales(operands, training)
    logits = attention_core.logits(operands, scales, shift)
    weights = attention_core.attention_weights(
        logits, self._activation, blocks.valid)
    retrieved = attention_core.retrieve(
        tf.cast(weights, value.dtype),
        value if self._terms.value_content else None,
        self._embeddings(self.value_rpe, blocks))
    outputs = local_span.join(self._join_heads(retrieved), blocks, length)
    if self._norm is not None:
      outputs = self.output_norm(outputs, training=training)
    return tf.add_n(
        tf.split(outputs, self._terms.num_value_terms, axis=-1))

  def _embeddings(self, table, blocks):
    if table is None:
      return None
    return attention_core.position_embeddings(
        tf.cast(table, self.compute_dtype), blocks.query_positions,
        blocks.key_positions)

  def _split_heads(self, tensor):
    """[b, length, heads * d] -> [b, heads, length, d]."""
    _, length, channels = tensor.shape
    if length is None:
      length = tf.shape(tensor)[1]
    tensor = tf.reshape(
        tensor, [-1, length, self._heads, channels // self._heads])
    return tf.transpose(tensor, [0, 2, 1, 3])

  def _join_heads(self, retrieved):
    """Terms of [b, heads, length, d] -> [b, length, terms * heads * d]."""
    stacked = tf.concat(retrieved, axis=1)
    joined = tf.transpose(stacked, [0, 2, 1, 3])
    length = joined.shape[1]
    if length is None:
      length = tf.shape(joined)[1]
    return tf.reshape(
        joined, [-1, length, len(retrieved) * self._value_channels])

  def _logit_scales(self, operands, training):
    """Returns the factor of each term, each [heads], and a shift or None."""
    scales = [tf.ones([self._heads])] * self._terms.num_logit_terms
    shift = None
    if self._norm is not None:
      scale, term_shift = self.logit_norm.affine(
          lambda: attention_core.logit_moments(operands), training)
      by_term = [self._terms.num_logit_terms, self._heads]
      shift = tf.reduce_sum(tf.reshape(term_shift, by_term), axis=0)
      scales = tf.unstack(tf.reshape(scale, by_term))
      if self._activation == 'softmax':
        # The softmax does not feel the shift. Multiplied by zero it still
        # gives beta its true gradient, 0, rather than None.
        scales[0] += 0.0 * shift
        shift = None
    if self._scale_logits:
      factor = (self._key_channels // self._heads) ** -0.5
      scales = [scale * factor for scale in scales]
      shift = None if shift is None else shift * factor
    return scales, shift

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
