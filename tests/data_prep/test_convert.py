"""The command: exit status, one clear line, what it leaves behind."""

import functools
import json
import sys

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.data.common import record_checks, record_files
from axial_tf.data.panoptic import records
from axial_tf.files import folder_lock
from axial_tf.specs import dataset_spec
from data_prep import convert, inspect
from data_prep.readers import splits
from tests import tools


@pytest.fixture
def spec_path(tmp_path, tiny_spec):
  path = tmp_path / 'tiny.json'
  path.write_text(json.dumps(tiny_spec.to_json()))
  return path


@pytest.fixture
def run(spec_path):
  """Converts a TinyCoco in this process: run(tiny, output_dir, ...)."""

  def convert_tiny(tiny, output_dir, *, spec=str(spec_path), **options):
    reading = {key: options.pop(key) for key in ('crowds', 'max_long_side')
               if key in options}
    convert.run(**{
        'dataset': 'custom', 'input_dir': str(tiny.root), 'split': tiny.split,
        'output_dir': output_dir and str(output_dir), 'processes': 1,
        'options': splits.ReadOptions(spec=spec, **reading), **options})

  return convert_tiny


def _examples(folder, split):
  files = record_files.verify_shards(str(folder / f'{split}-*.tfrecord'))
  return [records.decode_panoptic_example(record)
          for record in tf.data.TFRecordDataset(list(files.paths))]


