"""Attention over any number of rows, in chunks that fit the cache.

A map of queries and keys is as large as the square of the axis' length times
all rows and heads. Here it exists for one chunk of rows at a time, in the
forward and in the backward pass, which makes it anew instead of keeping it.
That saves memory, and time too, as a chunk's map stays in the cache of a CPU.
"""

import contextlib
import functools
from typing import Callable, List, Literal, Sequence, Tuple

import tensorflow as tf

from axial_tf.layers import attention_core
from axial_tf.layers import attention_maps as maps

# Of one float32 map. Larger chunks leave a CPU's cache; accelerators rather
# need much work at a time.
_CPU_CHUNK_BYTES = 4 << 20
_ACCELERATOR_CHUNK_BYTES = 256 << 20
# At larger depths matrix products are quicker than elementwise ones.
_DEEPEST_FUSED = 16

Backend = Literal['auto', 'matmul', 'fused']
_backend: Backend = 'auto'

Tensors = Sequence[tf.Tensor]


@contextlib.contextmanager
def backend(name: Backend):
  """Chooses how attention that is traced inside is computed.

  Args:
    name: 'fused' compiles each chunk with XLA into few loops over the map;
      'matmul' uses ordinary TensorFlow operations only, which any server and
      any accelerator has; 'auto' takes the former for global attention and
      static image sizes in graph functions, on machines without accelerator.
  """
  global _backend
  before, _backend = _backend, name
  try:
    yield
  finally:
    _backend = before


def attend(rows: attention_core.RowOperands,
           shared: attention_core.SharedOperands,
           activation: str) -> attention_core.Retrieved:
  """Computes attention_core.attend for all rows, with gradients.

  Args:
    rows: operands, float32 (or float64).
    shared: operands.
    activation: 'softmax' or 'sigmoid'.

  Returns:
    What is retrieved; log_normalizer is None. 'outside' and 'band' get no
    gradient.
  """
  chunk = _chunk_size(rows, shared)
  row_tensors, row_fields = _pack(rows)
  shared_tensors, shared_fields = _pack(shared)
  options = (activation, row_fields, shared_fields)
  fused = _use_fused(rows, shared)

  @tf.custom_gradient
  def compute(*operands):
    inputs = operands[:len(row_tensors)]
    common = operands[len(row_tensors):]
    outputs, _ = map_chunks(
        functools.partial(_forward, fused, options), inputs, common,
        chunk)

    def gradient(*upstream):
      of_rows, of_shared = map_chunks(
          functools.partial(_backward, fused, options),
          [*inputs, *outputs, *upstream], common, chunk)
      if rows.outside is not None:
        of_rows = [*of_rows, None]
      if shared.band is not None:
        of_shared = [*of_shared, None]
      return [*of_rows, *of_shared]

    retrieved = outputs[:-1] if activation == 'softmax' else outputs
    return tuple(retrieved), gradient

  retrieved = iter(compute(*row_tensors, *shared_tensors))
  return attention_core.Retrieved(
      None if rows.value is None else next(retrieved),
      None if shared.value_rpe is None else next(retrieved), None)


def content_sums(query: tf.Tensor, key: tf.Tensor, band: tf.Tensor
                 ) -> Tuple[tf.Tensor, tf.Tensor]:
  """Sums q.k and its square over the pairs of all rows within a band.

  Args:
    query: [r, h, d, l].
    key: [r, h, d, m].
    band: [l, m] of zeros and ones.

  Returns:
    Two tensors [h].
  """
  rows = attention_core.RowOperands(query, key, None, None, None, None)
  shared = attention_core.SharedOperands(None, None, None, None, band)
  chunk = _chunk_size(rows, shared)
  fused = _use_fused(rows, shared)

  @tf.custom_gradient
  def compute(query, key):
    _, sums = map_chunks(
        functools.partial(_moments, fused), [query, key], [band],
        chunk)

    def gradient(*upstream):
      gradients, _ = map_chunks(
          functools.partial(_moments_gradient, fused), [query, key],
          [band, *upstream], chunk)
      return gradients

    return tuple(sums), gradient

  return compute(query, key)


