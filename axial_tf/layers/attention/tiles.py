"""Inference with rows and heads along the vector instructions of a CPU.

A tile is as many rows as have 16 heads or a little fewer: what AVX-512 computes
on at a time. With rows and heads as the last axis, all that attention does to a
map is elementwise: products over the depth, the largest logit, the sum of the
weights, and what they retrieve. XLA compiles it into loops over tiles and
queries, in which a query's logits and weights stay in the innermost cache, and
no map exists. Such a program takes one core; groups of rows run side by side.

Letters: r rows, o queries, p keys, d and e depth of keys and values, h heads,
s lanes: rows of a tile and heads, t terms.
"""

import functools
from typing import List, NamedTuple, Optional, Sequence, Tuple

import tensorflow as tf

from axial_tf.layers import precision
from axial_tf.layers.attention import chunk as chunk_lib
from axial_tf.layers.attention import settings as settings_lib
from axial_tf.layers.attention import span

_LANES = 16
# Keys that are added at a time, at most: programs of longer sums are large, and
# in those of more than 100 the compiler finds no vector instructions.
_MOST_KEYS = 32
# Numbers of keys or values that one loop reads, at most. XLA would split more
# costly loops among cores, which takes longer than they do.
_MOST_NUMBERS = 2048
# As an addition waits for the one before it, sums over keys are made of some.
_SUMS = 4

Maybe = Optional[tf.Tensor]


class Vectors(NamedTuple):
  """Vectors of rows, with the heads of each depth side by side.

  Attributes:
    query: queries [r, o, (d, h)], or all vectors [r, p, (d + d + e, h)].
    key_and_value: keys and values [r, p, (d + e, h)]; None if `query` has all.
    key_mask: [r, p], added to the logits; None if all keys are on the axis.
  """
  query: tf.Tensor
  key_and_value: Maybe
  key_mask: Maybe


class Factors(NamedTuple):
  """Batch norms, which all rows share; None where not in use.

  Attributes:
    logits: [h, t], as `scales` of chunk.Rows.
    terms: [h, t * e], as `factor` of chunk.Gains.
    offset: [h, e], as `offset` of chunk.Gains.
  """
  logits: Maybe
  terms: Maybe
  offset: Maybe


