"""The command: exit status, one clear line, nothing left behind."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.data import dataset_spec, record_checks, record_files, records
from data_prep import convert


@pytest.fixture
def spec_path(tmp_path, tiny_spec):
  path = tmp_path / 'tiny.json'
  path.write_text(json.dumps(tiny_spec.to_json()))
  return path


def _examples(folder, split):
  files = record_files.verify_shards(str(folder / f'{split}-*.tfrecord'))
  return [records.decode_panoptic_example(record)
          for record in tf.data.TFRecordDataset(list(files.paths))]


class TestConvert:

  def test_custom_data(self, tiny_coco, spec_path, tmp_path, capsys):
    tiny = tiny_coco()
    convert.run(
        dataset='custom', spec=str(spec_path), input_dir=str(tiny.root),
        split='val', output_dir=str(tmp_path / 'out'), num_shards=2)
    examples = _examples(tmp_path / 'out', 'val')
    assert [e['filename'].numpy() for e in examples] == [
        b'0.jpg', b'1.jpg', b'2.jpg']
    for example in examples:
      np.testing.assert_array_equal(example['panoptic'], tiny.panoptic())
    assert '3 images of val' in capsys.readouterr().out
    info = json.loads((tmp_path / 'out' / 'dataset_info.json').read_text())
    assert info['splits']['val'] == {
        'num_images': 3, 'num_shards': 2, 'num_segments': 12, 'num_crowds': 3}

  def test_training_images_are_shuffled_always_in_the_same_way(
      self, tiny_coco, tiny_spec, tmp_path):
    tiny = tiny_coco(split='train', images='flat')
    orders = []
    for name in ('one', 'two'):
      convert.convert(str(tiny.root), 'train', str(tmp_path / name), tiny_spec)
      orders.append([
          e['filename'].numpy() for e in _examples(tmp_path / name, 'train')])
    assert orders[0] == orders[1]
    assert orders[0] != sorted(orders[0])

  def test_official_coco_sample(self, shared_dir, tmp_path):
    """The whole command on COCO's own files, one of them without license."""
    convert.run(
        dataset='coco', split='val2017', output_dir=str(tmp_path),
        input_dir=str(shared_dir / 'data' / 'coco_panoptic_sample'))
    spec = dataset_spec.DatasetSpec.load('coco')
    files = record_files.verify_shards(str(tmp_path / 'val2017-*'))
    record_checks.check_spec(files, spec)
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
      self, shared_dir, project_root, tmp_path):
    spec = dataset_spec.DatasetSpec.load(
        str(project_root / 'gin_configs' / 'datasets' / 'camvid.json'))
    assert convert.convert(
        str(shared_dir / 'data' / 'camvid_panoptic'), 'val', str(tmp_path),
        spec) == 101


@pytest.mark.parametrize('changes, message', [
    ({'dataset': None}, '--dataset is required'),
    ({'input_dir': None}, '--input_dir is required'),
    ({'split': ''}, '--split is required'),
    ({'output_dir': None}, '--output_dir is required'),
    ({'spec': None}, '--spec=FILE.json belongs to --dataset=custom'),
    ({'dataset': 'coco'}, '--spec=FILE.json belongs to --dataset=custom'),
    ({'spec': 'nothing.json'}, "'nothing.json': expected a shipped name"),
    ({'split': 'test'}, "no images of split 'test'"),
    ({'num_shards': 4}, '--num_shards: expected 1..3'),
])
def test_wrong_flags(tiny_coco, spec_path, tmp_path, changes, message):
  values = dict(
      dataset='custom', spec=str(spec_path), input_dir=str(tiny_coco().root),
      split='val', output_dir=str(tmp_path / 'out'))
  with pytest.raises(errors.UserError, match=message):
    convert.run(**{**values, **changes})
  assert not (tmp_path / 'out').exists()


def test_a_damaged_image_leaves_an_earlier_conversion_alone(
    tiny_coco, tiny_spec, tmp_path):
  tiny, out = tiny_coco(), tmp_path / 'out'
  convert.convert(str(tiny.root), 'val', str(out), tiny_spec)
  before = {p.name: p.read_bytes() for p in out.iterdir()}
  path = tiny.image_dir / '2.jpg'
  path.write_bytes(path.read_bytes()[:-50])
  with pytest.raises(errors.UserError, match='2.jpg: damaged'):
    convert.convert(str(tiny.root), 'val', str(out), tiny_spec, 3)
  assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_as_a_command(tiny_coco, spec_path, tmp_path, project_root):
  """A mistake is one line and status 1, without traceback or files."""
  tiny = tiny_coco()
  (tiny.image_dir / '1.jpg').unlink()
  done = subprocess.run(
      [sys.executable, '-m', 'data_prep.convert', '--dataset=custom',
       f'--spec={spec_path}', f'--input_dir={tiny.root}', '--split=val',
       f'--output_dir={tmp_path / "out"}'],
      cwd=project_root, capture_output=True, text=True, check=False,
      env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3'})
  assert done.returncode == 1
  assert 'Traceback' not in done.stderr
  lines = [line for line in done.stderr.splitlines() if 'error: ' in line]
  assert len(lines) == 1
  assert '1.jpg: no such file' in lines[0]
  assert not (tmp_path / 'out').exists()
