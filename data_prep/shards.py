"""Writing TFRecord shards so that a split is there completely or not at all."""

import json
import os
from typing import Any, Dict, Iterable, List

import tensorflow as tf

from axial_tf import errors
from axial_tf.data import dataset_spec, record_files

_RECORDS_PER_SHARD = 128


def default_num_shards(num_records: int) -> int:
  """One shard per 128 records, as DeepLab2's 1000 shards of COCO train."""
  return min(1000, max(1, num_records // _RECORDS_PER_SHARD))


def write_split(
    output_dir: str, split: str, spec: dataset_spec.DatasetSpec,
    serialized: Iterable[bytes], num_records: int, num_shards: int,
    counts: Dict[str, Any]) -> List[str]:
  """Writes one split and enters it into dataset_info.json.

  The shards get their names only after the last record is written, and
  dataset_info.json comes last. If anything fails before (including Ctrl-C),
  every file written, and the folder if it is new, is removed again.

  Args:
    output_dir: folder, made if absent; may hold other splits of the same spec.
    split: for example 'train'; an earlier conversion of it is replaced.
    spec: stored in dataset_info.json.
    serialized: the records, `num_records` of them.
    num_records: how many; shard k holds the k-th consecutive part.
    num_shards: how many files.
    counts: further entries for dataset_info.json; read after `serialized` is
      exhausted, so its values may be counted on the way.

  Returns:
    The paths of the shards.

  Raises:
    errors.UserError: `num_shards` is out of range, the folder holds another
      data set or cannot be written.
  """
  if not 1 <= num_shards <= num_records:
    raise errors.UserError(
        f'--num_shards: expected 1..{num_records} (the number of images), got '
        f'{num_shards}')
  info = read_info(output_dir, spec)
  existed = tf.io.gfile.isdir(output_dir)
  names = [record_files.shard_name(split, i, num_shards)
           for i in range(num_shards)]
  temporary = [os.path.join(output_dir, f'.{name}.tmp') for name in names]
  try:
    tf.io.gfile.makedirs(output_dir)
    _write(temporary, serialized, num_records)
  except BaseException as error:
    _remove(temporary)
    if not existed and tf.io.gfile.isdir(output_dir):
      tf.io.gfile.rmtree(output_dir)
    if isinstance(error, tf.errors.OpError):
      raise errors.UserError(
          f'cannot write to {output_dir}: {error.message}; check the '
          f'permissions and the free space') from error
    raise
  paths = [os.path.join(output_dir, name) for name in names]
  stale = set(tf.io.gfile.glob(
      os.path.join(output_dir, f'{split}-?????-of-?????.tfrecord')))
  if info['splits'].pop(split, None):
    _write_info(output_dir, info)
  for source, target in zip(temporary, paths):
    tf.io.gfile.rename(source, target, overwrite=True)
  _remove(stale - set(paths))
  info['splits'][split] = {
      'num_images': num_records, 'num_shards': num_shards, **counts}
  _write_info(output_dir, info)
  return paths


def read_info(output_dir: str, spec: dataset_spec.DatasetSpec) -> Dict:
  """Returns dataset_info.json of a folder, or a new one without splits.

  Raises:
    errors.UserError: it belongs to another spec or is not readable.
  """
  path = os.path.join(output_dir, record_files.DATASET_INFO)
  if not tf.io.gfile.exists(path):
    if tf.io.gfile.exists(output_dir) and not tf.io.gfile.isdir(output_dir):
      raise errors.UserError(
          f'{output_dir}: expected a folder, got a file; choose another '
          f'--output_dir')
    return {'spec': spec.to_json(), 'splits': {}}
  try:
    with tf.io.gfile.GFile(path) as file:
      info = json.loads(file.read())
    known = dataset_spec.DatasetSpec.from_json(info['spec'], source=path)
    splits = dict(info['splits'])
  except (tf.errors.OpError, KeyError, TypeError, ValueError) as error:
    raise errors.UserError(
        f'{path}: not a readable dataset_info.json; delete it or choose '
        f'another --output_dir') from error
  if not known.has_same_labels(spec) or known.name != spec.name:
    raise errors.UserError(
        f'{output_dir} already holds records of the data set {known.name!r} '
        f'with another spec; choose another --output_dir')
  return {'spec': spec.to_json(), 'splits': splits}


def _write(paths: List[str], serialized: Iterable[bytes], num_records: int):
  serialized = iter(serialized)
  written = 0
  for number, path in enumerate(paths, start=1):
    with tf.io.TFRecordWriter(path) as writer:
      for _ in range(num_records * number // len(paths) - written):
        writer.write(next(serialized))
        written += 1
  next(serialized, None)  # Lets a progress bar in the iterator finish.


def _write_info(output_dir: str, info: Dict) -> None:
  path = os.path.join(output_dir, record_files.DATASET_INFO)
  with tf.io.gfile.GFile(path + '.tmp', 'w') as file:
    file.write(json.dumps(info, indent=2) + '\n')
  tf.io.gfile.rename(path + '.tmp', path, overwrite=True)


def _remove(paths: Iterable[str]) -> None:
  for path in paths:
    if tf.io.gfile.exists(path):
      tf.io.gfile.remove(path)