def map_chunks(
    function: Callable[[Tensors, Tensors], Tuple[List, List]], rows: Tensors,
    shared: Tensors, chunk) -> Tuple[List[tf.Tensor], List[tf.Tensor]]:
  """Applies a function to chunks of rows.

  Args:
    function: of a list of chunks of `rows` and the list `shared`; returns a
      list of tensors whose first axis are the rows, and a list of tensors to
      be summed over the chunks.
    rows: tensors with the same first axis.
    shared: passed on as they are.
    chunk: number of rows in a chunk, at most. Zeros fill the last chunk; rows
      of zeros must add nothing to the sums.

  Returns:
    The results, joined and summed.
  """
  count = maps.sizes(rows[0])[0]
  known = all(isinstance(x, int) for x in (count, chunk))
  if known and count <= chunk:
    return function(rows, shared)
  if known:
    chunks = _number_of_chunks(count, chunk)
    chunk = -(-count // chunks)
  else:
    chunks = tf.maximum(-(-count // chunk), 1)
  missing = chunks * chunk - count

  def cut(tensor):
    if not (known and missing == 0):
      tensor = tf.pad(tensor, [[0, missing], *[[0, 0]] * (tensor.ndim - 1)])
    return tf.reshape(
        tensor, [chunks, chunk, *maps.sizes(tensor)[1:]])

  def join(array):
    stacked = array.stack()
    joined = tf.reshape(
        stacked, [chunks * chunk, *maps.sizes(stacked)[2:]])
    return joined[:count]

  rows = [cut(tensor) for tensor in rows]
  outputs, sums = function([tensor[0] for tensor in rows], shared)
  arrays = [
      tf.TensorArray(x.dtype, chunks, element_shape=x.shape).write(0, x)
      for x in outputs]

  def step(index, arrays, sums):
    outputs, terms = function([tensor[index] for tensor in rows], shared)
    return (index + 1, [a.write(index, x) for a, x in zip(arrays, outputs)],
            [a + x for a, x in zip(sums, terms)])

  _, arrays, sums = tf.while_loop(
      lambda index, *_: index < chunks, step, (1, arrays, sums),
      maximum_iterations=chunks - 1)
  return [join(array) for array in arrays], sums


def _number_of_chunks(count, chunk):
  """The fewest chunks, or up to twice as many if these need no padding."""
  fewest = -(-count // chunk)
  even = (n for n in range(fewest, 2 * fewest + 1) if count % n == 0)
  return next(even, fewest)


def _forward(fused, options, rows, shared):
  activation, row_fields, shared_fields = options
  retrieved = attention_core.attend(
      _unpack(attention_core.RowOperands, row_fields, rows),
      _unpack(attention_core.SharedOperands, shared_fields, shared),
      activation, fused)
  return [x for x in retrieved if x is not None], []


def _backward(fused, options, rows, shared):
  activation, row_fields, shared_fields = options
  operands, rest = rows[:len(row_fields)], iter(rows[len(row_fields):])
  fields = [field for field, in_use in (
      ('content', 'value' in row_fields),
      ('position', 'value_rpe' in shared_fields),
      ('log_normalizer', activation == 'softmax')) if in_use]
  retrieved = _unpack(attention_core.Retrieved, fields, rest)
  upstream = _unpack(
      attention_core.Retrieved,
      [field for field in fields if field != 'log_normalizer'], rest)
  gradients = attention_core.attend_gradient(
      _unpack(attention_core.RowOperands, row_fields, operands),
      _unpack(attention_core.SharedOperands, shared_fields, shared),
      retrieved, upstream, activation, fused)
  of_rows, of_shared = (
      [x for x in gradient if x is not None] for gradient in gradients)
  return of_rows, of_shared


def _moments(fused, rows, shared):
  content = maps.call(_content, fused, *rows, *shared)
  # Two steps: a sum over adjacent axes is many times faster on CPUs.
  return [], [tf.reduce_sum(tf.reduce_sum(x, [2, 3]), 0)
              for x in (content, tf.square(content))]


def _moments_gradient(fused, rows, shared):
  (query, key), (band, of_sum, of_squares) = rows, shared
  weights = maps.call(
      _of_content, fused, query, key, band, of_sum, of_squares)
  of_query = tf.matmul(weights, key, transpose_b=True)  # rhlm,rhdm->rhld
  return [tf.linalg.matrix_transpose(of_query), tf.matmul(query, weights)], []


def _content(fused, query, key, band):
  return band * maps.pair_terms(query, key, *[None] * 4, fused)


def _of_content(fused, query, key, band, of_sum, of_squares):
  """Gradient of the content, given that of its sum and of its squares' sum."""
  content = _content(fused, query, key, band)
  return band * of_sum[:, None, None] + (
      2 * of_squares[:, None, None] * content)


def _pack(operands):
  """Returns the tensors in use and the names of their fields."""
  fields = [f for f in operands._fields if getattr(operands, f) is not None]
  return [getattr(operands, f) for f in fields], tuple(fields)


def _unpack(kind, fields, tensors):
  empty = kind(*[None] * len(kind._fields))
  return empty._replace(**dict(zip(fields, tensors)))


def _chunk_size(rows, shared):
  """Returns the number of rows in a chunk."""
  embeddings = shared.query_rpe if shared.key_rpe is None else shared.key_rpe
  if embeddings is None:
    queries, keys = (maps.sizes(x)[-1] for x in rows[:2])
  else:
    queries, _, keys = maps.sizes(embeddings)
  heads = next(x for x in rows if x is not None).shape[1]
  size = _ACCELERATOR_CHUNK_BYTES if _has_accelerator() else _CPU_CHUNK_BYTES
  chunk = size // (4 * heads * queries * keys)
  return max(chunk, 1) if isinstance(chunk, int) else tf.maximum(chunk, 1)


def _use_fused(rows, shared) -> bool:
  if _backend != 'auto':
    return _backend == 'fused'
  operands = [x for x in rows if x is not None]
  # Compiling takes seconds: not for one call, and not for each image size.
  # Masks make the compiled loops slower than matrix products.
  return (tf.inside_function() and shared.band is None
          and operands[0].shape[2] <= _DEEPEST_FUSED
          and all(None not in x.shape[1:] for x in operands)
          and not _has_accelerator())


def _has_accelerator() -> bool:
  return bool(tf.config.list_physical_devices('GPU')) or isinstance(
      tf.distribute.get_strategy(), tf.distribute.TPUStrategy)
