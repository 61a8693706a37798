"""Self-attention in k x k windows of an image: the paper's baselines."""

from typing import Optional

import tensorflow as tf

from axial_tf import errors
from axial_tf.layers import (
  attention_arguments,
  axial_attention,
  configured,
  local_core_2d,
  local_windows_2d,
  multiply_adds,
  normalization,
)

STAND_ALONE = axial_attention.AttentionTerms(
    key_position=False, value_position=False)


class LocalAttention2D(configured.ConfiguredLayer):
  """Attention of each pixel to the kernel_size x kernel_size around it.

  With the default terms this is stand-alone self-attention, "Conv-Stem +
  Attention" in table 1 of the paper; with all terms it is "Conv-Stem +
  PS-Attention", equation 3. The counts there (18.0M parameters, 3.5B and 3.7B
  multiply-adds) are those of a ResNet-50 whose 3x3 convolutions have become
  attention with as many channels of keys as of values, at full size before
  the stride.

  The embedding of an offset is, as in stand-alone self-attention, half an
  embedding of the row offset and half one of the column offset (the larger
  half if the depth is odd), so that a layer has two tables of kernel_size
  rows for each of query, key and value, shared by the heads. Pixels outside
  the image are not attended to. Batch norm stands where AxialAttention has it.
  """

  def __init__(
      self,
      key_channels: int,
      value_channels: int,
      *,
      kernel_size: int = 7,
      strides: int = 1,
      heads: int = 8,
      terms: axial_attention.AttentionTerms = STAND_ALONE,
      activation: str = 'softmax',
      norm: Optional[normalization.BatchNormSettings] = (
          normalization.BatchNormSettings()),  # noqa: B008 (frozen)
      **kwargs):
    """Checks and keeps the settings.

    Args:
      key_channels: channels of all queries together (and of all keys).
      value_channels: channels of all values together, and of the output.
      kernel_size: odd height and width of the window.
      strides: which rows and columns are kept afterwards: every strides-th.
      heads: number of heads; divides both numbers of channels.
      terms: which terms of the logits and values are in use.
      activation: 'softmax' over the keys or 'sigmoid' of each logit.
      norm: settings of the batch norms, or None for no batch norm.
      **kwargs: keyword arguments of tf.keras.layers.Layer.

    Raises:
      errors.UserError: channels that heads do not divide or that leave less
        than 2 per head for positions, an even or non-positive kernel size, a
        stride below 1, an unknown activation.
    """
    super().__init__(**kwargs)
    attention_arguments.check(
        'LocalAttention2D', key_channels, value_channels, heads, activation)
    for name, value, in_position in (
        ('key_channels', key_channels,
         terms.query_position or terms.key_position),
        ('value_channels', value_channels, terms.value_position)):
      if in_position and value // heads < 2:
        raise errors.UserError(
            f'LocalAttention2D: expected {name} to give each head at least 2 '
            f'channels, one for rows and one for columns of positions, got '
            f'{value} channels and {heads} heads; choose fewer heads')
    if kernel_size < 1 or kernel_size % 2 == 0:
      raise errors.UserError(
          f'LocalAttention2D: expected kernel_size to be a positive odd '
          f'number, got {kernel_size}; a window is centered on its query')
    if strides < 1:
      raise errors.UserError(
          f'LocalAttention2D: expected strides of at least 1, got {strides}; '
          f'1 keeps every pixel')
    self._keep(
        key_channels=key_channels, value_channels=value_channels,
        kernel_size=kernel_size, strides=strides, heads=heads, terms=terms,
        activation=activation, norm=norm)
    self._key_channels = key_channels
    self._value_channels = value_channels
    self._kernel_size = kernel_size
    self._strides = strides
    self._heads = heads
    self._terms = terms
    self._activation = activation
    self._norm = norm
    if norm is not None:
      self.qkv_norm = normalization.batch_norm(norm, name='qkv_norm')
      self.logit_norm = normalization.MomentNormalization(
          norm, name='logit_norm')
      self.output_norm = normalization.batch_norm(norm, name='output_norm')

  def build(self, input_shape):
    self._channels = input_shape[-1]
    self.qkv_kernel = self.add_weight(
        'qkv_kernel',
        [self._channels, 2 * self._key_channels + self._value_channels],
        initializer=tf.keras.initializers.TruncatedNormal(
            stddev=self._channels ** -0.5))
    key_depth = self._key_channels // self._heads
    value_depth = self._value_channels // self._heads
    self.query_rpe = self._add_tables(
        'query_rpe', key_depth, self._terms.query_position)
    self.key_rpe = self._add_tables(
        'key_rpe', key_depth, self._terms.key_position)
    self.value_rpe = self._add_tables(
        'value_rpe', value_depth, self._terms.value_position)
    if self._norm is not None:
      with tf.name_scope(self.logit_norm.name):
        self.logit_norm.build([self._terms.num_logit_terms * self._heads])
    super().build(input_shape)

  def _add_tables(self, name, depth, in_use):
    """Returns the tables of row and of column offsets, or None."""
    if not in_use:
      return None
    return tuple(
        self.add_weight(
            f'{name}_{axis}', [self._kernel_size, part],
            initializer=tf.keras.initializers.TruncatedNormal(stddev=1.0))
        for axis, part in (('rows', depth // 2), ('columns', -(-depth // 2))))

  def call(self, inputs, training=False):
    """[batch, height, width, channels] -> [.., ceil(h/s), ceil(w/s), value]."""
    height, width = (
        tf.shape(inputs)[axis] if inputs.shape[axis] is None
        else inputs.shape[axis] for axis in (1, 2))
    precise = tf.as_dtype(self.compute_dtype)
    precise = precise if precise == tf.float64 else tf.float32
    cut = local_windows_2d.cut(height, width, self._kernel_size, precise)
    qkv = tf.linalg.matmul(inputs, self.qkv_kernel)
    if self._norm is not None:
      qkv = self.qkv_norm(qkv, training=training)
    query, key, value = (
        self._split_heads(part, height, width) for part in tf.split(
            qkv, [self._key_channels, self._key_channels,
                  self._value_channels], axis=-1))
    terms = local_core_2d.pair_terms(
        local_windows_2d.blocks(query, cut),
        local_windows_2d.windows(key, cut), self._terms.content,
        self._tables(self.query_rpe), self._tables(self.key_rpe), cut)
    scales, shift = self._logit_scales(terms, cut, training)
    weights = local_core_2d.attention_weights(
        local_core_2d.logits(terms, scales, shift, cut), self._activation)
    content = None
    if self._terms.value_content:
      content = local_windows_2d.windows(value, cut)
    outputs = local_core_2d.retrieve(
        tf.cast(weights, value.dtype), content, self._tables(self.value_rpe),
        cut)
    outputs = self._join_heads(
        [local_windows_2d.join(term, cut) for term in outputs])
    if self._norm is not None:
      outputs = self.output_norm(outputs, training=training)
    outputs = tf.add_n(
        tf.split(outputs, self._terms.num_value_terms, axis=-1))
    return outputs[:, ::self._strides, ::self._strides]

  def _tables(self, tables):
    if tables is None:
      return None
    return local_core_2d.Tables(
        *(tf.cast(table, self.compute_dtype) for table in tables))

  def _split_heads(self, image, height, width):
    """[b, height, width, heads * d] -> [b * heads, height, width, d]."""
    depth = image.shape[-1] // self._heads
    image = tf.reshape(image, [-1, height * width, self._heads, depth])
    return tf.reshape(
        tf.transpose(image, [0, 2, 1, 3]), [-1, height, width, depth])

  def _join_heads(self, terms):
    """Terms of [b * heads, h, w, d] -> [b, h, w, terms * heads * d]."""
    _, height, width, depth = terms[0].shape
    height = tf.shape(terms[0])[1] if height is None else height
    width = tf.shape(terms[0])[2] if width is None else width
    stacked = tf.concat(
        [tf.reshape(term, [-1, self._heads, height * width, depth])
         for term in terms], axis=1)
    return tf.reshape(
        tf.transpose(stacked, [0, 2, 1, 3]),
        [-1, height, width, len(terms) * self._heads * depth])

  def _logit_scales(self, terms, cut, training):
    """Returns the factor of each term, each [heads], and a shift or None."""
    if self._norm is None:
      return [tf.ones([self._heads])] * self._terms.num_logit_terms, None
    scale, shift = self.logit_norm.affine(
        lambda: local_core_2d.moments(terms, self._heads, cut), training)
    by_term = [self._terms.num_logit_terms, self._heads]
    scales = tf.unstack(tf.reshape(scale, by_term))
    shift = tf.reduce_sum(tf.reshape(shift, by_term), axis=0)
    if self._activation == 'softmax':
      # The softmax does not feel the shift. Multiplied by zero it still gives
      # beta its true gradient, 0, rather than None.
      scales[0] += 0.0 * shift
      shift = None
    return scales, shift

  def multiply_adds(self, height: int, width: int) -> int:
    """Returns the multiply-adds of a built layer for one image of this size.

    As in the paper's counts, all pixels attend, also those that a stride
    skips, and an embedding has the full depth of a head.

    Raises:
      errors.UserError: the layer is not built.
    """
    multiply_adds.require_built(self)
    return multiply_adds.attention(
        pixels=height * width, queries=height * width,
        keys=self._kernel_size ** 2, channels=self._channels,
        key_channels=self._key_channels, value_channels=self._value_channels,
        logit_terms=self._terms.num_logit_terms,
        value_terms=self._terms.num_value_terms)
