"""Shards that are missing, cut off or damaged are found and named."""

import pathlib

import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.data.common import record_files


@pytest.fixture
def shards(write_shards, examples):
  serialized = [example[2] for example in examples]
  pattern = write_shards(serialized[:4], serialized[4:])
  return pattern, sorted(pathlib.Path(pattern).parent.glob('train-*'))


def test_counts_the_records(shards):
  pattern, paths = shards
  found = record_files.verify_shards(pattern)
  assert found.num_records == 9
  assert found.paths == tuple(map(str, paths))
  assert [p.name for p in paths] == [
      'train-00000-of-00002.tfrecord', 'train-00001-of-00002.tfrecord']


def test_every_cut_is_found(shards):
  """Wherever a shard is cut, except exactly between two records.

  That case is found by the number of records in dataset_info.json.
  """
  pattern, paths = shards
  whole = paths[1].read_bytes()
  boundaries, position = set(), 0
  for record in tf.data.TFRecordDataset(str(paths[1])).as_numpy_iterator():
    boundaries.add(position)
    position += len(record) + 16
  boundaries.add(position)
  assert position == len(whole)
  near = {b + d for b in boundaries for d in (-1, 0, 1, 12)}
  for length in sorted(near.intersection(range(len(whole)))):
    paths[1].write_bytes(whole[:length])
    if length in boundaries:
      record_files.verify_shards(pattern)
    else:
      with pytest.raises(errors.UserError, match='00001-of.*is cut off'):
        record_files.verify_shards(pattern)


def test_a_missing_shard_is_named(shards):
  pattern, paths = shards
  paths[0].unlink()
  with pytest.raises(
      errors.UserError,
      match='1 of 2 shards are missing.*train-00000-of-00002.tfrecord'):
    record_files.verify_shards(pattern)


def test_two_conversions_in_one_folder_are_refused(shards):
  pattern, paths = shards
  (paths[0].parent / 'train-00000-of-00001.tfrecord').write_bytes(
      paths[0].read_bytes())
  with pytest.raises(errors.UserError, match='two conversions'):
    record_files.verify_shards(pattern)


@pytest.mark.parametrize('pattern', ['', 'nothing-*.tfrecord'])
def test_a_pattern_without_files(tmp_path, pattern):
  full = str(tmp_path / pattern) if pattern else ''
  with pytest.raises(errors.UserError, match='no files match'):
    record_files.verify_shards(full)


def test_other_files_are_refused(tmp_path):
  path = tmp_path / 'notes.txt'
  path.write_text('these are my notes, and no records')
  with pytest.raises(errors.UserError, match='notes.txt.*not a TFRecord file'):
    record_files.verify_shards(str(path))


def test_empty_shards_are_allowed_only_next_to_full_ones(
    write_shards, examples):
  assert record_files.verify_shards(
      write_shards([], [examples[0][2]])).num_records == 1
  with pytest.raises(errors.UserError, match='hold no records'):
    record_files.verify_shards(write_shards([], [], name='other'))


def test_a_folder_named_like_a_pattern(shards):
  pattern, files = shards
  folder = files[0].parent / 'a[1] *?'
  folder.mkdir()
  for file in files:
    file.rename(folder / file.name)
  found = record_files.verify_shards(f'{folder}/{pathlib.Path(pattern).name}')
  assert found.num_records == 9
  found = record_files.verify_shards(record_files.shard_pattern(
      str(folder), 'train'))
  assert found.paths == tuple(str(folder / file.name) for file in files)
