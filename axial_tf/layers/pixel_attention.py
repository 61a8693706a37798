"""What a single query attends to, computed as equation 3 is written.

The layers never hold their maps of queries and keys; pictures need one row of
them. Here it is made from a layer's variables and inputs alone.
"""

import tensorflow as tf

from axial_tf import errors
from axial_tf.layers import attention_core, axial_attention


def pixel_weights(layer: axial_attention.AxialAttention, inputs: tf.Tensor,
                  query: int) -> tf.Tensor:
  """Returns the attention weights of one query, in inference.

    w_p = softmax_p(q_o.k_p + q_o.r^q_{p-o} + k_p.r^k_{p-o})

  Each term is batch-normalized per head with the moving statistics; a
  sigmoid takes the place of the softmax if the layer has one.

  Args:
    layer: built attention layer.
    inputs: [rows, length, channels], as the layer is called with.
    query: position o on the axis.

  Returns:
    float32 [rows, heads, length]; 0 outside the span.

  Raises:
    errors.UserError: the axis has no such position.
  """
  length = inputs.shape[1]
  if not 0 <= query < length:
    raise errors.UserError(
        f'{layer.name}: expected a query position of 0 to {length - 1}, got '
        f'{query}')
  options = layer.get_config()
  heads, span = options['heads'], options['span']
  queries, keys = _queries_and_keys(layer, inputs, query)
  offsets = tf.range(length) - query
  query_rpe, key_rpe = (
      None if table is None else attention_core.position_embeddings(
          tf.cast(table, tf.float32), tf.constant([query]),
          tf.range(length))[0]  # [d, m]
      for table in (layer.query_rpe, layer.key_rpe))
  terms = []
  if options['terms']['content']:
    terms.append(tf.einsum('rhd,rmhd->rhm', queries, keys))
  if query_rpe is not None:
    terms.append(tf.einsum('rhd,dm->rhm', queries, query_rpe))
  if key_rpe is not None:
    terms.append(tf.einsum('rmhd,dm->rhm', keys, key_rpe))
  logits = tf.stack(terms, 1)  # [r, terms, h, m]
  if options['norm'] is not None:
    scale, shift = (
        tf.reshape(tf.cast(x, tf.float32), [len(terms), heads, 1])
        for x in layer.logit_norm.affine(None, False))
    logits = logits * scale + shift
  logits = tf.reduce_sum(logits, 1)
  if options['scale_logits']:
    logits *= (options['key_channels'] // heads) ** -0.5
  if span is not None:
    logits = tf.where(tf.abs(offsets) <= span // 2, logits, -float('inf'))
  if options['activation'] == 'sigmoid':
    return tf.sigmoid(logits)
  return tf.nn.softmax(logits)


def _queries_and_keys(layer, inputs, query):
  """Returns the query [r, h, d] and all keys [r, m, h, d]."""
  options = layer.get_config()
  heads, channels = options['heads'], options['key_channels']
  kernel = tf.cast(layer.qkv_kernel, tf.float32)[:, :2 * channels]
  projected = tf.einsum('rmc,cx->rmx', tf.cast(inputs, tf.float32), kernel)
  if options['norm'] is not None:
    scale, shift = (
        tf.cast(x, tf.float32)[:2 * channels]
        for x in layer.qkv_norm.affine(None, False))
    projected = projected * scale + shift
  rows, length = projected.shape[:2]
  queries, keys = (
      tf.reshape(x, [rows, length, heads, channels // heads])
      for x in tf.split(projected, 2, -1))
  return queries[:, query], keys
