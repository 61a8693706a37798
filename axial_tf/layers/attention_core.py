"""The maths of position-sensitive axial attention, as pure functions.

Equation 3 of the paper, along one axis (equation 4):

  y_o = sum_p softmax_p(q_o.k_p + q_o.r^q_{p-o} + k_p.r^k_{p-o})
              (v_p + r^v_{p-o})

The logit of a pair (query o, key p) has three terms. The content term lets
each query meet each key wherever they are. The query-position term is what a
query seeks at an offset, whatever stands there; the key-position term is
where a key wants to be seen from, whoever asks. What is retrieved is the value
itself and an embedding of the offset at which it was found. The embeddings r
depend on p - o alone and are shared by the heads.

Each term is batch-normalized per head before the sum. That is an affine map
per (term, head): its scale is applied to the vectors, so that no term is
stored by itself, and its shift, equal for all keys, drops out of the softmax.

The backward pass is written out, too, in `attention_gradient`; both work on
chunks of rows, which `attention_rows` cuts.

Letters: r rows (batch, blocks of a local span, the other axis), h heads, l
query position, m key (memory) position, d depth of queries and keys, e depth
of values. All maps are [r, h, l, m]; all
vectors have the position last, [r, h, d, l], so that vector instructions run
along it.
"""

from typing import NamedTuple, Optional

import tensorflow as tf

from axial_tf.layers import attention_maps as maps

# Offsets are told apart up to this span; longer ones share the outermost row.
MAX_SPAN = 255
TABLE_ROWS = 2 * MAX_SPAN - 1

Maybe = Optional[tf.Tensor]


class Form(NamedTuple):
  """What is known of attention before any number is.

  Attributes:
    heads: h; divides the channels.
    key_channels: h * d.
    value_channels: h * e.
    content: whether the logits have the content term.
    value_content: whether values are retrieved.
    activation: 'softmax' over the keys or 'sigmoid' of each pair.
  """
  heads: int
  key_channels: int
  value_channels: int
  content: bool
  value_content: bool
  activation: str


class RowOperands(NamedTuple):
  """Operands that differ by row.

  Attributes:
    projected: queries, keys and values [r, channels, l] one below the other;
      queries only if there are windows.
    windows: keys and values [r, channels, m] where they are not at the
      positions of the queries; else None.
    outside: [r, m], 0 for keys within the axis and a large negative number for
      those outside; None if all are within.
  """
  projected: tf.Tensor
  windows: Maybe
  outside: Maybe


class SharedOperands(NamedTuple):
  """Operands that all rows share.

  Attributes:
    content_scale: [h], factor of the content term; None for 1, as the others.
    query_scale: [h], of the query-position term.
    key_scale: [h], of the key-position term.
    query_rpe: r^q [l, d, m]; None, as the others, without that term.
    key_rpe: r^k [l, d, m].
    value_rpe: r^v [l, e, m].
    shift: [h], added to the logits; None for a softmax, which cancels it.
    band: [l, m], 0 for the pairs within the span and a large negative number
      for the others; None if all are within.
  """
  content_scale: Maybe
  query_scale: Maybe
  key_scale: Maybe
  query_rpe: Maybe
  key_rpe: Maybe
  value_rpe: Maybe
  shift: Maybe
  band: Maybe


class Heads(NamedTuple):
  """The vectors of rows by head.

  Attributes:
    query: [r, h, d, l].
    key: [r, h, d, m].
    value: [r, h, e, m].
  """
  query: tf.Tensor
  key: tf.Tensor
  value: tf.Tensor


class Retrieved(NamedTuple):
  """What a query retrieves.

  Attributes:
    content: sum of weighted values [r, l, h, e], or None.
    position: sum of weighted embeddings [r, l, h, e], or None.
    log_normalizer: logarithm of the softmax's denominator [r, h, l]; None for
      a sigmoid.
  """
  content: Maybe
  position: Maybe
  log_normalizer: Maybe


class Gains(NamedTuple):
  """How what is retrieved becomes one sum: by a batch norm that is at rest.

  Attributes:
    content: [h, e], factor of the content; None for 1.
    position: [h, e], factor of the position; None for 1.
    offset: [h, e], added; None for 0.
  """
  content: Maybe
  position: Maybe
  offset: Maybe