class TestConvert:

  def test_folders_named_like_patterns(self, tiny_coco, run, tmp_path):
    """Converted, converted again in its place, and inspected."""
    root = tmp_path / 'a[1] *?'
    root.mkdir()
    tiny = tiny_coco()
    tiny.root.rename(root / 'data')
    tiny.root = root / 'data'
    out = root / 'out'
    run(tiny, out, num_shards=2)
    run(tiny, out, num_shards=3)
    assert sorted(path.name for path in out.iterdir()) == [
        'dataset_info.json', *(record_files.shard_name('val', i, 3)
                               for i in range(3))]
    inspect.run([str(out)])
    inspect.run([str(out / 'val-*.tfrecord')])

  def test_a_remote_folder_that_cannot_be_reached(self, tiny_coco, run):
    with pytest.raises(errors.UserError, match='s3://a/b: cannot be reached'):
      run(tiny_coco(), 's3://a/b')

  def test_custom_data(self, tiny_coco, run, tmp_path, capsys):
    tiny = tiny_coco()
    run(tiny, tmp_path / 'out', num_shards=2)
    examples = _examples(tmp_path / 'out', 'val')
    assert [e['filename'].numpy() for e in examples] == [
        b'0.jpg', b'1.jpg', b'2.jpg']
    for example in examples:
      np.testing.assert_array_equal(example['panoptic'], tiny.panoptic())
    assert '3 images of val' in capsys.readouterr().out
    info = json.loads((tmp_path / 'out' / 'dataset_info.json').read_text())
    entry = info['splits']['val']
    assert {key: entry[key] for key in (
        'num_images', 'num_shards', 'num_segments', 'num_crowds')} == {
            'num_images': 3, 'num_shards': 2, 'num_segments': 12,
            'num_crowds': 3}
    assert entry['counts'] == {
        'crowds': {'1': 3}, 'images': {'0': 3, '1': 3},
        'pixels': {str(i): 3 * int((tiny.panoptic() // 10 == i).sum())
                   for i in (0, 1, 9)},
        'segments': {'0': 3, '1': 6}}
    assert entry['image_sizes'] == {
        'height': {'min': 8, 'max': 8, 'mean': 8.0},
        'width': {'min': 6, 'max': 6, 'mean': 6.0}}
    assert entry['source'] == {
        'dataset': 'custom', 'input_dir': str(tiny.root)}
    assert entry['skipped'] == []
    assert entry['options'] == {'crowds': 'keep', 'max_long_side': None}

  def test_options_reach_the_records(self, tiny_coco, run, tmp_path):
    tiny = tiny_coco()
    run(tiny, tmp_path, crowds='ignore', max_long_side=4)
    for example in _examples(tmp_path, 'val'):
      assert example['image'].shape == (4, 3, 3)
      assert 10 not in example['panoptic'].numpy()

  def test_training_images_are_always_shuffled_the_same_way(
      self, tiny_coco, run, tmp_path):
    tiny = tiny_coco(split='train', images='flat')
    orders = []
    for name in ('one', 'two'):
      run(tiny, tmp_path / name)
      orders.append([
          e['filename'].numpy() for e in _examples(tmp_path / name, 'train')])
    assert orders[0] == orders[1]
    assert orders[0] != sorted(orders[0])

  def test_official_coco_sample(self, shared_dir, tmp_path):
    """The whole command on COCO's own files, one of them without license."""
    convert.run(
        dataset='coco', split='val2017', output_dir=str(tmp_path),
        input_dir=str(shared_dir / 'data' / 'coco_panoptic_sample'),
        options=splits.ReadOptions())
    spec = dataset_spec.DatasetSpec.load('coco')
    files = record_files.verify_shards(str(tmp_path / 'val2017-*'))
    record_checks.check_spec(files, spec, records.SCHEMA)
    examples = {e['filename'].numpy().decode(): e
                for e in _examples(tmp_path, 'val2017')}
    assert sorted(examples) == [
        '000000039769.jpg', '000000142238.jpg', '000000439180.jpg']
    voids = {name: int(np.sum(e['panoptic'] == spec.void_label))
             for name, e in examples.items()}
    assert voids == {  # from the notice of the sample
        '000000142238.jpg': 2712, '000000439180.jpg': 7189,
        '000000039769.jpg': 10752}
    info = json.loads((tmp_path / 'dataset_info.json').read_text())
    assert info['splits']['val2017']['num_segments'] == 56
    assert info['splits']['val2017']['num_crowds'] == 3

  def test_shipped_specs_fit_the_shared_data(
      self, shared_dir, project_root, tmp_path, capsys):
    convert.run(
        dataset='custom', split='val', output_dir=str(tmp_path),
        input_dir=str(shared_dir / 'data' / 'camvid_panoptic'),
        options=splits.ReadOptions(spec=str(
            project_root / 'gin_configs' / 'datasets' / 'camvid.json')))
    assert '101 images of val' in capsys.readouterr().out

  def test_remote_folders(self, tiny_coco, run, tmp_path, monkeypatch):
    """Any path of tf.io.gfile will do; the bytes are the same."""
    monkeypatch.setattr(folder_lock, '_SETTLING', 0.1)  # Nobody else writes.
    tiny = tiny_coco()
    run(tiny, tmp_path, num_shards=2)
    for _ in range(2):  # The second time there is an earlier conversion.
      run(tiny, 'ram://test_convert/out', num_shards=2)
      run(tiny, 'ram://test_convert/out', num_shards=3)
    run(tiny, 'ram://test_convert/out', num_shards=2)
    for name in ('val-00000-of-00002.tfrecord', 'dataset_info.json'):
      with tf.io.gfile.GFile(f'ram://test_convert/out/{name}', 'rb') as file:
        assert file.read() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize('changes, message', [
    ({'dataset': None}, '--dataset is required'),
    ({'input_dir': None}, '--input_dir is required'),
    ({'split': ''}, '--split is required'),
    ({'output_dir': None}, '--output_dir is required'),
    ({'spec': None}, '--spec=FILE.json belongs to --dataset=custom'),
    ({'dataset': 'coco'}, '--spec=FILE.json belongs to --dataset=custom'),
    ({'spec': 'nothing.json'},
     'nothing.json: no such file; expected a shipped name'),
    ({'split': 'test'}, "no images of split 'test'"),
    ({'num_shards': 4}, '--num_shards: expected 1..3'),
    ({'num_shards': 0}, '--num_shards: expected 1..3'),
])
def test_wrong_flags(tiny_coco, run, tmp_path, changes, message):
  with pytest.raises(errors.UserError, match=message):
    run(tiny_coco(), **{'output_dir': tmp_path / 'out', **changes})
  assert not (tmp_path / 'out').exists()


def test_a_damaged_image_leaves_an_earlier_conversion_alone(
    tiny_coco, run, tmp_path):
  """What is finished of the new one is kept apart for the next attempt."""
  tiny, out = tiny_coco(), tmp_path / 'out'
  run(tiny, out)
  before = {p.name: p.read_bytes() for p in out.iterdir()}
  path = tiny.image_dir / '2.jpg'
  whole = path.read_bytes()
  path.write_bytes(whole[:-50])
  with pytest.raises(errors.UserError, match='2.jpg: damaged'):
    run(tiny, out)
  assert {p.name: p.read_bytes() for p in out.iterdir()} == before
  with pytest.raises(errors.UserError, match=r'damaged.*\(2 of 3 shards are'):
    run(tiny, out, num_shards=3)
  assert {p.name: p.read_bytes() for p in out.iterdir()
          if p.is_file()} == before
  path.write_bytes(whole)
  run(tiny, out, num_shards=3)
  assert sorted(p.name for p in out.iterdir()) == [
      'dataset_info.json',
      *(f'val-{i:05d}-of-00003.tfrecord' for i in range(3))]


def _command(project_root, *arguments):
  return tools.run('data_prep.convert', *arguments, cwd=project_root)


def test_as_a_command(tiny_coco, spec_path, tmp_path, project_root):
  """A mistake is one line and status 1, without traceback or files."""
  tiny = tiny_coco()
  (tiny.image_dir / '1.jpg').unlink()
  done = _command(
      project_root, '--dataset=custom', f'--spec={spec_path}',
      f'--input_dir={tiny.root}', '--split=val',
      f'--output_dir={tmp_path / "out"}')
  assert done.returncode == 1
  assert 'Traceback' not in done.stderr
  lines = [line for line in done.stderr.splitlines() if 'error: ' in line]
  assert len(lines) == 1
  assert '1 of 3 images are missing, first: ' in lines[0]
  assert not (tmp_path / 'out').exists()


@pytest.mark.slow
def test_skipping_as_a_command(tiny_coco, tmp_path, project_root):
  """Infers the spec, too, and encodes in two processes."""
  tiny, out = tiny_coco(), tmp_path / 'out'
  (tiny.image_dir / '1.jpg').write_bytes(b'no picture')
  command = functools.partial(
      _command, project_root, f'--input_dir={tiny.root}', '--split=val')
  done = command(f'--infer_spec={tmp_path / "spec.json"}')
  assert done.returncode == 0, done.stderr
  assert '1 things and 1 stuff' in done.stdout
  done = command(
      '--dataset=custom', f'--spec={tmp_path / "spec.json"}', '--processes=2',
      f'--output_dir={out}', '--on_error=skip')
  assert done.returncode == 0, done.stderr
  assert '2 images of val' in done.stdout
  assert 'skipped_val.json' in done.stdout
  skipped, = json.loads((out / 'skipped_val.json').read_text())
  assert skipped['filename'] == '1.jpg'
  assert '1.jpg: damaged or not an image' in skipped['reason']
  entry = json.loads((out / 'dataset_info.json').read_text())['splits']['val']
  assert entry['skipped'] == [skipped]
  assert [e['filename'].numpy() for e in _examples(out, 'val')] == [
      b'0.jpg', b'2.jpg']


def test_without_beam(tiny_coco, run, tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'apache_beam', None)
  monkeypatch.delitem(
      sys.modules, 'data_prep.engine.beam_conversion', raising=False)
  with pytest.raises(errors.UserError, match=r'install it with: .*\[beam\]'):
    run(tiny_coco(), tmp_path / 'out', beam_arguments=['--runner=Direct'])
