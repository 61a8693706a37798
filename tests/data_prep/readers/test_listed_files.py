"""Missing files of incomplete downloads are counted before any conversion."""

import json
import os
import pathlib
import shutil

import pytest

from axial_tf import errors
from data_prep import convert
from data_prep.readers import (
  cityscapes,
  coco_annotations,
  listed_files,
  mapillary,
  source_images,
  splits,
)
from tests.data_prep import tiny_cityscapes, tiny_vistas

_OPTIONS = splits.ReadOptions()


def _split(images):
  return splits.Split('val', None, images, None, False)


def _coco(tiny, spec):
  return _split(coco_annotations.read_split(str(tiny.root), tiny.split, spec))


def _convert(tiny, spec, output, max_errors):
  path = tiny.root / 'spec.json'
  path.write_text(json.dumps(spec.to_json()))
  convert.run('custom', str(tiny.root), tiny.split, str(output),
              splits.ReadOptions(spec=str(path)), processes=1,
              max_errors=max_errors)


def test_all_missing_files_are_counted(tiny_coco, tiny_spec):
  tiny = tiny_coco()
  (tiny.image_dir / '1.jpg').unlink()
  (tiny.label_dir / '1.png').unlink()
  (tiny.label_dir / '2.png').unlink()
  with pytest.raises(errors.UserError) as raised:
    listed_files.require_present(_coco(tiny, tiny_spec), 0)
  assert str(raised.value) == (
      f'1 of 3 images are missing, first: {tiny.image_dir}/1.jpg; 2 of 3 PNGs '
      f'are missing, first: {tiny.label_dir}/1.png; copy the data again, or '
      f'leave these images out with --on_error=skip --max_errors=2')


def test_missing_files_are_skipped_up_to_a_limit(
    tiny_coco, tiny_spec, tmp_path, capsys):
  tiny = tiny_coco()
  for name in ('1.jpg', '2.jpg'):
    (tiny.image_dir / name).unlink()
  output = tmp_path / 'out'
  with pytest.raises(errors.UserError, match=(
      '2 of 3 images are missing, .*2 faulty images are more than '
      '--max_errors=1; .* set --max_errors=2')):
    _convert(tiny, tiny_spec, output, 1)
  assert not output.exists()
  _convert(tiny, tiny_spec, output, 2)
  printed = capsys.readouterr()
  assert '2 of 3 images are missing, first' in printed.err
  assert '1 images of val are in' in printed.out
  skipped = json.loads((output / 'skipped_val.json').read_text())
  assert [entry['filename'] for entry in skipped] == ['1.jpg', '2.jpg']
  assert 'No such file' in skipped[0]['reason']


def test_files_that_arrive_later_are_converted(tiny_coco, tiny_spec, tmp_path):
  tiny = tiny_coco()
  shutil.move(tiny.image_dir / '1.jpg', tmp_path / 'later.jpg')
  _convert(tiny, tiny_spec, tmp_path / 'out', 5)
  shutil.move(tmp_path / 'later.jpg', tiny.image_dir / '1.jpg')
  _convert(tiny, tiny_spec, tmp_path / 'out', 5)
  info = json.loads((tmp_path / 'out' / 'dataset_info.json').read_text())
  assert info['splits']['val']['num_images'] == 3
  assert not (tmp_path / 'out' / 'skipped_val.json').exists()


def test_partners_in_cityscapes_may_be_missing(tmp_path):
  tiny_cityscapes.make(tmp_path)
  one, two, _ = tiny_cityscapes.NAMES
  image = (tmp_path / 'leftImg8bit' / 'train' / 'aachen' /
           f'{one}_leftImg8bit.png')
  label = (tmp_path / 'gtFine' / 'train' / 'aachen' /
           f'{two}_gtFine_instanceIds.png')
  image.unlink()
  label.unlink()
  read = cityscapes.read_split(str(tmp_path), 'train', _OPTIONS)
  with pytest.raises(errors.UserError, match=(
      f'1 of 3 images are missing, first: {image}; 1 of 3 PNGs are missing, '
      f'first: {label}; .*--max_errors=2')):
    listed_files.require_present(read, 0)
  listed_files.require_present(read, 2)
  with pytest.raises(errors.UserError, match='leftImg8bit.png: cannot be read'):
    read.encode(read.images[0])


@pytest.mark.parametrize('has_json', [True, False])
def test_partners_in_vistas_may_be_missing(tmp_path, has_json):
  tiny = tiny_vistas.TinyVistas(tmp_path, 'v2.0')
  if not has_json:
    shutil.rmtree(tiny.json_path.parent)
  folder = tiny.base / ('panoptic' if has_json else 'instances')
  (tiny.folder / 'images' / 'M2kh.jpg').unlink()
  (folder / '-_x0.png').unlink()
  read = mapillary.read_split(str(tmp_path), 'training', _OPTIONS, 'v2.0')
  with pytest.raises(errors.UserError, match=(
      r'1 of 3 images are missing, first: .*M2kh.jpg; 1 of 3 PNGs are missing, '
      r'first: .*-_x0.png')):
    listed_files.require_present(read, 1)


def test_each_folder_is_read_once(tmp_path, monkeypatch):
  """A look at every file would take minutes for COCO on a shared disk."""
  names = [f'{city}/{i}.png' for city in 'ab' for i in range(50)]
  for name in names:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
  looks = []
  for module, function in ((os.path, 'isfile'), (os, 'scandir'),
                           (source_images, 'inside')):
    original = getattr(module, function)
    monkeypatch.setattr(module, function, lambda *args, f=original: (
        looks.append(f.__name__), f(*args))[1])
  folders = listed_files.Folders()
  paths = [folders.path(tmp_path, name, tmp_path) for name in names]
  assert all(map(folders.has, paths))
  assert sorted(set(looks)) == ['inside', 'isfile', 'scandir']
  assert len(looks) == 6  # One per folder for each.


@pytest.mark.parametrize('name', ['../x.png', 'a/../../x.png', '/x.png', '',
                                  'a\0.png', '\ud800.png', 'a/\0.png'])
def test_names_that_are_not_files_of_the_folder(tmp_path, name):
  (tmp_path / 'in' / 'a').mkdir(parents=True)
  (tmp_path / 'x.png').touch()
  (tmp_path / 'in' / 'x.png').touch()
  (tmp_path / 'in' / 'a' / 'x.png').touch()
  folders = listed_files.Folders()
  for known in ('x.png', 'a/x.png'):
    assert folders.path(tmp_path / 'in', known, pathlib.Path('list'))
  with pytest.raises(errors.UserError, match='leads out of|no such file'):
    folders.path(tmp_path / 'in', name, pathlib.Path('list'))
