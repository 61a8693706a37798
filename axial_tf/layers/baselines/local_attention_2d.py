"""Self-attention in k x k windows of an image: the paper's baselines."""

import tensorflow as tf

from axial_tf import errors
from axial_tf.layers import multiply_adds, normalization, precision, shapes
from axial_tf.layers.attention import base
from axial_tf.layers.attention import settings as settings_lib
from axial_tf.layers.baselines import local_core_2d, local_windows_2d

STAND_ALONE = settings_lib.AttentionTerms(
    key_position=False, value_position=False)
_DEFAULTS = settings_lib.AttentionSettings(span=7, terms=STAND_ALONE)


class LocalAttention2D(base.AttentionLayer):
  """Attention of each pixel to the span x span pixels around it.

  With the default terms this is stand-alone self-attention, "Conv-Stem +
  Attention" in table 1 of the paper; with all terms it is "Conv-Stem +
  PS-Attention", equation 3. The counts there (18.0M parameters, 3.5B and 3.7B
  multiply-adds) are those of a ResNet-50 whose 3x3 convolutions are replaced by
  attention with as many key channels as value channels, at full size before
  the stride.

  The embedding of an offset is, as in stand-alone self-attention, half an
  embedding of the row offset and half one of the column offset (the larger
  half if the depth is odd), so that a layer has two tables of span rows for
  each of query, key and value, shared by the heads. Pixels outside the image
  are not attended to. Batch norm is where AxialAttention has it.
  """

  def __init__(
      self,
      key_channels: int,
      value_channels: int,
      settings: settings_lib.AttentionSettings = _DEFAULTS,
      *,
      strides: int = 1,
      **options):
    """Makes the batch norms.

    Args:
      key_channels: channels of all queries together (and of all keys).
      value_channels: channels of all values together, and of the output.
      settings: settings of the attention; the span, height and width of the
        window, is a number. The backend and the chunk size have no effect.
      strides: stride of the rows and columns that are kept.
      **options: fields of AttentionSettings, such as heads=8 or span=7, which
        override `settings`, and arguments of keras.layers.Layer.

    Raises:
      errors.UserError: a field is out of range, heads that do not divide the
        channels or leave less than 2 per head for positions, no span, a stride
        below 1.
    """
    super().__init__(key_channels, value_channels, settings, options)
    terms = self.settings.terms
    for name, value, in_position in (
        ('key_channels', key_channels,
         terms.query_position or terms.key_position),
        ('value_channels', value_channels, terms.value_position)):
      if in_position and value // self.settings.heads < 2:
        raise errors.UserError(
            f'LocalAttention2D: expected {name} to give each head at least 2 '
            f'channels, one for rows and one for columns of positions, got '
            f'{value} channels and {self.settings.heads} heads; choose fewer '
            f'heads')
    if self.settings.span is None:
      raise errors.UserError(
          'LocalAttention2D: expected span, the side of the window, to be a '
          'positive odd number, got None; local attention has no whole axis')
    if strides < 1:
      raise errors.UserError(
          f'LocalAttention2D: expected strides of at least 1, got {strides}; '
          f'1 keeps every pixel')
    self._keep(strides=strides)
    self._strides = strides
    norm = self.settings.norm
    if norm is not None:
      self.qkv_norm = normalization.batch_norm(norm, name='qkv_norm')
      self.logit_norm = normalization.MomentNormalization(
          norm, name='logit_norm')
      self.output_norm = normalization.batch_norm(norm, name='output_norm')

  def build(self, input_shape):
    self._channels = input_shape[-1]
    self._add_projection(self._channels)
    terms, heads = self.settings.terms, self.settings.heads
    self.query_rpe, self.key_rpe, self.value_rpe = (
        self._add_tables(name, channels // heads) if in_use else None
        for name, channels, in_use in (
            ('query_rpe', self.key_channels, terms.query_position),
            ('key_rpe', self.key_channels, terms.key_position),
            ('value_rpe', self.value_channels, terms.value_position)))
    if self.settings.norm is not None:
      with tf.name_scope(self.logit_norm.name):
        self.logit_norm.build([terms.num_logit_terms * heads])
    super().build(input_shape)

  def _add_tables(self, name, depth):
    """Returns the tables of row and of column offsets."""
    return tuple(
        self._add_table(f'{name}_{axis}', self.settings.span, part)
        for axis, part in (('rows', depth // 2), ('columns', -(-depth // 2))))

  def call(self, inputs, training=False):
    """[batch, height, width, channels] -> [.., ceil(h/s), ceil(w/s), value]."""
    _, height, width, _ = shapes.sizes(inputs)
    cut = local_windows_2d.cut(
        height, width, self.settings.span,
        precision.wide(tf.as_dtype(self.compute_dtype)))
    qkv = tf.linalg.matmul(inputs, self.qkv_kernel)
    if self.settings.norm is not None:
      qkv = self.qkv_norm(qkv, training=training)
    query, key, value = (
        self._split_heads(part, height, width) for part in tf.split(
            qkv, [self.key_channels, self.key_channels,
                  self.value_channels], axis=-1))
    terms = local_core_2d.pair_terms(
        local_windows_2d.blocks(query, cut),
        local_windows_2d.windows(key, cut), self.settings.terms.content,
        self._tables(self.query_rpe), self._tables(self.key_rpe), cut)
    scales, shift = self._logit_scales(terms, cut, training)
    weights = local_core_2d.attention_weights(
        local_core_2d.logits(terms, scales, shift, cut),
        self.settings.activation)
    content = None
    if self.settings.terms.value_content:
      content = local_windows_2d.windows(value, cut)
    outputs = local_core_2d.retrieve(
        tf.cast(weights, value.dtype), content, self._tables(self.value_rpe),
        cut)
    outputs = self._join_heads(
        [local_windows_2d.join(term, cut) for term in outputs])
    if self.settings.norm is not None:
      outputs = self.output_norm(outputs, training=training)
    outputs = tf.add_n(
        tf.split(outputs, self.settings.terms.num_value_terms, axis=-1))
    return outputs[:, ::self._strides, ::self._strides]

  def _tables(self, tables):
    if tables is None:
      return None
    return local_core_2d.Tables(
        *(tf.cast(table, self.compute_dtype) for table in tables))

  def _split_heads(self, image, height, width):
    """[b, height, width, heads * d] -> [b * heads, height, width, d]."""
    depth = image.shape[-1] // self.settings.heads
    image = tf.reshape(image, [-1, height * width, self.settings.heads, depth])
    return tf.reshape(
        tf.transpose(image, [0, 2, 1, 3]), [-1, height, width, depth])

  def _join_heads(self, terms):
    """Terms of [b * heads, h, w, d] -> [b, h, w, terms * heads * d]."""
    _, height, width, depth = shapes.sizes(terms[0])
    stacked = tf.concat(
        [tf.reshape(term, [-1, self.settings.heads, height * width, depth])
         for term in terms], axis=1)
    return tf.reshape(
        tf.transpose(stacked, [0, 2, 1, 3]),
        [-1, height, width, len(terms) * self.settings.heads * depth])

  def _logit_scales(self, terms, cut, training):
    """Returns the factor of each term, each [heads], and a shift or None."""
    heads = self.settings.heads
    by_term = [self.settings.terms.num_logit_terms, heads]
    if self.settings.norm is None:
      return tf.unstack(tf.ones(by_term)), None
    scale, shift = self.logit_norm.affine(
        lambda: local_core_2d.moments(terms, heads, cut), training)
    scales = tf.unstack(tf.reshape(scale, by_term))
    shift = tf.reduce_sum(tf.reshape(shift, by_term), axis=0)
    if self.settings.activation == 'softmax':
      # The softmax cancels the shift. Multiplied by zero it still gives beta
      # its true gradient, 0, rather than None.
      scales[0] += 0.0 * shift
      shift = None
    return scales, shift

  def multiply_adds(self, height: int, width: int) -> int:
    """Returns the multiply-adds of a built layer for one image of this size.

    As in the paper's counts, all pixels attend, even those that a stride
    skips, and an embedding has the full depth of a head.

    Raises:
      errors.UserError: the layer is not built.
    """
    multiply_adds.require_built(self)
    return multiply_adds.attention(
        pixels=height * width, queries=height * width,
        keys=self.settings.span ** 2, channels=self._channels,
        key_channels=self.key_channels, value_channels=self.value_channels,
        logit_terms=self.settings.terms.num_logit_terms,
        value_terms=self.settings.terms.num_value_terms)
