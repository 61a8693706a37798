"""Records of another spec and damaged ones end in one clear line."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.data import reading_errors
from axial_tf.data.common import record_checks, record_files
from axial_tf.data.panoptic import records


def _encode(panoptic, image_bytes=None):
  image_bytes = image_bytes or tf.io.encode_png(
      np.zeros([*panoptic.shape, 3], np.uint8)).numpy()
  return records.encode_panoptic_example(
      image_bytes, 'png', 'a.png', *panoptic.shape, panoptic)


def _files(pattern):
  return record_files.verify_shards(pattern)


class TestCheckSpec:

  def test_accepts_its_own_records(self, write_shards, examples, tiny_spec):
    record_checks.check_spec(
        _files(write_shards([], [examples[0][2]])), tiny_spec, records.SCHEMA)

  def test_refuses_an_unknown_train_id(self, write_shards, tiny_spec):
    pattern = write_shards([_encode(np.array([[0, 35, 90]], np.int32))])
    with pytest.raises(errors.UserError, match="train id 3,.*'tiny'"):
      record_checks.check_spec(_files(pattern), tiny_spec, records.SCHEMA)

  def test_refuses_records_without_label(self, write_shards, tiny_spec):
    image = tf.io.encode_png(np.zeros([2, 3, 3], np.uint8)).numpy()
    pattern = write_shards([records.encode_panoptic_example(
        image, 'png', 'a.png', 2, 3, None)])
    with pytest.raises(errors.UserError, match='has no label'):
      record_checks.check_spec(_files(pattern), tiny_spec, records.SCHEMA)

  def test_compares_dataset_info(self, write_shards, examples, tiny_spec):
    pattern = write_shards([examples[0][2]])
    info = pathlib.Path(pattern).parent / 'dataset_info.json'
    info.write_text(json.dumps({'spec': tiny_spec.to_json(), 'splits': {}}))
    same_labels = dataclasses.replace(
        tiny_spec, name='other', merging={'stuff_area_limit': 1})
    record_checks.check_spec(_files(pattern), same_labels, records.SCHEMA)
    with pytest.raises(errors.UserError, match='label_divisor 10.*100'):
      record_checks.check_spec(
          _files(pattern), dataclasses.replace(tiny_spec, label_divisor=100),
          records.SCHEMA)

  def test_a_cut_between_two_records_is_found(
      self, write_shards, examples, tiny_spec):
    pattern = write_shards([example[2] for example in examples[:4]])
    info = pathlib.Path(pattern).parent / 'dataset_info.json'
    info.write_text(json.dumps({
        'spec': tiny_spec.to_json(), 'splits': {'train': {'num_images': 4}}}))
    record_checks.check_spec(_files(pattern), tiny_spec, records.SCHEMA)
    pattern = write_shards([example[2] for example in examples[:3]])
    with pytest.raises(errors.UserError, match='hold 3 records, but 4'):
      record_checks.check_spec(_files(pattern), tiny_spec, records.SCHEMA)

  def test_an_unreadable_dataset_info(self, write_shards, examples, tiny_spec):
    pattern = write_shards([examples[0][2]])
    (pathlib.Path(pattern).parent / 'dataset_info.json').write_text('{"spec"')
    with pytest.raises(errors.UserError, match='dataset_info.json: not a read'):
      record_checks.check_spec(_files(pattern), tiny_spec, records.SCHEMA)

  def test_an_undecodable_first_record_is_named(self, write_shards, tiny_spec):
    pattern = write_shards([_encode(np.zeros([2, 3], np.int32), b'nothing')])
    with pytest.raises(errors.UserError, match='00000-of-00001.*record 0'):
      record_checks.check_spec(_files(pattern), tiny_spec, records.SCHEMA)


class TestReadingErrors:

  def _read(self, pattern):
    with reading_errors.reading_errors(None, pattern):
      for _ in tf.data.TFRecordDataset(tf.io.gfile.glob(pattern)).map(
          records.decode_panoptic_example):
        pass

  def test_a_damaged_byte_names_shard_and_record(self, write_shards, examples):
    serialized = [example[2] for example in examples]
    pattern = write_shards(serialized[:3], serialized[3:])
    path = next(pathlib.Path(pattern).parent.glob('*-00001-of*'))
    content = bytearray(path.read_bytes())
    content[len(serialized[3]) + 16 + 40] ^= 1  # within its second record
    path.write_bytes(bytes(content))
    with pytest.raises(
        errors.UserError, match='00001-of-00002.*damaged after 1 records'):
      self._read(pattern)

  def test_an_undecodable_record_is_named(self, write_shards, examples):
    pattern = write_shards(
        [examples[0][2]],
        [examples[1][2], _encode(np.zeros([2, 3], np.int32), b'nothing')])
    with pytest.raises(
        errors.UserError, match='00001-of-00002.*record 1 cannot') as error:
      self._read(pattern)
    assert '\n' not in str(error.value)

  def test_other_errors_pass(self):
    with pytest.raises(tf.errors.InvalidArgumentError):
      with reading_errors.reading_errors('nothing-*'):
        tf.reshape(tf.zeros([3]), [2])
    with pytest.raises(KeyError):
      with reading_errors.reading_errors('nothing-*'):
        raise KeyError('x')
