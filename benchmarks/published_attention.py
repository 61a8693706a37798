"""The published formulation of axial attention, to measure ours against.

Written plainly from the formula, as the public code computes it: three einsums
with gathered tables, stacked, batch-normalized and summed, a softmax, two
einsums, stacked, batch-normalized and summed. All maps are kept for the
backward pass. It borrows the variables of one of our layers, so that both
compute the same function.
"""

import tensorflow as tf

from axial_tf.layers import attention_core


class PublishedAttention(tf.keras.layers.Layer):
  """Global attention along the second axis of [batch, length, channels]."""

  def __init__(self, ours: tf.keras.layers.Layer):
    super().__init__(name=ours.name)
    self.ours = ours

  def build(self, input_shape):
    if not self.ours.built:
      self.ours(tf.zeros([1, 1, input_shape[-1]]))
    super().build(input_shape)

  def call(self, inputs, training=False, stride=1):
    if inputs.shape.rank == 3:
      return self._attend(inputs, training)[:, ::stride]
    batch, length, other, channels = inputs.shape
    rows = tf.transpose(inputs, [0, 2, 1, 3])
    rows = self._attend(tf.reshape(rows, [-1, length, channels]), training)
    rows = tf.reshape(rows, [batch, other, length, rows.shape[-1]])
    return tf.transpose(rows, [0, 2, 1, 3])[:, ::stride]

  def _attend(self, inputs, training):
    config = self.ours.get_config()
    heads = config['heads']
    length = inputs.shape[1]
    qkv = tf.einsum('blc,cd->bld', inputs, self.ours.qkv_kernel)
    qkv = self._norm(self.ours.qkv_norm, qkv, [0, 1], [-1], training)
    key_channels = config['key_channels']
    query, key, value = (
        tf.reshape(x, [-1, length, heads, x.shape[-1] // heads])
        for x in tf.split(
            qkv, [key_channels, key_channels, config['value_channels']], -1))
    query_rpe, key_rpe, value_rpe = (
        self._embeddings(table, length) for table in (
            self.ours.query_rpe, self.ours.key_rpe, self.ours.value_rpe))
    logits = tf.stack([
        tf.einsum('blhd,bmhd->bhlm', query, key),
        tf.einsum('blhd,lmd->bhlm', query, query_rpe),
        tf.einsum('bmhd,lmd->bhlm', key, key_rpe)])
    logits = self._norm(self.ours.logit_norm, logits, [1, 3, 4],
                        [3, 1, heads, 1, 1], training)
    weights = tf.nn.softmax(tf.reduce_sum(logits, 0))
    retrieved = tf.stack([
        tf.einsum('bhlm,bmhd->bhld', weights, value),
        tf.einsum('bhlm,lmd->bhld', weights, value_rpe)])
    retrieved = self._norm(
        self.ours.output_norm, retrieved, [1, 3],
        [2, 1, heads, 1, value.shape[-1]], training)
    outputs = tf.transpose(tf.reduce_sum(retrieved, 0), [0, 2, 1, 3])
    return tf.reshape(outputs, [-1, length, config['value_channels']])

  def _embeddings(self, table, length):
    positions = tf.range(length)
    rows = positions[None, :] - positions[:, None]
    rows = tf.clip_by_value(
        rows + attention_core.MAX_SPAN - 1, 0, attention_core.TABLE_ROWS - 1)
    return tf.gather(table, rows)

  def _norm(self, variables, values, axes, shape, training):
    """Batch norm over `axes`; the variables are reshaped to `shape`."""
    gamma, beta, mean, variance = (
        tf.reshape(v, shape) for v in (
            variables.gamma, variables.beta, variables.moving_mean,
            variables.moving_variance))
    if training:
      mean, variance = tf.nn.moments(values, axes, keepdims=True)
      for moving, new in ((variables.moving_mean, mean),
                          (variables.moving_variance, variance)):
        moving.assign_sub((moving - tf.reshape(new, [-1])) * 0.01)
    return tf.nn.batch_normalization(
        values, mean, variance, beta, gamma, 1e-3)
