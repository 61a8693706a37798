"""Inspection: contents of records, and all faults that it reports."""

import dataclasses
import gzip
import json
import os
import shutil
import zlib

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.data.classification import records as classification_records
from axial_tf.data.panoptic import records
from axial_tf.panoptic import label_png
from axial_tf.specs import class_spec, dataset_spec
from data_prep import inspect
from tests import tools

_CAT, _GROUND, _VOID = 16, 0, 255 * 16


@pytest.fixture
def spec():
  return dataset_spec.DatasetSpec(
      'tiny', (dataset_spec.Category(100, 0, 'ground', False, (0, 90, 0)),
               dataset_spec.Category(30, 1, 'cat', True, (90, 0, 0))),
      label_divisor=16, ignore_label=255)


def _label():
  """Two cats of 4 and 2 pixels, a crowd of 3, and 4 pixels of void."""
  label = np.full([4, 6], _GROUND, np.int32)
  label[:2, :2] = _CAT + 1
  label[0, 3:5] = _CAT + 2
  label[2, :3] = _CAT
  label[3, :4] = _VOID
  return label


def _image(height=4, width=6):
  return label_png.encode(np.arange(height * width).reshape(height, width))


def _record(label, name='a.png'):
  return records.encode_panoptic_example(_image(), 'png', name, 4, 6, label)


def _raw_record(label):
  example = tf.train.Example.FromString(_record(None))
  feature = example.features.feature
  feature['image/segmentation/class/encoded'].bytes_list.value.append(
      label.astype('<i4').tobytes())
  feature['image/segmentation/class/format'].bytes_list.value.append(b'raw')
  return example.SerializeToString()


class _Folder:
  """Shards of one split, with the dataset_info.json of a conversion."""

  def __init__(self, root, spec):
    self.root, self.spec = root, spec

  def write(self, *shards, written=None):
    for number, shard in enumerate(shards):
      with tf.io.TFRecordWriter(str(self.shard(number, len(shards)))) as writer:
        for record in shard:
          writer.write(record)
    count = sum(map(len, shards)) if written is None else written
    (self.root / 'dataset_info.json').write_text(json.dumps({
        'spec': self.spec.to_json(),
        'splits': {'train': {'num_images': count}}}))

  def shard(self, number, count):
    return self.root / f'train-{number:05d}-of-{count:05d}.tfrecord'

  def inspect(self, **options):
    """Returns the JSON and the one line of a refusal, or None."""
    path = self.root / 'result.json'
    refusal = None
    try:
      inspect.run([str(self.root)], json_path=str(path), **options)
    except errors.UserError as error:
      refusal = str(error)
    content = json.loads(path.read_text())
    assert content['is_fit'] == (refusal is None)
    return content, refusal


@pytest.fixture
def folder(tmp_path, spec):
  return _Folder(tmp_path, spec)


@pytest.mark.parametrize('record', [_record, _raw_record])
def test_every_figure_of_good_records(folder, capsys, record):
  other = np.full([4, 6], _GROUND, np.int32)
  other[:3, :5] = _CAT + 1
  folder.write([record(_label()), record(other)], [record(_label())])
  content, refusal = folder.inspect()
  assert refusal is None
  assert (content['records'], content['shards'], content['faults']) == (
      3, 2, [])
  assert content['image_sizes'] == {
      'height': {'min': 4, 'median': 4, 'max': 4},
      'width': {'min': 6, 'median': 6, 'max': 6}}
  assert content['void_share'] == 8 / 72
  ground, cat = content['classes']
  assert ground == {
      'name': 'ground', 'train_id': 0, 'is_thing': False, 'pixels': 31,
      'pixel_share': 31 / 72, 'images': 3, 'segments': 3, 'crowds': 0,
      'instance_pixels': None}
  assert cat == {
      'name': 'cat', 'train_id': 1, 'is_thing': True, 'pixels': 33,
      'pixel_share': 33 / 72, 'images': 3, 'segments': 5, 'crowds': 2,
      'instance_pixels': {'min': 2, 'median': 4, 'max': 15}}
  printed = capsys.readouterr().out
  assert '3 records in 2 shards' in printed
  assert "fit for training with the spec 'tiny'" in printed
  assert '2 to 15, median 4' in printed


