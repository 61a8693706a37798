"""Attention over any number of rows, in chunks that fit the cache.

A map of queries and keys is as large as the square of the axis' length times
all rows and heads. Here it exists for one chunk of rows at a time, in the
forward and in the backward pass, which makes it anew instead of keeping it.
That saves memory, and time too, as a chunk's map stays in the cache of a CPU.
"""

import contextlib
import functools
from typing import (
  Callable,
  List,
  Literal,
  NamedTuple,
  Optional,
  Sequence,
  Tuple,
)

import tensorflow as tf

from axial_tf.layers import attention_core, attention_gradient
from axial_tf.layers import attention_maps as maps

# Of one float32 map. Larger chunks leave a CPU's cache; accelerators rather
# need much work at a time.
_CPU_CHUNK_BYTES = 4 << 20
_ACCELERATOR_CHUNK_BYTES = 256 << 20
# At larger depths matrix products are quicker than elementwise ones.
_DEEPEST_FUSED = 16

Backend = Literal['auto', 'matmul', 'fused']
_backend: Backend = 'auto'
_chunk_bytes: Optional[int] = None

Tensors = Sequence[tf.Tensor]


@contextlib.contextmanager
def backend(name: Backend, chunk_bytes: Optional[int] = None):
  """Chooses how attention that is traced inside is computed.

  Args:
    name: 'fused' compiles each chunk with XLA into few loops over the map;
      'matmul' uses ordinary TensorFlow operations only, which any server and
      any accelerator has; 'auto' takes the former for global attention and
      static image sizes in graph functions, on machines without accelerator.
    chunk_bytes: size of a chunk's map; None for what suits the machine.
  """
  global _backend, _chunk_bytes
  before = _backend, _chunk_bytes
  _backend, _chunk_bytes = name, chunk_bytes
  try:
    yield
  finally:
    _backend, _chunk_bytes = before


def attend(rows: attention_core.RowOperands,
           shared: attention_core.SharedOperands,
           form: attention_core.Form,
           gains: Optional[attention_core.Gains] = None) -> List[tf.Tensor]:
  """Computes attention_core.attend for all rows, with gradients.

  Args:
    rows: operands, float32 (or float64).
    shared: operands.
    form: form of the attention.
    gains: if given, what is retrieved is summed; the backward pass then makes
      its terms anew.

  Returns:
    Tensors [r, l, h, e]: the content and the position, as far as they are in
    use, or their sum. 'outside' and 'band' get no gradient.
  """
  query, key, _ = attention_core.split_heads(rows, form)
  chunk = _chunk_size(query, key)
  operands, fields = zip(*(_pack(x) for x in (
      rows, shared, attention_core.Gains(None, None, None)
      if gains is None else gains)))
  call = _Call(form, fields, gains is not None,
               _use_fused(query, key, shared.band))

  @tf.custom_gradient
  def compute(*tensors):
    inputs = tensors[:len(operands[0])]
    common = tensors[len(operands[0]):]
    outputs, _ = map_chunks(
        functools.partial(_forward, call), inputs, common, chunk)
    results = [x for x, field in zip(outputs, call.retrieved_fields())
               if field != 'log_normalizer']

    def gradient(*upstream):
      kept = [] if call.summed else outputs
      of_rows, of_common = map_chunks(
          functools.partial(_backward, call), [*inputs, *kept, *upstream],
          common, chunk)
      if rows.outside is not None:
        of_rows = [*of_rows, None]
      if shared.band is not None:
        place = len(operands[1]) - 1
        of_common = [*of_common[:place], None, *of_common[place:]]
      return [*of_rows, *of_common]

    return tuple(results), gradient

  return list(compute(*operands[0], *operands[1], *operands[2]))


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
  chunk = _chunk_size(query, key)
  fused = _use_fused(query, key, band)

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
    function: function of a list of chunks of `rows` and the list `shared`;
      returns a list of tensors whose first axis are the rows, and a list of
      tensors to be summed over the chunks.
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
    # A chunk may hold many more rows than there are; all that it has are
    # computed.
    chunk = tf.maximum(-(-count // chunks), 1)
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


class _Call(NamedTuple):
  """What the chunks of one call have in common but for tensors.

  Attributes:
    form: form of the attention.
    fields: names of the operands in use, of rows, shared and gains.
    summed: whether there are gains.
    fused: whether maps are compiled.
  """
  form: attention_core.Form
  fields: Tuple[Sequence[str], Sequence[str], Sequence[str]]
  summed: bool
  fused: bool

  def retrieved_fields(self) -> List[str]:
    """Names of what is retrieved, as a chunk returns it."""
    if self.summed:
      return ['content']
    form = self.form
    return [field for field, in_use in (
        ('content', form.value_content),
        ('position', 'value_rpe' in self.fields[1]),
        ('log_normalizer', form.activation == 'softmax')) if in_use]

  def unpack(self, rows, common):
    """Returns row operands, shared operands, gains and the further rows."""
    row_fields, shared_fields, gain_fields = self.fields
    rows, common = iter(rows), iter(common)
    return (
        _unpack(attention_core.RowOperands, row_fields, rows),
        _unpack(attention_core.SharedOperands, shared_fields, common),
        _unpack(attention_core.Gains, gain_fields, common), rows)


def _forward(call, rows, common):
  operands, shared, gains, _ = call.unpack(rows, common)
  retrieved = attention_core.attend(
      operands, shared, call.form, call.fused, gains if call.summed else None)
  return [x for x in retrieved if x is not None], []


def _backward(call, rows, common):
  operands, shared, gains, rest = call.unpack(rows, common)
  of_gains = []
  if call.summed:
    retrieved = attention_core.attend(operands, shared, call.form, call.fused)
    upstream, of_gains = attention_gradient.sum_gradient(
        retrieved, gains, next(rest))
  else:
    fields = call.retrieved_fields()
    retrieved = _unpack(attention_core.Retrieved, fields, rest)
    upstream = _unpack(
        attention_core.Retrieved,
        [field for field in fields if field != 'log_normalizer'], rest)
  gradients = (*attention_gradient.attend_gradient(
      operands, shared, retrieved, upstream, call.form, call.fused), of_gains)
  of_rows, of_shared, of_gains = (
      [x for x in gradient if x is not None] for gradient in gradients)
  return of_rows, of_shared + of_gains


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


def _chunk_size(query, key):
  """Returns the number of rows in a chunk."""
  _, heads, _, queries = maps.sizes(query)
  size = _chunk_bytes or (
      _ACCELERATOR_CHUNK_BYTES if _has_accelerator() else _CPU_CHUNK_BYTES)
  chunk = size // (4 * heads * queries * maps.sizes(key)[-1])
  return max(chunk, 1) if isinstance(chunk, int) else tf.maximum(chunk, 1)


def _use_fused(query, key, band) -> bool:
  if _backend != 'auto':
    return _backend == 'fused'
  # Compiling takes seconds: not for one call, and not for each image size.
  # Masks make the compiled loops slower than matrix products.
  return (tf.inside_function() and band is None
          and query.shape[2] <= _DEEPEST_FUSED
          and None not in (*query.shape[1:], key.shape[-1])
          and not _has_accelerator())


def _has_accelerator() -> bool:
  return bool(tf.config.get_visible_devices('GPU')) or isinstance(
      tf.distribute.get_strategy(), tf.distribute.TPUStrategy)
