"""Finds the compression of TFRecord files, and the place of each record.

A record is: length uint64, the checksum of these bytes uint32, the data, a
checksum of the data.
"""

import struct
from typing import Iterator, Optional, Sequence, Tuple

import tensorflow as tf

from axial_tf import errors

_HEADER_BYTES = 12
_FOOTER_BYTES = 4
BYTES_AROUND_RECORD = _HEADER_BYTES + _FOOTER_BYTES

_GZIP = b'\x1f\x8b\x08'
_ZLIB = b'\x78'


def compression_of(path: str) -> str:
  """Returns 'GZIP', 'ZLIB' or '' from the first bytes of a file.

  Names say nothing: TensorFlow's writers add no ending. A file that is neither
  compressed nor begins with a record counts as not compressed.

  Raises:
    tf.errors.OpError: the file cannot be read.
  """
  with tf.io.gfile.GFile(path, 'rb') as file:
    start = file.read(len(_GZIP))
  if start.startswith(_GZIP):
    compression = 'GZIP'
  elif start[:1] == _ZLIB and int.from_bytes(start[:2], 'big') % 31 == 0:
    compression = 'ZLIB'
  else:
    return ''
  # The length of a record may have the bytes of either mark by chance.
  return '' if _begins_with_record(path) else compression


def common_compression(paths: Sequence[str]) -> str:
  """Returns the compression of files that are read as one data set.

  Of remote files (gs://) only the first one is opened, as each would be a
  request.

  Raises:
    errors.UserError: they are compressed in different ways.
    tf.errors.OpError: a file cannot be read.
  """
  first = compression_of(paths[0])
  for path in paths[1:]:
    other = first if '://' in path else compression_of(path)
    if other != first:
      raise errors.UserError(
          f'{path} is {_name(other)}, but {paths[0]} is {_name(first)}; '
          f'compress all shards in the same way, or none')
  return first


def places(file) -> Iterator[Tuple[int, Optional[int]]]:
  """Yields start and end of each record; the end of one cut off is None.

  Walks from record to record by their lengths, without reading the data.

  Args:
    file: uncompressed file, open for reading bytes, at its start.
  """
  size, start = _size(file), 0
  while start < size:
    file.seek(start)
    header = file.read(_HEADER_BYTES)
    end = None
    if len(header) == _HEADER_BYTES:
      length, = struct.unpack('<Q', header[:8])
      end = start + length + BYTES_AROUND_RECORD
    if end is None or end > size:
      yield start, None
      return
    yield start, end
    start = end


def _size(file) -> int:
  if isinstance(file, tf.io.gfile.GFile):
    return file.size()
  return file.seek(0, 2)


def _begins_with_record(path: str) -> bool:
  try:
    return bool(list(tf.data.TFRecordDataset(path).take(1)))
  except tf.errors.DataLossError:
    return False


def _name(compression: str) -> str:
  return f'compressed by {compression}' if compression else 'not compressed'