def position_embeddings(table: tf.Tensor, query_positions: tf.Tensor,
                        key_positions: tf.Tensor) -> tf.Tensor:
  """Returns r_{p-o} for all pairs: the table's row of each key - query offset.

  Args:
    table: [509, d]; row 254 belongs to offset 0.
    query_positions: int32 [l].
    key_positions: int32 [m].

  Returns:
    [l, d, m].
  """
  offsets = key_positions[None, :] - query_positions[:, None]
  rows = tf.clip_by_value(offsets + MAX_SPAN - 1, 0, TABLE_ROWS - 1)
  # A slice in between makes the gradient of the table a dense tensor.
  return tf.transpose(tf.gather(table[:TABLE_ROWS], rows), [0, 2, 1])


def split_heads(rows: RowOperands, form: Form) -> Heads:
  """Returns the queries, keys and values of rows."""
  sizes = [form.key_channels, form.key_channels, form.value_channels]
  if rows.windows is None:
    parts = tf.split(rows.projected, sizes, 1)
  else:
    parts = [rows.projected, *tf.split(rows.windows, sizes[1:], 1)]
  return Heads(*(
      tf.reshape(x, [-1, form.heads, size // form.heads, maps.sizes(x)[2]])
      for x, size in zip(parts, sizes)))


def attend(rows: RowOperands, shared: SharedOperands, form: Form, fused: bool,
           gains: Optional[Gains] = None) -> Retrieved:
  """Computes equation 3 for a chunk of rows.

  Args:
    rows: operands.
    shared: operands.
    form: form of the attention.
    fused: as in pair_terms.
    gains: if given, `content` is the sum of all that is retrieved, and the
      other fields are None.
  """
  weights, value, total, log_normalizer = maps.call(
      _weights, fused, rows, shared, form)
  content = position = None
  if form.value_content:  # rhlm,rhem->rhle
    content = tf.matmul(weights, value, transpose_b=True)
  if shared.value_rpe is not None:  # rhlm,lem->l(rh)e
    position = tf.matmul(
        maps.by_query(weights), shared.value_rpe, transpose_b=True)
  content, position = maps.call(
      _finish, fused, content, position, total, gains, form.heads)
  return Retrieved(
      content, position, None if gains is not None else log_normalizer)


def scaled(vectors: tf.Tensor, scale: Maybe) -> tf.Tensor:
  """Returns vectors [r, h, d, x] times their scale [h], if there is one."""
  return vectors if scale is None else vectors * scale[:, None, None]


def _weights(fused, rows, shared, form):
  """Returns weights, values, the sum of weights over keys and its logarithm.

  The weights of a softmax are not yet divided by their sum, and the logarithm
  is that of the sum of exp(logits).
  """
  heads = split_heads(rows, form)
  logits = logits_of(fused, heads, rows.outside, shared, form)
  if form.activation == 'sigmoid':
    return tf.sigmoid(logits), heads.value, None, None
  largest = maps.largest(logits, fused)
  weights = tf.exp(logits - largest)
  total = tf.reduce_sum(weights, -1)
  return weights, heads.value, total, largest[..., 0] + tf.math.log(total)


def logits_of(fused: bool, heads: Heads, outside: Maybe,
              shared: SharedOperands, form: Form) -> tf.Tensor:
  """Returns the sum of all terms, [r, h, l, m]."""
  query, key, _ = heads
  logits = maps.pair_terms(
      scaled(query, shared.content_scale) if form.content else None, key,
      scaled(query, shared.query_scale), shared.query_rpe,
      scaled(key, shared.key_scale), shared.key_rpe, fused)
  if shared.shift is not None:
    logits += shared.shift[:, None, None]
  if shared.band is not None:
    logits += shared.band
  if outside is not None:
    logits += outside[:, None, None]
  return logits


def _finish(fused, content, position, total, gains, heads):
  """Brings what is retrieved to [r, l, h, e] and divides it by the total."""
  del fused
  share = 1.0
  if total is not None:
    share = tf.transpose(1 / total, [0, 2, 1])[..., None]
  if content is not None:
    content = tf.transpose(content, [0, 2, 1, 3]) * share
  if position is not None:
    length, _, depth = maps.sizes(position)
    position = tf.transpose(tf.reshape(
        position, [length, -1, heads, depth]), [1, 0, 2, 3]) * share
  if gains is None:
    return content, position
  terms = [
      x if gain is None else x * gain
      for x, gain in ((content, gains.content), (position, gains.position))
      if x is not None]
  if gains.offset is not None:
    terms.append(gains.offset)
  return sum(terms[1:], terms[0]), None
