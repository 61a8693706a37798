"""Shards are whole or absent, and a stopped conversion can be resumed."""

import contextlib
import dataclasses
import functools
import json
import os
import signal
import subprocess
import sys
import time

from hypothesis import given
from hypothesis import strategies as st
import pytest
import tensorflow as tf

from axial_tf import errors, version
from axial_tf.specs import dataset_spec
from data_prep.engine import conversion, jobs, local_conversion
from data_prep.readers import splits
from tests import tools


@dataclasses.dataclass(frozen=True)
class Item:
  """An image that is only a name; 'bad' ones are faulty."""

  filename: str
  image_path: str = ''


def _serialize(name):
  """A record with a picture of one pixel."""
  pixel = tf.io.encode_png(tf.zeros([1, 1, 3], tf.uint8)).numpy()
  features = {
      'image/filename': tf.train.Feature(
          bytes_list=tf.train.BytesList(value=[name.encode()])),
      'image/encoded': tf.train.Feature(
          bytes_list=tf.train.BytesList(value=[pixel])),
      **{f'image/{side}': tf.train.Feature(
          int64_list=tf.train.Int64List(value=[1]))
         for side in ('height', 'width')}}
  return tf.train.Example(features=tf.train.Features(
      feature=features)).SerializeToString(deterministic=True)


def _encode(item, calls=None, stop_at=None):
  if calls is not None:
    calls.append(item.filename)
  if item.filename == stop_at:
    raise KeyboardInterrupt
  if item.filename.startswith('bad'):
    raise errors.UserError(f'{item.filename}: is bad')
  return splits.Encoded(_serialize(item.filename), {'images': {0: 1}})


def _job(output_dir, spec, names, num_shards, encode=_encode, split='val',
         **options):
  return jobs.Job(
      splits.Split(split, spec, [
          name if isinstance(name, Item) else Item(name) for name in names],
          encode, split == 'train'),
      str(output_dir), num_shards, {'dataset': 'x'}, options)


def _convert(job, max_errors=0):
  return conversion.convert(job, max_errors, functools.partial(
      local_conversion.make_shards, processes=1))


def _names(count):
  return [f'image{i}' for i in range(count)]


def _read(folder, split='val'):
  """Lists of the file names in the records of each shard."""
  return [[
      tf.train.Example.FromString(record).features.feature[
          'image/filename'].bytes_list.value[0].decode()
      for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()]
          for path in sorted(folder.glob(f'{split}-*.tfrecord'))]


def _files(folder):
  return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


@pytest.mark.parametrize('count, num_shards', [(7, 3), (3, 3), (1, 1), (9, 2)])
def test_records_keep_their_order_over_even_shards(
    tmp_path, tiny_spec, count, num_shards):
  _convert(_job(tmp_path / 'out', tiny_spec, _names(count), num_shards))
  contents = _read(tmp_path / 'out')
  assert sum(contents, []) == _names(count)
  sizes = [len(content) for content in contents]
  assert max(sizes) - min(sizes) <= 1
  assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == [
      'dataset_info.json',
      *(f'val-{i:05d}-of-{num_shards:05d}.tfrecord'
        for i in range(num_shards))]


