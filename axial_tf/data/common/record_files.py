"""Finds TFRecord shards, and checks that they are complete."""

import dataclasses
import os
import re
from typing import List, Optional, Sequence, Tuple

import tensorflow as tf

from axial_tf import errors
from axial_tf.data.common import record_bytes
from axial_tf.files import paths

# Begins a pattern that names a data set of tensorflow-datasets.
TFDS = 'tfds:'
# Written by data_prep next to the shards: {'spec': ..., 'splits': ...}.
DATASET_INFO = 'dataset_info.json'

_SHARD = re.compile(r'^(?P<stem>.*)-(?P<index>\d{5})-of-(?P<count>\d{5})\b')


@dataclasses.dataclass(frozen=True)
class RecordFiles:
  """Complete shards, and the number of records in each.

  A count is None for remote shards (gs://): those are not scanned at start-up,
  as each record would be one request; nor are compressed ones ('GZIP', 'ZLIB'),
  which would have to be read as a whole.
  """

  paths: Tuple[str, ...]
  counts: Tuple[Optional[int], ...]
  compression: str = ''

  @property
  def num_records(self) -> Optional[int]:
    """Records in all, None if some have not been counted."""
    return None if None in self.counts else sum(self.counts)


def shard_name(name: str, index: int, count: int) -> str:
  """Returns a name such as 'val-00000-of-00010.tfrecord'."""
  return f'{name}-{index:05d}-of-{count:05d}.tfrecord'


def shard_pattern(folder: str, split: str) -> str:
  """Returns the glob pattern of a split's shards in a folder.

  For 'tfds:NAME' in place of a folder, it is 'tfds:NAME/SPLIT', see
  `tfds_source`.
  """
  if folder.startswith(TFDS):
    return f'{folder.rstrip("/")}/{split}'
  return f'{folder.rstrip("/")}/{split}-*.tfrecord'


def verify_shards(pattern: str) -> RecordFiles:
  """Finds the shards matching a glob pattern and checks that none is cut off.

  Walks from record to record by their lengths without reading the data, which
  takes about a second per 100,000 records.

  Raises:
    errors.UserError: nothing matches, a shard of NAME-00000-of-00010 is
      missing, a file is cut off or not a TFRecord file, or some are compressed
      and others not.
  """
  found = find(pattern) if pattern else []
  if not found:
    raise errors.UserError(
        f'no files match {pattern!r}: expected TFRecord shards as written by '
        f'data_prep.convert, for example /data/coco/train2017-*.tfrecord')
  check_complete(found)
  try:
    compression = record_bytes.common_compression(found)
  except tf.errors.OpError as error:
    raise errors.UserError(
        f'no records at {pattern!r}: {error.message}') from error
  counts = [_count_records(path, compression) for path in found]
  if 0 in counts and not any(counts):
    raise errors.UserError(
        f'the files matching {pattern!r} hold no records; convert the data '
        f'again')
  return RecordFiles(tuple(found), tuple(counts), compression)


def find(pattern: str) -> List[str]:
  """Returns the shards that a path or pattern stands for, sorted.

  If there are none, it looks for those that gzip has renamed (*.gz).

  Raises:
    errors.UserError: a remote folder cannot be listed, or a name is not UTF-8.
  """
  found = paths.matching(pattern) or paths.matching(f'{pattern}.gz')
  return [paths.require_utf8(path) for path in found]


def split_of(path: str) -> Optional[str]:
  """Returns NAME of .../NAME-00000-of-00010.tfrecord, None for other names."""
  match = _SHARD.match(os.path.basename(path))
  return match['stem'] if match else None


def check_complete(shards: Sequence[str]) -> None:
  """Raises a UserError if numbered shards are missing."""
  groups = {}
  for path in shards:
    match = _SHARD.match(os.path.basename(path))
    if match:
      key = (os.path.dirname(path), match['stem'], int(match['count']))
      groups.setdefault(key, set()).add(int(match['index']))
  counts = {}
  for (folder, stem, count), found in groups.items():
    other = counts.setdefault((folder, stem), count)
    if other != count:
      raise errors.UserError(
          f'{folder} holds shards of two conversions of {stem!r}, of {other} '
          f'and of {count}; delete one of them')
    missing = sorted(set(range(count)) - found)
    if missing:
      raise errors.UserError(
          f'{len(missing)} of {count} shards are missing in {folder}, the '
          f'first is {shard_name(stem, missing[0], count)}; copy or convert '
          f'the data again, or give a pattern for whole sets of shards')


def _count_records(path: str, compression: str) -> Optional[int]:
  """Returns the records in a file, None if it is remote or compressed."""
  size = tf.io.gfile.stat(path).length
  if '://' in path or compression:
    if size == 0:
      raise _cut_off(path, 0, 0)
    return None
  count = 0
  with open(path, 'rb') as file:
    for _, end in record_bytes.places(file):
      if end is None:
        raise _cut_off(path, count, size)
      count += 1
  return count


def _cut_off(path: str, count: int, size: int) -> errors.UserError:
  return errors.UserError(
      f'{path} is cut off after {count} whole records ({size} bytes), or is '
      f'not a TFRecord file; copy or convert it again')
