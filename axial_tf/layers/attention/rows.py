"""Equation 3 for a chunk of rows, with batch norms folded into the vectors.

The batch norm of a logit term is an affine map per (term, head): its scale is
applied to the vectors, so that no term is stored by itself, and its shift,
equal for all keys, drops out of the softmax. The formula as it is written is
in `equation`, the backward pass in `gradient`.

Letters: r rows (batch, blocks of a local span, the other axis), h heads, l
query position, m key (memory) position, d depth of queries and keys, e depth
of values. All maps are [r, h, l, m]; all vectors have the position last,
[r, h, d, l], so that vector instructions run along it.
"""

from typing import NamedTuple, Optional, Tuple

import tensorflow as tf

from axial_tf.layers import shapes
from axial_tf.layers.attention import maps
from axial_tf.layers.attention import settings as settings_lib

Maybe = Optional[tf.Tensor]


class Rows(NamedTuple):
  """Operands that differ by row.

  Attributes:
    query: queries [r, h, d, l].
    key: keys [r, h, d, m].
    value: values [r, h, e, m].
    key_mask: [r, m], 0 for keys within the axis and a large negative number
      for those outside; None if all are within.
  """
  query: tf.Tensor
  key: tf.Tensor
  value: tf.Tensor
  key_mask: Maybe


class Shared(NamedTuple):
  """Operands that all rows share.

  Attributes:
    content_scale: factor [h] of the content term; None for 1, as the others.
    query_scale: factor [h] of the query-position term.
    key_scale: factor [h] of the key-position term.
    query_rpe: r^q [l, d, m]; None, as the others, without that term.
    key_rpe: r^k [l, d, m].
    value_rpe: r^v [l, e, m].
    shift: [h], added to the logits; None for a softmax, which cancels it.
    pair_mask: [l, m], 0 for the pairs within the span and a large negative
      number for the others; None if all are within.
  """
  content_scale: Maybe
  query_scale: Maybe
  key_scale: Maybe
  query_rpe: Maybe
  key_rpe: Maybe
  value_rpe: Maybe
  shift: Maybe
  pair_mask: Maybe


class Gains(NamedTuple):
  """Inference-mode batch norm of what is retrieved, one gain per term.

  Attributes:
    content: factor [h, e] of the content; None for 1.
    position: factor [h, e] of the position; None for 1.
    offset: [h, e], added; None for 0.
  """
  content: Maybe
  position: Maybe
  offset: Maybe


class Retrieved(NamedTuple):
  """What the queries retrieve.

  Attributes:
    content: sum of weighted values [r, l, h, e], or None.
    position: sum of weighted embeddings [r, l, h, e], or None.
    log_normalizer: logarithm of the softmax's denominator [r, h, l]; None for
      a sigmoid.
  """
  content: Maybe
  position: Maybe
  log_normalizer: Maybe


def without_masks(rows: Rows, shared: Shared) -> Tuple[Rows, Shared]:
  """Returns what has gradients."""
  return rows._replace(key_mask=None), shared._replace(pair_mask=None)


def attend(settings: settings_lib.AttentionSettings, fused: bool, rows: Rows,
           shared: Shared) -> Retrieved:
  """Returns what the queries retrieve, by term."""
  weights, total, log_normalizer = _weights(settings, fused, rows, shared)
  content, position = maps.call(
      _divide, settings, fused, *retrieve(settings, weights, rows, shared),
      total)
  return Retrieved(content, position, log_normalizer)


def attend_and_sum(
    settings: settings_lib.AttentionSettings, fused: bool, rows: Rows,
    shared: Shared, gains: Gains) -> tf.Tensor:
  """Returns the sum of what the queries retrieve, [r, l, h, e]."""
  weights, total, _ = _weights(settings, fused, rows, shared)
  return maps.call(
      _divide_and_sum, settings, fused,
      *retrieve(settings, weights, rows, shared), total, gains)


def logits(settings: settings_lib.AttentionSettings, fused: bool, rows: Rows,
           shared: Shared) -> tf.Tensor:
  """Returns the sum of all terms, [r, h, l, m]."""
  terms = []
  if settings.terms.content:
    terms.append(maps.content_term(
        scaled(rows.query, shared.content_scale), rows.key, fused))
  if shared.query_rpe is not None:
    terms.append(maps.query_term(
        scaled(rows.query, shared.query_scale), shared.query_rpe, fused))
  if shared.key_rpe is not None:
    terms.append(maps.key_term(
        scaled(rows.key, shared.key_scale), shared.key_rpe, fused))
  total = tf.add_n(terms)
  if shared.shift is not None:
    total += shared.shift[:, None, None]
  if shared.pair_mask is not None:
    total += shared.pair_mask
  if rows.key_mask is not None:
    total += rows.key_mask[:, None, None]
  return total


def retrieve(settings: settings_lib.AttentionSettings, weights: tf.Tensor,
             rows: Rows, shared: Shared) -> Tuple[Maybe, Maybe]:
  """Returns weighted sums of values [r, h, l, e] and of r^v [l, r * h, e]."""
  return (
      maps.retrieve(weights, rows.value) if settings.terms.value_content
      else None,
      None if shared.value_rpe is None
      else maps.retrieve_position(weights, shared.value_rpe))


def rows_first(content: Maybe, position: Maybe, heads: int
               ) -> Tuple[Maybe, Maybe]:
  """Brings what is retrieved to [r, l, h, e]."""
  if content is not None:
    content = tf.transpose(content, [0, 2, 1, 3])
  if position is not None:
    length, _, depth = shapes.sizes(position)
    position = tf.transpose(tf.reshape(
        position, [length, -1, heads, depth]), [1, 0, 2, 3])
  return content, position


def total(content: Maybe, position: Maybe, gains: Gains) -> tf.Tensor:
  """Returns the sum of what is retrieved, with its gains."""
  terms = [
      x if gain is None else x * gain
      for x, gain in ((content, gains.content), (position, gains.position))
      if x is not None]
  return tf.add_n(terms if gains.offset is None else (
      [terms[0] + gains.offset, *terms[1:]]))


def scaled(vectors: tf.Tensor, scale: Maybe) -> tf.Tensor:
  """Returns vectors [r, h, d, x] times their scale [h], if there is one."""
  return vectors if scale is None else vectors * scale[:, None, None]


def _weights(settings, fused, rows, shared):
  """Returns the weights, their sum over the keys and its logarithm.

  The weights of a softmax are not yet divided by their sum, and the logarithm
  is that of the sum of exp(logits).
  """
  # Compiled by itself, as the XLA of TensorFlow 2.20 would compute the logits
  # again for each use of them.
  pairs = maps.call(logits, settings, fused, rows, shared)
  return maps.call(_activate, settings, fused, pairs)


def _activate(settings, fused, pairs):
  if settings.activation == 'sigmoid':
    return tf.sigmoid(pairs), None, None
  largest = maps.largest(pairs, fused)
  weights = tf.exp(pairs - largest)
  denominator = tf.reduce_sum(weights, -1)
  return weights, denominator, largest[..., 0] + tf.math.log(denominator)


def _divide(settings, fused, content, position, denominator):
  """Brings what is retrieved to [r, l, h, e] and divides it."""
  del fused
  terms = rows_first(content, position, settings.heads)
  if denominator is None:
    return terms
  share = tf.transpose(1 / denominator, [0, 2, 1])[..., None]
  return tuple(None if x is None else x * share for x in terms)


def _divide_and_sum(settings, fused, content, position, denominator, gains):
  return total(
      *_divide(settings, fused, content, position, denominator), gains)
