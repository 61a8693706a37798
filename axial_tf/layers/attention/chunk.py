"""Equation 3 for a chunk of rows, and its gradient.

Batch norms are factors here: those of the logits are `scales` of the vectors,
so that no term is stored by itself. The formula as it is written is in
`equation`. With the weights w, the gradients are

  grad_w      = grad_content.v + grad_position.r^v
  delta       = sum_p w grad_w = sum_e retrieved grad_retrieved
  grad_logits = w (grad_w - delta)         (sigmoid: w (1 - w) grad_w)

and, as the logits are linear in each of their operands and so is what is
retrieved, one product for each operand of each term. The gradient computes the
weights again, so that no map outlives its chunk.

Letters: n rows and heads (rows: batch, blocks of a local span, the other
axis), o queries, p keys, d depth of queries and keys, e depth of values, t
terms. Maps are [n, o, p]; vectors have the position last, so that vector
instructions run along it. In the form 'lanes', n is the last axis instead of
the first, letters in front of it follow the alphabet, factors of rows are
[t, 1, n], and embeddings are matrices of dense.
"""

import functools
from typing import NamedTuple, Optional, Sequence, Tuple

import tensorflow as tf

from axial_tf.layers import graph_ops, precision
from axial_tf.layers.attention import fused
from axial_tf.layers.attention import settings as settings_lib
from axial_tf.layers.attention.contract import contract

Maybe = Optional[tf.Tensor]

# Forms of products with the finished map, of forms with loops over the map.
_OF_PRODUCTS = {'fused': 'matmul', 'program': 'einsum'}


class Rows(NamedTuple):
  """Operands that differ by row; None where not in use.

  Attributes:
    query: queries [n, d, o].
    key: keys [n, d, p].
    value: values [n, e, p].
    scales: factors [n, 1, t] of the terms of the logits in use and, for a
      sigmoid, what is added to them; None without batch norm.
    key_mask: [n, 1, p], 0 for keys within the axis and a large negative number
      for those outside.
  """
  query: Maybe
  key: Maybe
  value: Maybe
  scales: Maybe
  key_mask: Maybe


class Shared(NamedTuple):
  """Operands that all rows share; None where not in use.

  Attributes:
    query_rpe: r^q [o, d, p].
    key_rpe: r^k [o, d, p].
    value_rpe: r^v [o, e, p].
    pair_mask: [o, p], 0 for the pairs within the span and a large negative
      number for the others.
  """
  query_rpe: Maybe
  key_rpe: Maybe
  value_rpe: Maybe
  pair_mask: Maybe


class _Scaled(NamedTuple):
  """Vectors times the factors of their terms; None where not in use.

  Attributes:
    content: queries of the content term.
    query: queries of q.r^q.
    key: keys of k.r^k.
    shift: what is added to the logits, [n, 1, 1].
  """
  content: Maybe
  query: Maybe
  key: Maybe
  shift: Maybe


class _Axes(NamedTuple):
  """Places of axes.

  Attributes:
    terms: place of terms side by side, in what is retrieved and in factors.
    keys: place of the keys in maps.
    row: places of all axes but n.
  """
  terms: int
  keys: int
  row: Sequence[int]


class Retrieved(NamedTuple):
  """What the queries retrieve.

  Attributes:
    terms: weighted sums of values and of r^v side by side, [n, o, t * e].
    log_normalizer: logarithm of the softmax's denominator [n, o, 1], in
      lanes [o, 1, n], where the gradient needs it.
  """
  terms: tf.Tensor
  log_normalizer: Maybe


class Gains(NamedTuple):
  """Batch norm of what is retrieved; None where not in use.

  Attributes:
    factor: [n, 1, t * e].
    offset: [n, 1, e], added to the sum of the terms.
  """
  factor: Maybe
  offset: Maybe


class Upstream(NamedTuple):
  """What the gradient of a chunk starts from.

  Attributes:
    terms: gradient of Retrieved.terms.
    delta: sum of it times Retrieved.terms, [n, o, 1], in lanes [o, 1, n]; None
      for a sigmoid.
    log_normalizer: log_normalizer of Retrieved.
  """
  terms: tf.Tensor
  delta: Maybe
  log_normalizer: Maybe