@given(count=st.integers(1, 400), data=st.data())
def test_the_plan_holds_each_image_once(count, data):
  num_shards = data.draw(st.integers(1, count))
  split = splits.Split('train', None, range(count), _encode, True)
  job = jobs.Job(split, 'out', num_shards, {}, {})
  parts = [job.shard_images(i) for i in range(num_shards)]
  assert sorted(image for part in parts for image in part) == list(range(count))
  assert {len(part) for part in parts} <= {
      count // num_shards, -(-count // num_shards)}


def test_dataset_info_describes_all_splits(tmp_path, tiny_spec):
  _convert(_job(tmp_path, tiny_spec, _names(4), 2, split='train'))
  _convert(_job(tmp_path, tiny_spec, _names(3), 1))
  info = json.loads((tmp_path / 'dataset_info.json').read_text())
  assert dataset_spec.DatasetSpec.from_json(info['spec']) == tiny_spec
  assert {split: (entry['num_images'], entry['num_shards'])
          for split, entry in info['splits'].items()} == {
              'train': (4, 2), 'val': (3, 1)}
  entry = info['splits']['train']
  assert entry['tool'] == f'axial_tf {version.__version__}'
  assert entry['counts'] == {'images': {'0': 4}}
  for shard in entry['shards']:
    assert (tmp_path / shard['name']).stat().st_size == shard['num_bytes']
    assert shard['num_images'] == 2


def test_converting_other_images_replaces_the_split(tmp_path, tiny_spec):
  _convert(_job(tmp_path, tiny_spec, _names(6), 3))
  _convert(_job(tmp_path, tiny_spec, _names(5), 1, split='val2'))
  _convert(_job(tmp_path, tiny_spec, ['x', 'y'], 2))
  assert _read(tmp_path) == [['x'], ['y']]
  info = json.loads((tmp_path / 'dataset_info.json').read_text())
  assert info['splits']['val']['num_images'] == 2
  assert info['splits']['val2']['num_images'] == 5


class TestResuming:

  def _stop(self, folder, spec, names, num_shards, stop_at, **options):
    with pytest.raises(KeyboardInterrupt):
      _convert(_job(folder, spec, names, num_shards,
                    functools.partial(_encode, stop_at=stop_at), **options))

  def test_finished_shards_are_kept(self, tmp_path, tiny_spec, capsys):
    self._stop(tmp_path / 'out', tiny_spec, _names(6), 3, 'image5')
    assert not (tmp_path / 'out' / 'dataset_info.json').exists()
    calls = []
    _convert(_job(tmp_path / 'out', tiny_spec, _names(6), 3,
                  functools.partial(_encode, calls=calls)))
    assert calls == ['image4', 'image5']
    assert '2 of 3 shards of val are finished' in capsys.readouterr().err
    _convert(_job(tmp_path / 'whole', tiny_spec, _names(6), 3))
    assert _files(tmp_path / 'out') == _files(tmp_path / 'whole')

  def test_finished_conversions_are_not_touched(self, tmp_path, tiny_spec):
    _convert(_job(tmp_path, tiny_spec, _names(4), 2))
    before = _files(tmp_path)
    calls = []
    job = _job(tmp_path, tiny_spec, _names(4), 2,
               functools.partial(_encode, calls=calls))
    assert _convert(job)['num_images'] == 4
    assert not calls
    path = tmp_path / 'val-00001-of-00002.tfrecord'
    path.write_bytes(path.read_bytes()[:-1] + b'x')
    _convert(job)
    assert calls
    assert _files(tmp_path) == before

  @pytest.mark.parametrize('damage', [
      lambda path: path.unlink(),
      lambda path: path.write_bytes(path.read_bytes()[:-1]),
      lambda path: path.write_bytes(path.read_bytes()[:-1] + b'x'),
      lambda path: path.with_name(f'.{path.name}.report.json').unlink(),
      lambda path: path.with_name(
          f'.{path.name}.report.json').write_text('{"name": 3}'),
  ])
  def test_no_damaged_shard_is_kept(self, tmp_path, tiny_spec, damage):
    self._stop(tmp_path / 'out', tiny_spec, _names(4), 2, 'image3')
    damage(tmp_path / 'out' / 'val-00000-of-00002.tfrecord')
    _convert(_job(tmp_path / 'out', tiny_spec, _names(4), 2))
    _convert(_job(tmp_path / 'whole', tiny_spec, _names(4), 2))
    assert _files(tmp_path / 'out') == _files(tmp_path / 'whole')

  @pytest.mark.parametrize('change', ['options', 'names', 'file', 'spec'])
  def test_shards_of_another_job_are_replaced(
      self, tmp_path, tiny_spec, capsys, change):
    source, out = tmp_path / 'source', tmp_path / 'out'
    source.write_text('old')
    items = [Item('a', str(source)), Item('b', str(source))]
    self._stop(out, tiny_spec, items, 2, 'b', crowds='keep')
    options, spec = {'crowds': 'keep'}, tiny_spec
    if change == 'options':
      options = {'crowds': 'ignore'}
    elif change == 'names':
      items = [Item('c', str(source)), items[1]]
    elif change == 'spec':
      spec = dataclasses.replace(spec, label_divisor=11)
    else:
      source.write_text('newer')
    calls = []
    _convert(_job(out, spec, items, 2,
                  functools.partial(_encode, calls=calls), **options))
    assert calls == [item.filename for item in items]
    assert 'replacing 1 shards of an unfinished' in capsys.readouterr().err

  @pytest.mark.parametrize('calls_before_kill', range(12))
  def test_killed_while_publishing(
      self, tmp_path, tiny_spec, monkeypatch, calls_before_kill):
    """At whichever step of the file system: the next attempt repairs it."""
    _convert(_job(tmp_path / 'whole', tiny_spec, _names(5), 2))
    out = tmp_path / 'out'
    _convert(_job(out, tiny_spec, ['old1', 'old2', 'old3'], 3))
    done = []

    class Killed(BaseException):
      """Nothing in the code under test handles it."""

    def fail_later(function):
      def call(*arguments, **options):
        if len(done) >= calls_before_kill:
          raise Killed
        done.append(function)
        return function(*arguments, **options)
      return call

    with monkeypatch.context() as patch, contextlib.suppress(Killed):
      def make_shards(*arguments):
        local_conversion.make_shards(*arguments, processes=1)
        for name in ('rename', 'remove', 'rmtree'):
          patch.setattr(tf.io.gfile, name, fail_later(
              getattr(tf.io.gfile, name)))
      conversion.convert(
          _job(out, tiny_spec, _names(5), 2), 0, make_shards)
    _convert(_job(out, tiny_spec, _names(5), 2))
    assert _files(out) == _files(tmp_path / 'whole')
    assert not [p for p in out.iterdir() if p.is_dir()]


class TestFaults:

  def test_the_first_one_ends_the_conversion(self, tmp_path, tiny_spec):
    with pytest.raises(errors.UserError, match='bad1: is bad$'):
      _convert(_job(tmp_path / 'out', tiny_spec, ['bad1', 'bad2', 'x'], 1))
    assert not (tmp_path / 'out').exists()

  def test_skipped_ones_are_listed(self, tmp_path, tiny_spec):
    names = ['a', 'bad1', 'b', 'c', 'bad2', 'd']
    entry = _convert(_job(tmp_path, tiny_spec, names, 2), max_errors=2)
    assert entry['num_images'] == 4
    assert _read(tmp_path) == [['a', 'b'], ['c', 'd']]
    skipped = [{'filename': f'bad{i}', 'reason': f'bad{i}: is bad'}
               for i in (1, 2)]
    assert entry['skipped'] == skipped
    assert json.loads((tmp_path / 'skipped_val.json').read_text()) == skipped
    with pytest.raises(errors.UserError, match='bad1: is bad'):
      _convert(_job(tmp_path, tiny_spec, names, 2))
    _convert(_job(tmp_path, tiny_spec, ['a', 'b'], 2))
    assert not (tmp_path / 'skipped_val.json').exists()

  def test_one_too_many(self, tmp_path, tiny_spec):
    names = ['a', 'bad1', 'b', 'bad2', 'c', 'bad3']
    with pytest.raises(errors.UserError, match='more than 2.*bad3: is bad'):
      _convert(_job(tmp_path, tiny_spec, names, 3), max_errors=2)
    assert len(json.loads((tmp_path / 'skipped_val.json').read_text())) == 3
    assert not (tmp_path / 'dataset_info.json').exists()
    # Those of finished shards count again.
    with pytest.raises(errors.UserError, match='more than 1 '):
      _convert(_job(tmp_path, tiny_spec, names, 3), max_errors=1)
    assert _convert(
        _job(tmp_path, tiny_spec, names, 3), max_errors=3)['num_images'] == 3

  def test_nothing_but_faults(self, tmp_path, tiny_spec):
    with pytest.raises(errors.UserError, match='no image of val could be'):
      _convert(_job(tmp_path, tiny_spec, ['bad'], 1), max_errors=5)


class TestFolder:

  def test_is_a_file(self, tmp_path, tiny_spec):
    path = tmp_path / 'file'
    path.write_text('mine')
    with pytest.raises(errors.UserError, match='expected a folder, got a file'):
      _convert(_job(path, tiny_spec, _names(1), 1))
    with pytest.raises(errors.UserError, match='cannot write to'):
      _convert(_job(path / 'below', tiny_spec, _names(1), 1))
    assert path.read_text() == 'mine'

  def test_of_another_data_set(self, tmp_path, tiny_spec):
    _convert(_job(tmp_path, tiny_spec, _names(2), 1))
    other = dataclasses.replace(tiny_spec, label_divisor=20)
    with pytest.raises(errors.UserError, match="already contains.*'tiny'"):
      _convert(_job(tmp_path, other, _names(2), 1, split='train'))

  def test_with_an_unreadable_dataset_info(self, tmp_path, tiny_spec):
    (tmp_path / 'dataset_info.json').write_text('{"spec": ')
    with pytest.raises(errors.UserError, match='dataset_info.json: not a read'):
      _convert(_job(tmp_path, tiny_spec, _names(2), 1))

  def test_on_a_full_disk(self, tmp_path, tiny_spec):
    """/dev/full takes no byte."""
    if not os.path.exists('/dev/full'):
      pytest.skip('no /dev/full on this system')
    with pytest.MonkeyPatch.context() as patch:
      writer = tf.io.TFRecordWriter
      patch.setattr(tf.io, 'TFRecordWriter', lambda path: writer('/dev/full'))
      with pytest.raises(errors.UserError, match='cannot write to.*space'):
        _convert(_job(tmp_path / 'out', tiny_spec, _names(2), 1))
    assert not (tmp_path / 'out').exists()

  def test_other_files_stay(self, tmp_path, tiny_spec):
    (tmp_path / 'notes.txt').write_text('mine')
    with pytest.raises(errors.UserError):
      _convert(_job(tmp_path, tiny_spec, ['bad'], 1))
    assert _files(tmp_path) == {'notes.txt': b'mine'}


@pytest.mark.parametrize('count, expected', [
    (1, 1), (127, 1), (367, 2), (5000, 39), (118287, 924), (10**6, 1000)])
def test_default_number_of_shards(count, expected):
  assert jobs.default_num_shards(count) == expected


_SLOW_COMMAND = '''
import sys, time
from data_prep import convert
from data_prep.readers import coco_panoptic
from axial_tf import cli
encode = coco_panoptic.encode
def slowly(*arguments, **options):
  time.sleep(0.2)
  return encode(*arguments, **options)
coco_panoptic.encode = slowly
convert._define_flags()
cli.run(convert.main, '')
'''


@pytest.mark.slow
def test_a_killed_conversion_resumes(
    tiny_coco, tiny_spec, tmp_path, project_root):
  """SIGKILL between shards; the result is that of an uninterrupted run."""
  tiny, out = tiny_coco(split='train'), tmp_path / 'out'
  spec = tmp_path / 'spec.json'
  spec.write_text(json.dumps(tiny_spec.to_json()))
  options = [
      '--dataset=custom', f'--spec={spec}', f'--input_dir={tiny.root}',
      '--split=train', '--num_shards=3']
  script = tmp_path / 'slowly.py'
  script.write_text(_SLOW_COMMAND)
  environment = {**os.environ, 'PYTHONPATH': str(project_root)}
  with subprocess.Popen(
      [sys.executable, str(script), *options, f'--output_dir={out}'],
      env=environment, stderr=subprocess.DEVNULL,
      stdout=subprocess.DEVNULL) as process:
    deadline = time.monotonic() + 120
    while not list(out.glob('.*.report.json')):
      assert process.poll() is None
      assert time.monotonic() < deadline
      time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
  assert not (out / 'dataset_info.json').exists()
  for folder in (out, tmp_path / 'whole'):
    done = tools.succeeds(
        'data_prep.convert', *options, f'--output_dir={folder}')
    assert ('finished and intact' in done.stderr) == (folder == out)
  assert _files(out) == _files(tmp_path / 'whole')
