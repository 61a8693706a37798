"""The exports of annotation tools are found without flags."""

import json
import shutil

import pytest

from axial_tf import errors
from data_prep.readers import (
  coco_annotations,
  instance_layouts,
  listed_files,
  splits,
)
from data_prep.readers import selection as selection_lib
from tests.data_prep import tiny_exports


def _located(root, split='train', val_fraction=None, file_list=None, **paths):
  """Returns what is found, and the paths of the images that exist."""
  found = instance_layouts.find(str(root), split, splits.ReadOptions(
      paths=splits.DataPaths(**paths), selection=selection_lib.Selection(
          val_fraction=val_fraction, file_list=file_list)))
  images = coco_annotations.images_by_id(
      json.loads(found.json_path.read_text()), found.json_path)
  folder, names = instance_layouts.locate(images, found)
  files = listed_files.Folders()
  return found, [str(folder / name) for name in names.values()
                 if files.has(str(folder / name))]


@pytest.mark.parametrize('make, image_dir', [
    (tiny_exports.cvat, 'images'), (tiny_exports.label_studio, 'images'),
    (tiny_exports.labelme2coco, 'JPEGImages')])
def test_exports_without_splits(tmp_path, make, image_dir):
  make(tmp_path)
  found, images = _located(tmp_path)
  assert found.is_undivided
  assert images == [str(tmp_path / image_dir / f'{name}.png')
                    for name in tiny_exports.NAMES]


@pytest.mark.parametrize('folder', ['train', 'images/train', 'images'])
def test_jsons_of_splits(tmp_path, folder):
  tiny_exports.write_json(
      tmp_path / 'annotations' / 'instances_train.json',
      tiny_exports.instances())
  for name in tiny_exports.NAMES:
    tiny_exports.image(tmp_path / folder / f'{name}.png')
  found, images = _located(tmp_path)
  assert len(images) == 3 and not found.is_undivided


def test_the_json_of_the_split_comes_before_that_of_all(tmp_path):
  tiny_exports.cvat(tmp_path)
  folder = tmp_path / 'annotations'
  shutil.copy(folder / 'instances_default.json', folder / 'instances_val.json')
  assert _located(tmp_path, 'val')[0].json_path.name == 'instances_val.json'
  assert _located(tmp_path)[0].json_path.name == 'instances_default.json'


def test_roboflow(tmp_path):
  tiny_exports.roboflow(tmp_path)
  for split, count in (('train', 2), ('valid', 1), ('val', 1)):
    assert len(_located(tmp_path, split)[1]) == count
  shutil.rmtree(tmp_path / 'valid')
  found, _ = _located(tmp_path, 'val', val_fraction=0.5)
  assert found.json_path == tmp_path / 'train' / '_annotations.coco.json'


def test_a_list_takes_images_of_the_only_json(tmp_path):
  tiny_exports.cvat(tmp_path)
  (tmp_path / 'annotations' / 'instances_default.json').rename(
      tmp_path / 'annotations' / 'instances_all.json')
  found, _ = _located(tmp_path, 'val', file_list='x.txt')
  assert found.json_path.name == 'instances_all.json'


def test_files_elsewhere(tmp_path):
  """Paths are those of the working folder or, if only there, of the data."""
  tiny_exports.cvat(tmp_path)
  (tmp_path / 'annotations').rename(tmp_path / 'notes')
  (tmp_path / 'images').rename(tmp_path / 'pictures')
  for annotations in ('notes/instances_default.json',
                      str(tmp_path / 'notes' / 'instances_default.json')):
    found, images = _located(
        tmp_path, annotations=annotations, image_dir='pictures')
    assert len(images) == 3 and not found.is_undivided


def test_names_that_lead_elsewhere(tmp_path):
  """Their last parts are used if the images have these names."""
  tiny_exports.label_studio(tmp_path)
  tiny_exports.write_json(tmp_path / 'result.json', tiny_exports.instances(
      prefix='..\\..\\media\\upload\\4\\'))
  assert len(_located(tmp_path)[1]) == 3
  content = tiny_exports.instances()
  for number, image in enumerate(content['images']):
    image['file_name'] = f'../{number}/a_1.png'
  tiny_exports.write_json(tmp_path / 'result.json', content)
  with pytest.raises(errors.UserError, match="'a_1.png' is listed twice"):
    _located(tmp_path)
  shutil.rmtree(tmp_path / 'images')
  with pytest.raises(errors.UserError, match="'../0/a_1.png' leads out of"):
    _located(tmp_path)


def test_images_that_are_not_there(tmp_path):
  tiny_exports.cvat(tmp_path)
  (tmp_path / 'images').rename(tmp_path / 'pictures')
  with pytest.raises(errors.UserError, match=(
      "none of its 3 images, such as 'a_1.png', is in .*--image_dir=DIR")):
    _located(tmp_path)
  with pytest.raises(errors.UserError, match='--image_dir=x: expected a fold'):
    _located(tmp_path, image_dir='x')


def test_no_json_or_too_many(tmp_path):
  with pytest.raises(errors.UserError, match=(
      "no COCO instance JSON of split 'train': expected annotations/instances_"
      'train.json')):
    _located(tmp_path)
  with pytest.raises(errors.UserError, match='y.json: no such file'):
    coco_annotations.read_json(
        instance_layouts.find(str(tmp_path), 'train', splits.ReadOptions(
            paths=splits.DataPaths(annotations='y.json'))).json_path)
  tiny_exports.roboflow(tmp_path)
  with pytest.raises(errors.UserError, match=(
      'train/_annotations.coco.json and valid/_annotations.coco.json; choose '
      'one by --annotations')):
    _located(tmp_path, val_fraction=0.5)
  tiny_exports.cvat(tmp_path)
  tiny_exports.label_studio(tmp_path)
  with pytest.raises(errors.UserError, match=(
      'instances_default.json and result.json; choose one')):
    _located(tmp_path, 'test')
  with pytest.raises(errors.UserError, match='--input_dir=.*: expected a fold'):
    _located(tmp_path / 'x')
