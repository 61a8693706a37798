"""Measures all records of many shards, in parallel and in order."""

import collections
from concurrent import futures
import dataclasses
import os
import sys
from typing import Any, Callable, Iterator, Optional, Sequence

import tensorflow as tf
from tqdm import tqdm

from data_prep.inspection import shard_reader

# Number of records per core in memory at a time.
_AHEAD = 4


@dataclasses.dataclass(frozen=True)
class Scanned:
  """A record with its measurements, or a fault instead of both."""

  record: Optional[shard_reader.Record] = None
  measured: Any = None
  fault: Optional[shard_reader.Fault] = None


def decoder(decode: Callable[[tf.Tensor], Any]) -> Callable[[bytes], Any]:
  """Returns a fast version of a function of a serialized record.

  Its errors are those of eager execution, without details of the graph.
  """
  graph = tf.function(
      decode, autograph=False,
      input_signature=[tf.TensorSpec([], tf.string)])

  def run(serialized: bytes):
    try:
      return graph(serialized)
    except tf.errors.OpError:
      return decode(tf.constant(serialized))

  return run


def scan(paths: Sequence[str], measure: Callable[[bytes], Any],
         total: int) -> Iterator[Scanned]:
  """Yields every record, or a fault instead, in order.

  Args:
    paths: the shards.
    measure: function that measures a serialized record; runs in threads. Its
      tf.errors.OpError is a fault of the record.
    total: number of records, for the progress bar.
  """
  cores = os.cpu_count() or 1
  with futures.ThreadPoolExecutor(cores) as pool, tqdm(
      total=total, desc='inspect', unit=' records', file=sys.stderr) as bar:
    waiting = collections.deque()
    for path in paths:
      for item in shard_reader.read(path):
        if isinstance(item, shard_reader.Fault):
          waiting.append((item, None))
        else:
          waiting.append((item, pool.submit(measure, item.serialized)))
        if len(waiting) >= _AHEAD * cores:
          yield _finish(*waiting.popleft())
          bar.update()
    while waiting:
      yield _finish(*waiting.popleft())
      bar.update()


def _finish(item, future) -> Scanned:
  if future is None:
    return Scanned(fault=item)
  try:
    return Scanned(item, future.result())
  except tf.errors.OpError as error:
    reason = ' '.join(error.message.split())[:200]
    return Scanned(fault=shard_reader.Fault(
        item.path, item.number, f'cannot be decoded ({reason})'))