@pytest.mark.parametrize('compress', [gzip.compress, zlib.compress])
def test_compressed_shards(folder, compress):
  folder.write([_record(_label())] * 3, [_record(_label())])
  expected, _ = folder.inspect()
  for number in range(2):
    path = folder.shard(number, 2)
    path.write_bytes(compress(path.read_bytes()))
  assert folder.inspect() == (expected, None)
  shutil.move(path, f'{path}.gz')
  assert folder.inspect() == (expected, None)
  path = folder.shard(0, 2)
  path.write_bytes(path.read_bytes()[:-60])
  content, refusal = folder.inspect()
  assert 'records that cannot be read: 1' in refusal
  assert 'is damaged or cut off here' in content['faults'][0]['reason']


def test_a_damaged_record_is_named_and_the_others_are_read(folder):
  folder.write([_record(_label())] * 4, [_record(_label())] * 2)
  path = folder.shard(0, 2)
  content = bytearray(path.read_bytes())
  content[len(content) // 4 + 40] ^= 255  # Within the data of record 1.
  content[-30] ^= 255  # In record 3.
  path.write_bytes(bytes(content))
  content, refusal = folder.inspect()
  assert content['records'] == 4
  assert [(f['shard'], f['record']) for f in content['faults']] == [
      (str(path), 1), (str(path), 3)]
  assert all('checksum' in f['reason'] for f in content['faults'])
  assert refusal == ("not fit for training with the spec 'tiny': records that "
                     'cannot be read: 2')


def test_a_truncated_shard_is_read_up_to_the_cut(folder):
  folder.write([_record(_label())] * 3, [_record(_label())])
  path = folder.shard(0, 2)
  path.write_bytes(path.read_bytes()[:-7])
  content, refusal = folder.inspect()
  assert content['records'] == 3
  fault, = content['faults']
  assert (fault['shard'], fault['record']) == (str(path), 2)
  assert 'cut off' in fault['reason'] and 'cannot be read: 1' in refusal


@pytest.mark.parametrize('bad, reason', [
    (lambda: b'no example', 'cannot be decoded'),
    (lambda: records.encode_panoptic_example(
        b'no image', 'png', 'a.png', 4, 6, _label()), 'cannot be decoded'),
    (lambda: records.encode_panoptic_example(
        _image(5, 6), 'png', 'a.png', 4, 6, _label()), 'another size'),
], ids=['no example', 'no image', 'size'])
def test_undecodable_records_are_named(folder, bad, reason):
  folder.write([_record(_label()), bad(), _record(_label())])
  content, refusal = folder.inspect()
  assert content['records'] == 2 and refusal
  fault, = content['faults']
  assert fault['record'] == 1 and reason in fault['reason']


@pytest.mark.parametrize('label', [5 * 16, 3, 254 * 16 + 1], ids=str)
def test_labels_outside_the_spec(folder, label):
  """An unknown class, and stuff with an instance number."""
  wrong = _label()
  wrong[1, 5] = label
  folder.write([_record(_label()), _record(wrong)])
  content, refusal = folder.inspect()
  assert content['unknown_labels'] == [
      {'label': label, 'pixels': 1, 'images': 1}]
  assert f'the first is {label} ' in refusal
  assert content['classes'][1]['segments'] == 4


def test_records_without_label(folder):
  folder.write([_record(None), _record(_label())])
  content, refusal = folder.inspect()
  assert content['unlabeled_records'] == 1
  assert 'records without label: 1' in refusal


def test_records_of_another_spec(folder, spec, tmp_path):
  folder.write([_record(_label())])
  other = tmp_path / 'other.json'
  other.write_text(json.dumps(
      dataclasses.replace(spec, label_divisor=32).to_json()))
  _, refusal = folder.inspect(spec_name=str(other))
  assert "were made with the spec 'tiny'" in refusal


def test_missing_records_and_shards(folder):
  folder.write([_record(_label())], written=2)
  _, refusal = folder.inspect()
  assert "'train' has 1 records, but 2 were written" in refusal
  folder.shard(0, 1).rename(folder.shard(0, 2))
  _, refusal = folder.inspect()
  assert '1 of 2 shards are missing' in refusal


def test_pictures_show_records_from_the_whole_range(folder, tmp_path):
  wrong = _label()
  wrong[0, 0] = 77 * 16  # Is drawn nevertheless.
  folder.write([_record(_label()), _record(_label())],
               [_record(wrong), _record(_label())])
  pictures = tmp_path / 'pictures'
  folder.inspect(pictures=2, pictures_dir=str(pictures))
  assert sorted(os.listdir(pictures)) == [
      'train-00000-of-00002_record00000.png',
      'train-00001-of-00002_record00000.png']
  for name in os.listdir(pictures):
    picture = np.asarray(Image.open(pictures / name))
    # The legend below is as wide as its words.
    assert picture.shape[1] > 2 * 6 + 4 and picture.shape[0] > 4
    assert np.all(picture[:4, 2 * 6 + 4:] == 255)
    assert np.any(picture[:4, :6] != 255)


def test_classification_records(folder):
  folder.spec = class_spec.ClassSpec.from_ids('pets', ['cat', 'dog'], {})
  cat, dog = folder.spec.classes

  def record(image_class):
    return classification_records.encode_classification_example(
        _image(), 'png', 'a.png', 4, 6, image_class)

  folder.write([record(cat), record(dog), record(dog)])
  content, refusal = folder.inspect()
  assert refusal is None
  assert [c['images'] for c in content['classes']] == [1, 2]
  folder.write([record(None), record(dataclasses.replace(cat, label=7))])
  content, refusal = folder.inspect()
  assert 'records without label: 1' in refusal
  assert content['unknown_labels'] == [{'label': 7, 'images': 1}]


@pytest.mark.parametrize('make, options, message', [
    (lambda path: None, {}, 'expected a TFRecord file'),
    (lambda path: (path / 'a.tfrecord').write_bytes(b''), {},
     '--spec is missing'),
    (lambda path: (path / 'a.tfrecord').write_bytes(b''),
     {'spec_name': 'coco'}, 'no readable record'),
    (lambda path: (path / 'a.tfrecord').write_text('no records'),
     {'spec_name': 'coco'}, 'cannot be read: 1; there is no readable record'),
    (lambda path: (path / 'a.tfrecord').write_text('no records'),
     {'spec_name': 'absent'}, 'expected a shipped name'),
], ids=['nothing', 'no spec', 'empty', 'text', 'unknown spec'])
def test_nothing_to_inspect(tmp_path, make, options, message):
  make(tmp_path)
  with pytest.raises(errors.UserError, match=message):
    inspect.run([str(tmp_path)], **options)


@pytest.mark.parametrize('content', ['[1]', '', '{"classes": 3}'])
def test_a_bad_spec_file_is_named(tmp_path, content):
  (tmp_path / 'a.tfrecord').write_bytes(b'')
  path = tmp_path / 'spec.json'
  path.write_text(content)
  with pytest.raises(errors.UserError, match=r'spec\.json'):
    inspect.run([str(tmp_path)], spec_name=str(path))


def test_as_a_command(folder):
  folder.write([_record(_label())], [_record(None)])

  def command(*arguments):
    return tools.run('data_prep.inspect', *arguments)

  done = command(str(folder.shard(0, 2)), str(folder.shard(1, 2)))
  assert done.returncode == 1
  assert done.stderr.splitlines()[-1] == (
      "error: not fit for training with the spec 'tiny': records without "
      'label: 1')
  assert '2 records in 2 shards' in done.stdout
  folder.write([_record(_label())])
  done = command(str(folder.shard(0, 1)), '--spec',
                 str(folder.root / 'dataset_info.json'))
  assert done.returncode == 0, done.stderr
  done = command(str(folder.root), '--pictures=3')
  assert done.returncode == 1 and done.stderr.count('\n') == 1