def retrieve(settings: settings_lib.AttentionSettings, form: str, rows: Rows,
             shared: Shared, gains: Optional[Gains] = None) -> Retrieved:
  """Computes a chunk.

  Args:
    settings: settings of the attention.
    form: 'matmul', 'einsum' or 'lanes' for the form of products in contract(),
      or one of those in which terms of logits are elementwise products, loops
      over the map once XLA compiles them: 'fused', where they alone are
      compiled and the rest is as 'matmul', and 'program', where all is, and
      the rest is as 'einsum'.
    rows: operands of the chunk.
    shared: operands of all chunks.
    gains: batch norm of the terms, to return their sum [n, o, e] instead.
  """
  # Compiled by itself, as the XLA of TensorFlow 2.20 would compute the logits
  # again for each use of them.
  pairs = fused.call(
      _logits, settings, form, rows, shared, _scale(settings, form, rows)[1])
  weights, share, log_normalizer = fused.call(_activate, settings, form, pairs)
  product = _product(form)
  content = position = None
  if rows.value is not None:
    content = product('nop,nep->noe', weights, rows.value)
  if shared.value_rpe is not None:
    position = product('nop,oep->noe', weights, shared.value_rpe)
  terms = fused.call(
      _combine, settings, form, content, position, share, gains)
  return Retrieved(_rounded(terms, rows), log_normalizer)


def total(settings: settings_lib.AttentionSettings, axis: int,
          terms: tf.Tensor, gains: Gains) -> tf.Tensor:
  """Sums the terms that lie side by side: [n, l, t * e] -> [n, l, e].

  Args:
    settings: settings of the attention.
    axis: axis of the terms.
    terms: Retrieved.terms of all chunks.
    gains: batch norm of the terms.
  """
  return _sum(_by_term(settings, axis, terms), settings, axis, gains)


def gradient(settings: settings_lib.AttentionSettings, form: str, rows: Rows,
             shared: Shared, upstream: Upstream) -> Tuple[Rows, Shared]:
  """Returns the gradients of the operands of retrieve(), without the masks.

  Those of `shared` are to be summed over the chunks.
  """
  grads = _by_term(settings, _axes(form).terms, upstream.terms)
  scales, scaled = _scale(settings, form, rows)
  weights, grad_logits = fused.call(
      _weights_and_gradient, settings, form, rows, shared, scaled, upstream)
  product = _product(form)
  grad_query, grad_key, grad_scales = [], [], []
  grad_value = grad_query_rpe = grad_key_rpe = grad_value_rpe = None

  def unscale(grad, vectors, scale, total):
    total.append(precision.scaled(grad, scale))
    if scale is not None:
      grad_scales.append(graph_ops.reduce_sum(
          grad * tf.cast(vectors, grad.dtype), _axes(form).row, keepdims=True))

  if scaled.content is not None:
    grad_key.append(product('nop,ndo->ndp', grad_logits, scaled.content))
    unscale(product('nop,ndp->ndo', grad_logits, rows.key), rows.query,
            scales.content, grad_query)
  if scaled.query is not None:
    grad_query_rpe = product('nop,ndo->odp', grad_logits, scaled.query)
    unscale(product('nop,odp->ndo', grad_logits, shared.query_rpe), rows.query,
            scales.query, grad_query)
  if scaled.key is not None:
    grad_key_rpe = product('nop,ndp->odp', grad_logits, scaled.key)
    unscale(product('nop,odp->ndp', grad_logits, shared.key_rpe), rows.key,
            scales.key, grad_key)
  if scaled.shift is not None:
    grad_scales.append(graph_ops.reduce_sum(
        grad_logits, _axes(form).row, keepdims=True))
  if rows.value is not None:
    grad_value = product('nop,noe->nep', weights, grads[0])
  if shared.value_rpe is not None:
    grad_value_rpe = product('nop,noe->oep', weights, grads[-1])
  return (
      Rows(*(_rounded(graph_ops.add_n(x), rows) if x else None
             for x in (grad_query, grad_key)),
           None if grad_value is None else _rounded(grad_value, rows),
           graph_ops.concat(grad_scales, _axes(form).terms)
           if grad_scales else None, None),
      Shared(*(None if x is None else precision.widen(x) for x in (
          grad_query_rpe, grad_key_rpe, grad_value_rpe)), None))


def _scale(settings, form, rows):
  """Returns the factors of the terms, and the vectors times them."""
  terms = settings.terms
  in_use = (terms.content, terms.query_position, terms.key_position)
  vectors = _Scaled(*(x if used else None for x, used in zip(
      (rows.query, rows.query, rows.key), in_use)), None)
  if rows.scales is None:
    return _Scaled(None, None, None, None), vectors
  in_use += (settings.activation == 'sigmoid',)
  parts = iter(graph_ops.split(
      rows.scales, [1] * sum(in_use), _axes(form).terms))
  scales = _Scaled(*(next(parts) if used else None for used in in_use))
  return scales, _Scaled(*(
      None if x is None else precision.scaled(x, scale)
      for x, scale in zip(vectors[:3], scales)), scales.shift)


