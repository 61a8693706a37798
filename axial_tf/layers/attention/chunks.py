"""Applies a function to any number of rows, in chunks that fit the cache.

A map of queries and keys is as large as the square of the axis' length times
all rows and heads. Here it exists for one chunk of rows at a time, in the
forward and in the backward pass, which recomputes it. That saves memory, and
time too, as a chunk's map stays in the cache of a CPU.
"""

from typing import Any, Callable, List, Optional, Sequence, Tuple

import tensorflow as tf

from axial_tf import devices
from axial_tf.layers.graph_ops import Size
from axial_tf.layers.shapes import sizes

# Bytes of one float32 map. Larger chunks leave the cache of a CPU or the fast
# memory of a TPU core; a GPU needs much work at a time.
CHUNK_BYTES = {'cpu': 4 << 20, 'tpu': 16 << 20, 'gpu': 256 << 20}
# Chunks that are computed side by side, at most.
_AT_A_TIME = 10

Tensors = Sequence[tf.Tensor]


def chunk_size(queries: Size, keys: Size, chunk_bytes: int) -> Size:
  """Returns the number of maps in a chunk.

  Args:
    queries: height of a map.
    keys: width of a map.
    chunk_bytes: size of a chunk's maps.
  """
  return at_least(1, chunk_bytes // map_bytes(queries, keys))


def at_least(fewest: int, count: Size) -> Size:
  """Returns the larger of the two."""
  return (max if isinstance(count, int) else tf.maximum)(fewest, count)


def map_bytes(queries: Size, keys: Size) -> Size:
  """Returns the size of one map."""
  return 4 * queries * keys


def apply(function: Callable[[Any], Tuple[Tensors, Tensors]], rows: Any,
          chunk: Size, one_body: bool = False,
          at_a_time: Optional[int] = None
          ) -> Tuple[List[tf.Tensor], List[tf.Tensor]]:
  """Applies a function to chunks of rows.

  Args:
    function: returns, for a chunk of `rows`, a list of tensors whose first
      axis are the rows, and a list of tensors to be summed over the chunks.
    rows: tensors with the same first axis, in any structure; None stays None.
    chunk: number of rows in a chunk, at most. Zeros fill the last chunk; rows
      of zeros must add nothing to the sums.
    one_body: whether sums begin with zeros, for compilers, which then have the
      function once; else with those of the first chunk, in place of zeros.
    at_a_time: number of chunks that may be computed side by side; None for a
      few, whose maps stay in the caches of a CPU.

  Returns:
    The results, joined and summed.
  """
  count = sizes(tensors(rows)[0])[0]
  chunks, chunk = even(count, chunk)
  known = all(isinstance(x, int) for x in (chunks, chunk))
  if known and chunks <= 1:
    outputs, sums = function(rows)
    return list(outputs), list(sums)
  missing = chunks * chunk - count

  def cut(tensor):
    if not (known and missing == 0):
      tensor = tf.pad(tensor, [[0, missing], *[[0, 0]] * (tensor.ndim - 1)])
    return tf.reshape(tensor, [chunks, chunk, *sizes(tensor)[1:]])

  def join(array):
    stacked = array.stack()
    joined = tf.reshape(stacked, [chunks * chunk, *sizes(stacked)[2:]])
    return joined[:count]

  stacks = [cut(tensor) for tensor in tensors(rows)]

  def run(index):
    return function(fill(rows, [stack[index] for stack in stacks]))

  first = 0
  if tf.executing_eagerly():
    outputs, sums = run(first)
    first = 1
  else:
    # Traced once, for the first chunk and the others.
    run = tf.function(run, autograph=False).get_concrete_function(
        tf.TensorSpec([], tf.int32))
    outputs, sums = run.structured_outputs
    if one_body:
      sums = [tf.zeros(x.shape, x.dtype) for x in sums]
    elif sums:
      outputs, sums = run(tf.constant(first))
      first = 1
  arrays = [
      tf.TensorArray(x.dtype, chunks, element_shape=x.shape) for x in outputs]
  if first:
    arrays = [array.write(0, x) for array, x in zip(arrays, outputs)]

  def step(index, arrays, sums):
    outputs, terms = run(index)
    return (index + 1, [a.write(index, x) for a, x in zip(arrays, outputs)],
            [a + x for a, x in zip(sums, terms)])

  _, arrays, sums = tf.while_loop(
      lambda index, *_: index < chunks, step, (first, arrays, list(sums)),
      parallel_iterations=at_a_time or min(_AT_A_TIME, devices.cores() + 1),
      maximum_iterations=chunks - first)
  return [join(array) for array in arrays], sums


def tensors(structure: Any) -> List[tf.Tensor]:
  """Returns the tensors of a structure, without its None."""
  return [x for x in tf.nest.flatten(structure) if x is not None]


def fill(structure: Any, values: Tensors) -> Any:
  """Returns the structure with other tensors in the places of its own."""
  values = iter(values)
  return tf.nest.map_structure(
      lambda x: None if x is None else next(values), structure)


def even(count: Size, chunk: Size) -> Tuple[Size, Size]:
  """Returns the number of chunks, and that of rows in each.

  The fewest chunks, or up to twice as many if these need no padding. A chunk
  has no more rows than there are, as all that it has are computed.

  Args:
    count: number of rows.
    chunk: number of rows in a chunk, at most.
  """
  fewest = -(-count // chunk)
  if not isinstance(fewest, int):
    fewest = tf.maximum(fewest, 1)
    return fewest, tf.maximum(-(-count // fewest), 1)
  fewest = max(fewest, 1)
  number = next((n for n in range(fewest, 2 * fewest + 1) if count % n == 0),
                fewest)
  return number, -(-count // number)