def row_multiple(heads: int) -> int:
  """Returns the number of rows in a tile."""
  return max(1, _LANES // heads)


def heads_last(channels: Sequence[int], heads: int) -> List[int]:
  """Returns which channel of a projection is at each place in Vectors.

  Args:
    channels: numbers of channels of queries, of keys and of values, [h, depth]
      each, which become [depth, h].
    heads: h.
  """
  order, start = [], 0
  for count in channels:
    depth = count // heads
    order += [start + head * depth + i
              for i in range(depth) for head in range(heads)]
    start += count
  return order


def attend(settings: settings_lib.AttentionSettings, depth: int,
           vectors: Vectors, factors: Factors, shared: chunk_lib.Shared
           ) -> tf.Tensor:
  """Returns what the queries retrieve, normalized: [r, o, (h, e)].

  To be compiled for static shapes.

  Args:
    settings: settings of the attention.
    depth: d.
    vectors: vectors of all rows.
    factors: batch norms.
    shared: operands that all rows share.
  """
  heads = settings.heads
  rows, queries, _ = vectors.query.shape
  in_tile = row_multiple(heads)
  tiles = -(-rows // in_tile)
  stacks = [
      None if x is None else _cut(x, 0, tiles, in_tile) for x in vectors]
  last = stacks[0] if stacks[1] is None else stacks[1]
  dtype = precision.wide(vectors.query.dtype)
  shared = _in_parts(shared, queries, last.shape[2], dtype)
  factors = Factors(*(
      None if x is None else tf.tile(tf.transpose(x), [1, in_tile])
      for x in factors))

  def compute(index, outputs):
    query, rest, mask = (_at(x, index) for x in stacks)
    query = _to_lanes(query, heads)
    if rest is None:
      query, rest = query[:depth], query[depth:]
    else:
      rest = _to_lanes(rest, heads)
    if mask is not None:
      mask = tf.repeat(tf.transpose(mask), heads, 1)
    retrieved = _Tile(settings, query, rest[:depth], rest[depth:], mask,
                      factors, shared).retrieve()
    return index + 1, outputs.write(index, _from_lanes(retrieved, heads))

  values = last.shape[3] - heads * depth * (1 if stacks[1] is not None else 2)
  outputs = tf.TensorArray(
      dtype, tiles, element_shape=[in_tile, queries, values])
  _, outputs = tf.while_loop(
      lambda index, _: index < tiles, compute, (0, outputs))
  return tf.reshape(
      outputs.stack(), [tiles * in_tile, queries, values])[:rows]


class _Tile:
  """Attention of a tile, whose vectors are [depth, position, s]."""

  def __init__(self, settings, query, key, value, mask, factors, shared):
    self._terms = settings.terms
    self._is_softmax = settings.activation == 'softmax'
    self._key, self._value, self._mask = key, value, mask
    self._shared = shared
    scales = iter([] if factors.logits is None else tf.unstack(factors.logits))
    content, position, self._key_scale = (
        next(scales, None) if used else None for used in (
            self._terms.content, self._terms.query_position,
            self._terms.key_position))
    self._shift = next(scales, None)
    self._content_query = _times(query, content)
    self._position_query = _times(query, position)
    gains = iter([] if factors.terms is None else tf.split(
        factors.terms, self._terms.num_value_terms))
    if self._terms.value_content:
      self._value = _times(value, next(gains, None), 1)
    self._position_gain = (
        next(gains, None) if self._terms.value_position else None)
    self._offset = factors.offset

  def retrieve(self):
    """Returns what all queries retrieve, [o, e, s]."""
    count, size = _parts(self._key.shape[1])
    stacks = [None if x is None else _cut(x, axis, count, size) for x, axis in (
        (self._key, 1), (self._value, 1), (self._mask, 0))]
    depth, _, lanes = self._value.shape
    queries = self._content_query.shape[1]
    shapes = [[depth, lanes]]
    if self._is_softmax:
      shapes += [[lanes]] * 2
    found = [tf.TensorArray(self._key.dtype, count * queries, element_shape=x)
             for x in shapes]

    def step(index, found):
      part = [_at(x, index) for x in stacks]
      return index + 1, self._add(index, *part, found)

    # Each writes to a place of its own: the compiler finds no vector
    # instructions for loops that read what they write.
    _, found = tf.while_loop(
        lambda index, _: index < count, step, (0, found))
    parts = [tf.reshape(x.stack(), [count, queries, *shape])
             for x, shape in zip(found, shapes)]
    retrieved = self._joined(*parts)
    return retrieved if self._offset is None else retrieved + self._offset

  def _add(self, number, key, value, mask, found):
    """Adds what the queries find in a part of the keys."""
    depth = max(key.shape[0], value.shape[0])
    size = max(1, _MOST_NUMBERS // depth // key.shape[2])
    cut = functools.partial(_pieces, size=size)
    keys, values = cut(key, 1), cut(value, 1)
    masks = [None] * len(keys) if mask is None else cut(mask, 0)
    queries = self._content_query.shape[1]

    def query(index, found):
      place = number * queries + index
      query_rpe, key_rpe, value_rpe, pair_mask = (
          [None] * len(keys) if x is None else cut(_at(x, place), x.ndim - 2)
          for x in self._shared)
      logits = [self._logits(index, *piece) for piece in zip(
          keys, query_rpe, key_rpe, pair_mask, masks)]
      if self._is_softmax:
        added = self._softmax(logits, values, value_rpe)
      else:
        added = [self._weighted(
            [tf.sigmoid(x) for x in logits], values, value_rpe)]
      return index + 1, [x.write(place, y) for x, y in zip(found, added)]

    return tf.while_loop(
        lambda index, _: index < queries, query, (0, found))[1]

  def _softmax(self, logits, values, embeddings):
    """Returns weighted values [e, s], sums of weights and largest logits [s].

    The weights are those of the largest logit among these.
    """
    largest = functools.reduce(
        tf.maximum, [tf.reduce_max(x, 0) for x in logits])
    weights = [tf.exp(x - largest) for x in logits]
    return (self._weighted(weights, values, embeddings),
            _sum([tf.reduce_sum(x, 0) for x in weights]), largest)

  def _joined(self, retrieved, total=None, largest=None):
    """Joins what was found in the parts: [parts, o, e, s] -> [o, e, s]."""
    if total is not None and retrieved.shape[0] > 1:
      share = tf.exp(largest - tf.reduce_max(largest, 0))
      retrieved *= share[:, :, None]
      total *= share
    retrieved = tf.reduce_sum(retrieved, 0)
    if total is not None:
      retrieved *= 1 / tf.reduce_sum(total, 0)[:, None]
    return retrieved

  def _weighted(self, weights, values, embeddings):
    """Returns the weighted sum of values and embeddings, [e, s]."""
    products = []
    for weight, value, embedding in zip(weights, values, embeddings):
      terms = [value] if self._terms.value_content else []
      if embedding is not None:
        terms.append(_times(embedding[:, :, None], self._position_gain, 1))
      products += [x * y for x, y in zip(
          tf.unstack(weight), tf.unstack(_sum(terms), axis=1))]
    return _sum([_sum(products[i::_SUMS]) for i in range(_SUMS)
                 if products[i:]])

  def _logits(self, index, key, query_rpe, key_rpe, pair_mask, mask):
    """Returns the logits of a query and some keys, [p, s]."""
    content, position = (_at(x, index, 1)[:, None] for x in (
        self._content_query, self._position_query))
    terms, by_key = [], [content] if self._terms.content else []
    if key_rpe is not None:
      by_key.append(_times(key_rpe[:, :, None], self._key_scale))
    if by_key:
      terms.append(key * _sum(by_key))
    if query_rpe is not None:
      terms.append(position * query_rpe[:, :, None])
    total = _sum(tf.unstack(_sum(terms)))
    for addend in (
        self._shift, None if pair_mask is None else pair_mask[:, None], mask):
      if addend is not None:
        total += addend
    return total


def _in_parts(shared, queries, length, dtype):
  """Brings parts of the keys to the front: [parts * o, d, p] of [o, d, p]."""
  count, size = _parts(length)
  mask = shared.pair_mask
  missing = count * size - length
  if missing:
    if mask is None:
      mask = tf.zeros([queries, length], dtype)
    mask = tf.pad(mask, [[0, 0], [0, missing]],
                  constant_values=span.lowest(dtype))

  def cut(tensor):
    parts = _cut(tensor, tensor.ndim - 1, count, size)
    return tf.reshape(parts, [-1, *parts.shape[2:]])

  return chunk_lib.Shared(*(
      None if x is None else cut(x) for x in (*shared[:3], mask)))


def _parts(length: int) -> Tuple[int, int]:
  """Returns the number of parts of the keys, and that of keys in each."""
  count = -(-length // _MOST_KEYS)
  return count, -(-length // count)


def _to_lanes(vectors, heads):
  """[rows of a tile, x, (d, h)] -> [d, x, s]."""
  rows, length, channels = vectors.shape
  return tf.reshape(tf.transpose(tf.reshape(
      precision.widen(vectors), [rows, length, channels // heads, heads]),
      [2, 1, 0, 3]), [channels // heads, length, rows * heads])


def _from_lanes(retrieved, heads):
  """[x, e, s] -> [rows of a tile, x, (h, e)]."""
  length, depth, lanes = retrieved.shape
  return tf.reshape(tf.transpose(tf.reshape(
      retrieved, [length, depth, lanes // heads, heads]), [2, 0, 3, 1]),
      [lanes // heads, length, heads * depth])


def _cut(tensor, axis, count, size):
  """Cuts an axis into parts, a new first axis; zeros fill the last part."""
  missing = count * size - tensor.shape[axis]
  if missing:
    tensor = tf.pad(tensor, [
        [0, missing if i == axis else 0] for i in range(tensor.ndim)])
  if axis == 0:
    return tf.reshape(tensor, [count, size, *tensor.shape[1:]])
  return tf.stack(tf.split(tensor, count, axis))


def _pieces(tensor, axis, size):
  """Cuts an axis into pieces; the last one may be shorter."""
  length = tensor.shape[axis]
  return tf.split(tensor, [
      min(size, length - start) for start in range(0, length, size)], axis)


def _at(tensor, index, axis=0):
  """Returns one place of an axis; indexing would copy the whole tensor."""
  if tensor is None:
    return None
  begin, size = [0] * tensor.ndim, list(tensor.shape)
  begin[axis], size[axis] = index, 1
  return tf.squeeze(tf.slice(tensor, begin, size), axis)


def _times(tensor, factor, axis=None):
  if factor is None:
    return tensor
  return tensor * (factor if axis is None else tf.expand_dims(factor, axis))


def _sum(parts):
  return functools.reduce(tf.add, parts)