def _logits(settings, form, rows, shared, scaled):
  """Returns the sum of all terms and masks, [n, o, p]."""
  del settings
  product = _product(form, of_map=True)
  terms = []
  if scaled.content is not None:
    terms.append(product('ndo,ndp->nop', scaled.content, rows.key))
  if scaled.query is not None:
    terms.append(product('ndo,odp->nop', scaled.query, shared.query_rpe))
  if scaled.key is not None:
    terms.append(product('ndp,odp->nop', scaled.key, shared.key_rpe))
  total = graph_ops.add_n(terms)
  for addend in (scaled.shift, shared.pair_mask, rows.key_mask):
    if addend is not None:
      total += tf.cast(addend, total.dtype)
  return _rounded(total, rows)


def _activate(settings, form, pairs):
  """Returns weights, a factor for what they retrieve, and log_normalizer."""
  if settings.activation == 'sigmoid':
    return tf.sigmoid(pairs), None, None
  if form == 'matmul':
    return tf.nn.softmax(pairs), None, None
  keys = _axes(form).keys
  largest = fused.largest(pairs) if form == 'fused' else (
      graph_ops.reduce_max(pairs, keys, keepdims=True))
  dtype = pairs.dtype
  if form == 'program':
    # Compilers that recognize a softmax take minutes for one of long sums. They
    # do not recognize this one, nor that the share is a reciprocal.
    pairs, largest = map(precision.widen, (pairs, largest))
  weights = tf.cast(tf.exp(pairs - largest), dtype)
  denominator = graph_ops.reduce_sum(weights, keys, keepdims=True)
  largest = precision.widen(largest)
  log_normalizer = largest + tf.math.log(denominator)
  share = 1 / denominator if form != 'program' else (
      tf.exp(largest - log_normalizer))
  return weights, share, log_normalizer


def _combine(settings, form, content, position, share, gains):
  """Returns what is retrieved times `share`, side by side or summed."""
  parts = [x for x in (content, position) if x is not None]
  if share is not None:
    if form == 'lanes':
      share = graph_ops.transpose(share, [1, 0, 2])
    parts = [precision.scaled(x, share) for x in parts]
  if gains is not None:
    return _sum(parts, settings, _axes(form).terms, gains)
  return graph_ops.concat(parts, _axes(form).terms)


def _sum(parts, settings, axis, gains):
  dtype = parts[0].dtype
  parts = [precision.widen(x) for x in parts]
  if gains.factor is not None:
    parts = [x * factor for x, factor in zip(
        parts, _by_term(settings, axis, gains.factor))]
  if gains.offset is not None:
    parts[0] += gains.offset
  return tf.cast(graph_ops.add_n(parts), dtype)


def _weights_and_gradient(settings, form, rows, shared, scaled, upstream):
  """Returns the weights and the gradient of the logits."""
  pairs = _logits(settings, form, rows, shared, scaled)
  product = _product(form, of_map=True)
  grads = _by_term(settings, _axes(form).terms, upstream.terms)
  terms = []
  if rows.value is not None:
    terms.append(product('noe,nep->nop', grads[0], rows.value))
  if shared.value_rpe is not None:
    terms.append(product('noe,oep->nop', grads[-1], shared.value_rpe))
  grad_weights = graph_ops.add_n(terms)
  if settings.activation == 'sigmoid':
    weights = tf.sigmoid(pairs)
    grad = weights * (1 - weights) * grad_weights
    return _rounded(weights, rows), _rounded(grad, rows)
  if upstream.log_normalizer is None:
    weights = tf.nn.softmax(pairs)
  else:
    weights = tf.cast(tf.exp(
        precision.widen(pairs) - upstream.log_normalizer), pairs.dtype)
  grad = precision.widen(weights) * (
      precision.widen(grad_weights) - upstream.delta)
  return _rounded(weights, rows), _rounded(grad, rows)


def _product(form, of_map=False):
  """Returns contract() in the form of a chunk's products."""
  if form in _OF_PRODUCTS:
    form = 'elementwise' if of_map else _OF_PRODUCTS[form]
  return functools.partial(contract, form=form)


def _axes(form):
  return _Axes(0, 1, (0, 1)) if form == 'lanes' else _Axes(2, 2, (1, 2))


def _rounded(values, rows):
  """Casts to the type of vectors."""
  return tf.cast(values, next(x for x in rows if x is not None).dtype)


def _by_term(settings, axis, terms):
  count = settings.terms.num_value_terms
  return graph_ops.split(terms, [terms.shape[axis] // count] * count, axis)
