"""A split is written completely or not at all."""

import dataclasses
import json

import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.data import dataset_spec
from data_prep import shards


def _records(count, start=0):
  return [f'record {i}'.encode() for i in range(start, start + count)]


def _write(output_dir, spec, records, num_shards, split='val', counts=None):
  return shards.write_split(
      str(output_dir), split, spec, iter(records), len(records), num_shards,
      counts or {})


def _read(paths):
  return [list(tf.data.TFRecordDataset(p).as_numpy_iterator()) for p in paths]


def _failing(records):
  yield from records
  raise errors.UserError('the last image is damaged')


@pytest.mark.parametrize('count, num_shards', [(7, 3), (3, 3), (1, 1), (9, 2)])
def test_records_keep_their_order_over_even_shards(
    tmp_path, tiny_spec, count, num_shards):
  paths = _write(tmp_path / 'out', tiny_spec, _records(count), num_shards)
  contents = _read(paths)
  assert sum(contents, []) == _records(count)
  sizes = [len(content) for content in contents]
  assert max(sizes) - min(sizes) <= 1
  assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == [
      'dataset_info.json',
      *(f'val-{i:05d}-of-{num_shards:05d}.tfrecord'
        for i in range(num_shards))]


def test_dataset_info_describes_all_splits(tmp_path, tiny_spec):
  _write(tmp_path, tiny_spec, _records(4), 2, 'train', {'num_crowds': 5})
  _write(tmp_path, tiny_spec, _records(3), 1, 'val')
  info = json.loads((tmp_path / 'dataset_info.json').read_text())
  assert info['splits'] == {
      'train': {'num_images': 4, 'num_shards': 2, 'num_crowds': 5},
      'val': {'num_images': 3, 'num_shards': 1}}
  assert dataset_spec.DatasetSpec.from_json(info['spec']) == tiny_spec


def test_converting_again_replaces_the_split(tmp_path, tiny_spec):
  _write(tmp_path, tiny_spec, _records(6), 3)
  _write(tmp_path, tiny_spec, _records(5), 1, 'val2')
  _write(tmp_path, tiny_spec, _records(4, start=50), 2)
  names = sorted(p.name for p in tmp_path.glob('val-*'))
  assert names == ['val-00000-of-00002.tfrecord', 'val-00001-of-00002.tfrecord']
  assert sum(_read(tmp_path / name for name in names), []) == _records(4, 50)
  info = json.loads((tmp_path / 'dataset_info.json').read_text())
  assert info['splits']['val']['num_images'] == 4
  assert info['splits']['val2']['num_images'] == 5


class TestFailure:

  def test_leaves_no_new_folder(self, tmp_path, tiny_spec):
    with pytest.raises(errors.UserError, match='last image'):
      shards.write_split(
          str(tmp_path / 'out'), 'val', tiny_spec, _failing(_records(2)), 3, 3,
          {})
    assert not (tmp_path / 'out').exists()

  def test_leaves_a_folder_as_it_was(self, tmp_path, tiny_spec):
    _write(tmp_path, tiny_spec, _records(6), 2)
    (tmp_path / 'notes.txt').write_text('mine')
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    for error in (errors.UserError, KeyboardInterrupt):

      def failing(error=error):
        yield from _records(2)
        raise error('stop')

      with pytest.raises(error):
        shards.write_split(
            str(tmp_path), 'val', tiny_spec, failing(), 3, 3, {})
      assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before

  @pytest.mark.parametrize('num_shards', [0, 4, -1])
  def test_number_of_shards(self, tmp_path, tiny_spec, num_shards):
    with pytest.raises(errors.UserError, match='num_shards: expected 1..3'):
      _write(tmp_path / 'out', tiny_spec, _records(3), num_shards)
    assert not (tmp_path / 'out').exists()

  def test_output_is_a_file(self, tmp_path, tiny_spec):
    path = tmp_path / 'file'
    path.write_text('mine')
    with pytest.raises(errors.UserError, match='expected a folder, got a file'):
      _write(path, tiny_spec, _records(1), 1)
    with pytest.raises(errors.UserError, match='cannot write to'):
      _write(path / 'below', tiny_spec, _records(1), 1)
    assert path.read_text() == 'mine'

  def test_folder_of_another_data_set(self, tmp_path, tiny_spec):
    _write(tmp_path, tiny_spec, _records(2), 1)
    other = dataclasses.replace(tiny_spec, label_divisor=20)
    with pytest.raises(errors.UserError, match="already holds.*'tiny'"):
      _write(tmp_path, other, _records(2), 1, 'train')

  def test_unreadable_dataset_info(self, tmp_path, tiny_spec):
    (tmp_path / 'dataset_info.json').write_text('{"spec": ')
    with pytest.raises(errors.UserError, match='dataset_info.json: not a read'):
      _write(tmp_path, tiny_spec, _records(2), 1)


@pytest.mark.parametrize('count, expected', [
    (1, 1), (127, 1), (367, 2), (5000, 39), (118287, 924), (10**6, 1000)])
def test_default_number_of_shards(count, expected):
  assert shards.default_num_shards(count) == expected
