"""Equation 3 with the variables of a layer: a backend, and pictures of it."""

import tensorflow as tf

from axial_tf import errors
from axial_tf.layers import precision, shapes
from axial_tf.layers.attention import equation, tables


def attend(layer, inputs: tf.Tensor, training: bool, stride: int) -> tf.Tensor:
  """Computes an axis by the equation; see backends for the arguments."""
  settings = layer.settings
  batch, length, other, channels = shapes.sizes(inputs)
  rows = tf.reshape(tf.transpose(inputs, [0, 2, 1, 3]),
                    [batch * other, length, channels])
  q, k, v = _project(layer, rows, training)
  positions = tf.range(length)
  r_q, r_k, r_v = (
      _embeddings(table, positions, positions, q.dtype)
      for table in (layer.query_rpe, layer.key_rpe, layer.value_rpe))
  visible = _visible(settings.span, positions, positions)
  w = _weights(layer, q, k, r_q, r_k, visible, training)

  def norm(terms):  # [terms, b, h, o, d]
    if settings.norm is None:
      return terms
    return _normalized(layer.output_norm, terms, training, [1, 3])

  y = equation.retrieve(
      w, v if settings.terms.value_content else None, r_v, norm=norm)
  outputs = tf.reshape(
      tf.transpose(y, [0, 2, 1, 3])[:, ::stride],
      [batch, other, -(-length // stride), layer.value_channels])
  return tf.cast(tf.transpose(outputs, [0, 2, 1, 3]), inputs.dtype)


def pixel_weights(layer, inputs: tf.Tensor, query: int) -> tf.Tensor:
  """Returns the attention weights of one query, in inference.

  Args:
    layer: built AxialAttention.
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
  q, k, _ = _project(layer, tf.cast(inputs, tf.float32), False)
  o, p = tf.constant([query]), tf.range(length)
  r_q, r_k = (_embeddings(table, o, p, tf.float32)
              for table in (layer.query_rpe, layer.key_rpe))
  visible = _visible(layer.settings.span, o, p)
  return _weights(
      layer, q[:, query:query + 1], k, r_q, r_k, visible, False)[:, :, 0]


def _project(layer, inputs, training):
  """Returns queries, keys and values [b, length, heads, d]."""
  qkv = tf.matmul(inputs, tf.cast(layer.qkv_kernel, inputs.dtype))
  if layer.settings.norm is not None:
    qkv = layer.qkv_norm(qkv, training=training)
  qkv = precision.widen(qkv)
  channels = [layer.key_channels, layer.key_channels, layer.value_channels]
  heads = layer.settings.heads
  return [tf.reshape(x, [-1, shapes.sizes(x)[1], heads, count // heads])
          for x, count in zip(tf.split(qkv, channels, -1), channels)]


def _embeddings(table, query_positions, key_positions, dtype):
  return None if table is None else tables.embeddings(
      tf.cast(table, dtype), query_positions, key_positions)


def _visible(span, query_positions, key_positions):
  """Returns which pairs are within the span, bool [o, p]; None for all."""
  if span is None:
    return None
  offsets = key_positions[None, :] - query_positions[:, None]
  return tf.abs(offsets) <= span // 2


def _weights(layer, q, k, r_q, r_k, visible, training):
  """Returns equation.weights with the layer's settings and batch norm."""
  settings = layer.settings

  def norm(terms):  # [terms, b, h, o, p]
    if settings.norm is None:
      return terms
    return _normalized(layer.logit_norm, terms, training, [1, 3, 4], visible)

  return equation.weights(
      q, k, r_q, r_k, norm=norm, content=settings.terms.content,
      activation=settings.activation, visible=visible)


def _normalized(norm, terms, training, axes, visible=None):
  """Batch norm of terms over `axes`, with statistics of visible pairs only."""

  def moments():
    values = terms, tf.square(terms)
    if visible is not None:
      share = tf.cast(visible, terms.dtype)
      values = [x * share / tf.reduce_mean(share) for x in values]
    return [tf.reshape(tf.reduce_mean(x, axes), [-1]) for x in values]

  shape = [1 if axis in axes else size for axis, size in enumerate(terms.shape)]
  scale, shift = (tf.cast(tf.reshape(x, shape), terms.dtype)
                  for x in norm.affine(moments, training))
  return terms * scale + shift
