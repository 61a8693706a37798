"""Reads all readable records of a shard, even after damaged ones."""

import dataclasses
import os
import tempfile
from typing import Iterator, Optional, Union

import tensorflow as tf

from axial_tf.data.common import record_bytes


@dataclasses.dataclass(frozen=True)
class Record:
  """A record with a correct checksum: its shard, index (from 0) and bytes."""

  path: str
  number: int
  serialized: bytes


@dataclasses.dataclass(frozen=True)
class Fault:
  """A record, or a whole shard if `number` is None, that cannot be used."""

  path: str
  number: Optional[int]
  reason: str

  def __str__(self):
    place = '' if self.number is None else f', record {self.number}'
    return f'{self.path}{place}: {self.reason}'


def count(path: str) -> int:
  """Returns the number of records in a file, from their lengths only.

  For a damaged file it may be too small. Remote files count as 0, since each
  record would take a request, and so do compressed ones.
  """
  if '://' in path:
    return 0
  try:
    if record_bytes.compression_of(path):
      return 0
    with tf.io.gfile.GFile(path, 'rb') as file:
      return sum(end is not None for _, end in record_bytes.places(file))
  except tf.errors.OpError:
    return 0


def read(path: str) -> Iterator[Union[Record, Fault]]:
  """Yields the records of a file in order, and a fault for each bad one."""
  number = position = 0
  compression = ''
  try:
    compression = record_bytes.compression_of(path)
    for serialized in tf.data.TFRecordDataset(
        path, compression).as_numpy_iterator():
      yield Record(path, number, serialized)
      number += 1
      position += len(serialized) + record_bytes.BYTES_AROUND_RECORD
    # A file that is truncated within a header ends without an error.
    is_whole = bool(compression and number) or (
        position == tf.io.gfile.stat(path).length)
  except tf.errors.DataLossError:
    is_whole = False
  except tf.errors.OpError as error:
    yield Fault(path, None, f'cannot be read ({error.message})')
    return
  if not is_whole and compression:
    yield Fault(path, number, f'the shard, compressed with {compression}, is '
                              f'damaged or cut off here; nothing after it can '
                              f'be read')
  elif not is_whole:
    yield from _read_damaged(path, number)


def _read_damaged(path: str, first: int) -> Iterator[Union[Record, Fault]]:
  """Resumes at record `first`, where TensorFlow's reader has failed.

  The lengths lead from record to record. Each is copied to a separate file, so
  that TensorFlow checks and reads it separately.
  """
  with tempfile.TemporaryDirectory() as folder, tf.io.gfile.GFile(
      path, 'rb') as file:
    copy = os.path.join(folder, 'record')
    for number, (start, end) in enumerate(record_bytes.places(file)):
      if end is None:
        yield Fault(path, number, 'the shard is cut off here or not a TFRecord '
                                  'file; nothing after it can be read')
      elif number >= first:
        file.seek(start)
        with open(copy, 'wb') as copied:
          copied.write(file.read(end - start))
        try:
          serialized, = tf.data.TFRecordDataset(copy).as_numpy_iterator()
        except tf.errors.DataLossError:
          yield Fault(path, number, 'damaged (its checksum does not match)')
        else:
          yield Record(path, number, serialized)
