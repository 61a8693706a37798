"""Compressed TFRecords are detected from their bytes, and read like others."""

import dataclasses
import gzip
import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.data import reading_errors
from axial_tf.data.common import (
  reading,
  record_bytes,
  record_checks,
  record_files,
)
from axial_tf.data.panoptic import augmentation, records
from axial_tf.data.panoptic import pipeline as panoptic_pipeline


def _write(path, contents, compression=''):
  with tf.io.TFRecordWriter(str(path), compression) as writer:
    for content in contents:
      writer.write(content)


@pytest.mark.parametrize('compression', ['', 'GZIP', 'ZLIB'])
@pytest.mark.parametrize('contents', [[b''], [b'abc'], [b'x' * 70_000] * 3])
def test_the_bytes_show_the_compression(tmp_path, compression, contents):
  path = tmp_path / 'a.tfrecord'
  _write(path, contents, compression)
  assert record_bytes.compression_of(str(path)) == compression
  assert list(tf.data.TFRecordDataset(
      str(path), compression).as_numpy_iterator()) == contents


@pytest.mark.parametrize('compress, expected', [
    (gzip.compress, 'GZIP')] + [
    (lambda b, level=level: zlib.compress(b, level), 'ZLIB')
    for level in (1, 5, 6, 9)])
def test_files_compressed_by_other_tools(tmp_path, compress, expected):
  _write(tmp_path / 'a', [b'abc'])
  (tmp_path / 'b').write_bytes(compress((tmp_path / 'a').read_bytes()))
  assert record_bytes.compression_of(str(tmp_path / 'b')) == expected


@pytest.mark.parametrize('length', [0x088b1f, 0x9c78, 0xda78, 0x0178])
def test_a_length_that_looks_like_a_magic_number(tmp_path, length):
  """A record of just this length begins with the bytes of a magic number."""
  path = tmp_path / 'a.tfrecord'
  _write(path, [bytes(length)])
  assert path.read_bytes()[:2] in (
      b'\x1f\x8b', b'\x78\x9c', b'\x78\xda', b'\x78\x01')
  assert record_bytes.compression_of(str(path)) == ''


@pytest.mark.parametrize('content', [b'', b'\x1f', b'no records at all'])
def test_other_files_count_as_not_compressed(tmp_path, content):
  (tmp_path / 'a').write_bytes(content)
  assert record_bytes.compression_of(str(tmp_path / 'a')) == ''


@pytest.mark.parametrize('opened', ['file', 'gfile', 'bytes'])
def test_places_of_records_in_a_file(tmp_path, opened):
  path = tmp_path / 'a.tfrecord'
  _write(path, [b'abc', b'', b'x' * 100])
  content = path.read_bytes()
  for cut, expected in (
      (0, [(0, 19), (19, 35), (35, 151)]), (1, [(0, 19), (19, 35), (35, None)]),
      (110, [(0, 19), (19, 35), (35, None)])):
    path.write_bytes(content[:len(content) - cut])
    file = {'file': lambda: open(path, 'rb'),
            'gfile': lambda: tf.io.gfile.GFile(str(path), 'rb'),
            'bytes': lambda: io.BytesIO(path.read_bytes())}[opened]()
    with file:
      assert list(record_bytes.places(file)) == expected
  path.write_bytes(struct.pack('<Q', 2**63) + bytes(20))
  with open(path, 'rb') as file:
    assert list(record_bytes.places(file)) == [(0, None)]


def _compress(pattern, how):
  """Compresses shards where they are; returns their paths."""
  paths = sorted(tf.io.gfile.glob(pattern))
  for path in paths:
    with open(path, 'rb') as file:
      content = file.read()
    with open(path, 'wb') as file:
      file.write((gzip if how == 'GZIP' else zlib).compress(content))
  return paths


@pytest.fixture
def shards(write_shards, examples):
  """The pattern of two shards."""
  serialized = [example[2] for example in examples]
  return write_shards(serialized[:5], serialized[5:])


@pytest.mark.parametrize('how', ['GZIP', 'ZLIB'])
def test_compressed_shards_are_read(shards, tiny_spec, how):

  def read():
    source = reading.open_records(shards, tiny_spec, records.SCHEMA)
    return [list(dataset.as_numpy_iterator()) for dataset in (
        source.read_in_order(None), source.read(None, 3))]

  plain = read()
  assert [len(elements) for elements in plain] == [9, 9]
  _compress(shards, how)
  tf.nest.map_structure(np.testing.assert_array_equal, plain, read())


def test_pipelines_read_compressed_shards(shards, tiny_spec):
  settings = panoptic_pipeline.PanopticDataSettings(
      train_pattern=shards, validation_pattern=shards, shuffle_buffer=4,
      augmentation=augmentation.AugmentationSettings(crop_size=(14, 16)))

  def read():
    return list(panoptic_pipeline.validation_dataset(
        settings, tiny_spec, 1).as_numpy_iterator())

  plain = read()
  assert len(plain) == 9
  _compress(shards, 'GZIP')
  tf.nest.map_structure(np.testing.assert_array_equal, plain, read())
  # Their order differs, since it is drawn without knowing how many there are.
  train = panoptic_pipeline.train_dataset(settings, tiny_spec, 9, seed=3)
  assert len(list(train.take(2))) == 2


def test_gzip_may_have_renamed_the_shards(shards):
  for path in _compress(shards, 'GZIP'):
    tf.io.gfile.rename(path, path + '.gz')
  found = record_files.verify_shards(shards)
  assert found.compression == 'GZIP' and found.num_records is None
  assert all(path.endswith('.gz') for path in found.paths)


@pytest.mark.parametrize('how', ['GZIP', 'ZLIB'])
def test_damaged_compressed_shards_are_named(shards, tiny_spec, how):
  path = _compress(shards, how)[0]
  with open(path, 'rb') as file:
    content = bytearray(file.read())
  content[len(content) // 2] ^= 255
  with open(path, 'wb') as file:
    file.write(content)
  settings = panoptic_pipeline.PanopticDataSettings(validation_pattern=shards)
  with pytest.raises(errors.UserError, match=f'{path} is damaged after'):
    with reading_errors.reading_errors(shards):
      list(panoptic_pipeline.validation_dataset(settings, tiny_spec, 1))
  with open(path, 'wb') as file:
    file.write(content[:11])
  paths = record_files.verify_shards(shards)
  alone = dataclasses.replace(paths, paths=paths.paths[:1], counts=(None,))
  with pytest.raises(errors.UserError, match='no record can be read from it'):
    record_checks.check_spec(alone, tiny_spec, records.SCHEMA)


def test_shards_with_different_compression_are_refused(shards):
  paths = sorted(tf.io.gfile.glob(shards))
  _compress(paths[1], 'ZLIB')
  with pytest.raises(errors.UserError, match=(
      f'{paths[1]} is compressed by ZLIB, but {paths[0]} is not compressed')):
    record_files.verify_shards(shards)
