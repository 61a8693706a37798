"""Position-sensitive self-attention along one axis, as a Keras layer."""

import tensorflow as tf

from axial_tf.layers import normalization
from axial_tf.layers.attention import backends, base, tables
from axial_tf.layers.attention import settings as settings_lib


class AxialAttention(base.AttentionLayer):
  """Axial attention over the second axis of [batch, length, channels].

  Batch norm follows, as in section 4.1 of the paper, the projection to
  queries, keys and values (per channel), each logit term (per head) and each
  retrieved term (per channel). There is no output projection and no division
  by sqrt(depth).

  Variables do not depend on the length: offsets index tables of 509 rows.
  """

  def __init__(
      self,
      key_channels: int,
      value_channels: int,
      settings: settings_lib.AttentionSettings = (
          settings_lib.AttentionSettings()),  # noqa: B008 (frozen)
      **options):
    """Makes the batch norms.

    Args:
      key_channels: channels of all queries together (and of all keys).
      value_channels: channels of all values together, and of the output.
      settings: settings of the attention.
      **options: fields of AttentionSettings, such as heads=8 or span=65, which
        override `settings`, and arguments of keras.layers.Layer.

    Raises:
      errors.UserError: a field is out of range, or the heads do not divide the
        channels.
    """
    super().__init__(key_channels, value_channels, settings, options)
    norm = self.settings.norm
    if norm is not None:
      self.qkv_norm = normalization.MomentNormalization(norm, name='qkv_norm')
      self.logit_norm = normalization.MomentNormalization(
          norm, name='logit_norm')
      self.output_norm = normalization.MomentNormalization(
          norm, name='output_norm')

  def build(self, input_shape):
    self._add_projection(input_shape[-1])
    terms, heads = self.settings.terms, self.settings.heads
    self.query_rpe, self.key_rpe, self.value_rpe = (
        self._add_table(name, tables.TABLE_ROWS, channels // heads)
        if in_use else None for name, channels, in_use in (
            ('query_rpe', self.key_channels, terms.query_position),
            ('key_rpe', self.key_channels, terms.key_position),
            ('value_rpe', self.value_channels, terms.value_position)))
    if self.settings.norm is not None:
      for layer, size in (
          (self.qkv_norm, self.qkv_kernel.shape[-1]),
          (self.logit_norm, terms.num_logit_terms * heads),
          (self.output_norm, terms.num_value_terms * self.value_channels)):
        with tf.name_scope(layer.name):
          layer.build([size])
    super().build(input_shape)

  def call(self, inputs, training=False, stride=1):
    """Attends along the axis.

    Args:
      inputs: [batch, length, channels], or [batch, length, other, channels]
        with another axis, at each position of which attention is separate.
      training: whether batch norm uses the statistics of this batch.
      stride: distance of the queries: outputs are those at every stride-th
        position. In inference, the others are never computed; in training they
        enter the statistics.

    Returns:
      The inputs' shape, with ceil(length / stride) and value_channels.
    """
    if inputs.ndim == 3:
      return tf.squeeze(backends.attend(
          self, tf.expand_dims(inputs, 2), training, stride), 2)
    return backends.attend(self, inputs, training, stride)

  def uses_batch(self, training: bool) -> bool:
    """Whether batch norms use the statistics of this batch."""
    return self.settings.norm is not None and (
        self.output_norm.uses_batch(training))
