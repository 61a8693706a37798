"""Semantic and instance PNGs in all layouts give one panoptic label."""

import json
import pickle
import shutil
import sys

import numpy as np
from PIL import Image
import pytest

from axial_tf import errors
from axial_tf.data.panoptic import records
from axial_tf.specs import dataset_spec
from data_prep.readers import listed_files, masks, splits
from data_prep.readers import selection as selection_lib
from tests.data_prep import tiny_exports

CAT, DOG, BIRD = tiny_exports.CAT, tiny_exports.DOG, tiny_exports.BIRD
_VOID = 90


def _spec(things=(CAT, DOG), background=False):
  names = {CAT: 'cat', DOG: 'dog', BIRD: 'bird'}
  if background:
    names[0] = 'background'
  return dataset_spec.DatasetSpec(
      name='pets', label_divisor=10, ignore_label=9, categories=tuple(
          dataset_spec.Category(
              id, train_id, name, id in things, tiny_exports.COLORS[id])
          for train_id, (id, name) in enumerate(names.items())))


def _read(root, split='train', spec=None, val_fraction=None, file_list=None,
          instances=None, crowds='keep', **paths):
  spec_path = root.parent / 'spec.json'
  spec_path.write_text(json.dumps((spec or _spec()).to_json()))
  return pickle.loads(pickle.dumps(masks.read_split(
      str(root), split, splits.ReadOptions(
          spec=str(spec_path), crowds=crowds, instances=instances,
          paths=splits.DataPaths(**paths), selection=selection_lib.Selection(
              val_fraction=val_fraction, file_list=file_list)))))


def _label(read, index=0):
  return records.decode_panoptic_example(
      read.encode(read.images[index]).serialized)['panoptic'].numpy()


def _expected(void=_VOID):
  return np.array([void, 1, 11, 20], np.int32)[tiny_exports.classes()]


@pytest.fixture
def root(tmp_path):
  return tmp_path / 'data'


@pytest.mark.parametrize('make', [
    tiny_exports.cvat_masks, tiny_exports.labelme2voc, tiny_exports.folders,
    lambda root: tiny_exports.folders(root, 'train')])
def test_layouts(root, make, capsys):
  make(root)
  read = _read(root)
  assert [image.filename.partition('.')[0] for image in read.images] == list(
      tiny_exports.NAMES)
  for index in range(3):
    np.testing.assert_array_equal(_label(read, index), _expected())
  is_undivided = 'all its 3 images are taken for train' in (
      capsys.readouterr().out)
  assert is_undivided == (not (root / 'images' / 'train').is_dir())


def test_background_may_be_a_category(root):
  tiny_exports.cvat_masks(root)
  np.testing.assert_array_equal(
      _label(_read(root, spec=_spec(background=True))), _expected(30))


def test_lists_of_pascal_voc(root):
  tiny_exports.cvat_masks(root)
  lists = root / 'ImageSets' / 'Segmentation'
  (lists / 'val.txt').write_text('b_1\n')
  assert [i.filename for i in _read(root, 'val').images] == ['b_1.png']
  assert len(_read(root, 'train').images) == 3
  (lists / 'default.txt').rename(lists / 'train.txt')
  with pytest.raises(errors.UserError, match=(
      'test.txt: no such file; expected a list of .* .there are train, val')):
    _read(root, 'test')
  divided = [_read(root, split, val_fraction=0.5).images
             for split in ('train', 'val')]
  assert sorted(i.filename for part in divided for i in part) == [
      'a_1.png', 'a_2.png', 'b_1.png']
  (lists / 'val.txt').write_text('b_1\na_1\nb_1')
  with pytest.raises(errors.UserError, match="val.txt: lists 'b_1' twice"):
    _read(root, 'val')
  (lists / 'val.txt').write_text('../x')
  with pytest.raises(errors.UserError, match="val.txt: the file name '../x.*l"):
    _read(root, 'val')
  (lists / 'val.txt').write_text('')
  with pytest.raises(errors.UserError, match='val.txt: holds no images'):
    _read(root, 'val')


def test_films_in_folders(root, tmp_path):
  """Below images/ without a split, by a fraction or a list."""
  for film in ('one', 'two', 'three'):
    tiny_exports.folders(root, film)
  with pytest.raises(errors.UserError, match="no images of split 'train'"):
    _read(root)
  assert len(_read(root, 'one').images) == 3
  (tmp_path / 'list.txt').write_text('one/a_1\nthree/b_1.png\n')
  read = _read(root, file_list=str(tmp_path / 'list.txt'))
  assert [i.filename for i in read.images] == ['one/a_1.png', 'three/b_1.png']
  np.testing.assert_array_equal(_label(read, 1), _expected())
  assert sum(len(_read(root, split, val_fraction=0.5).images)
             for split in ('train', 'val')) == 9


def test_folders_elsewhere(root):
  tiny_exports.folders(root)
  for old, new in (('images', 'x'), ('semantic', 'y'), ('instances', 'z')):
    (root / old).rename(root / new)
  read = _read(root, image_dir='x', semantic_dir=str(root / 'y'),
               instance_dir='z')
  np.testing.assert_array_equal(_label(read), _expected())
  with pytest.raises(errors.UserError, match='--semantic_dir=DIR is required'):
    _read(root, image_dir='x')
  with pytest.raises(errors.UserError, match='--image_dir=DIR is required wit'):
    _read(root, semantic_dir='y')
  with pytest.raises(errors.UserError, match='--instance_dir=q: expected a fo'):
    _read(root, image_dir='x', semantic_dir='y', instance_dir='q')
  with pytest.raises(errors.UserError, match="no images of split 'train'"):
    _read(root)


def test_an_instance_is_a_class_and_a_number(root):
  """Counted in the order of first pixels; without number it is a crowd."""
  tiny_exports.folders(root)
  classes = np.zeros([8, 6], np.uint8)
  classes[:, :4] = CAT
  classes[:, 4:] = DOG
  instances = np.zeros([8, 6], np.uint16)
  instances[0], instances[1], instances[2:4] = 500, 7, 500
  tiny_exports.save(root / 'semantic' / 'a_1.png', classes)
  tiny_exports.save(root / 'instances' / 'a_1.png', instances)
  rows = [1, 2, 1, 1, 0, 0, 0, 0]
  np.testing.assert_array_equal(
      _label(_read(root)), [[n] * 4 + [10 + n] * 2 for n in rows])
  ignored = _label(_read(root, crowds='ignore'))
  assert (ignored[4:] == _VOID).all() and (ignored[:4] != _VOID).all()


def test_components(root):
  """Touching corners connect; instance PNGs are not needed."""
  tiny_exports.folders(root)
  shutil.rmtree(root / 'instances')
  classes = np.zeros([8, 6], np.uint8)
  classes[0, 0] = classes[1, 1] = classes[4, 4] = CAT
  classes[0, 1] = DOG
  classes[6] = BIRD
  tiny_exports.save(root / 'semantic' / 'a_1.png', classes)
  expected = np.full([8, 6], _VOID)
  expected[0, 0] = expected[1, 1] = 1
  expected[4, 4] = 2
  expected[0, 1] = 11
  expected[6] = 20
  np.testing.assert_array_equal(
      _label(_read(root, instances='components')), expected)
  with pytest.raises(errors.UserError, match=(
      r"the things of the spec 'pets' \(cat, dog\) need instance PNGs.*"
      '--instances=components')):
    _read(root)
  with pytest.raises(errors.UserError, match='takes the place of --instance_d'):
    _read(root, instances='components', instance_dir='x')


def test_without_things_no_instance_is_looked_at(root):
  tiny_exports.folders(root)
  (root / 'instances' / 'a_1.png').write_bytes(b'x')
  label = _label(_read(root, spec=_spec(things=())))
  np.testing.assert_array_equal(
      label, np.array([_VOID, 0, 10, 20])[tiny_exports.classes()])


def test_without_stuff_and_without_annotation(root):
  tiny_exports.folders(root)
  tiny_exports.save(
      root / 'semantic' / 'a_1.png', np.zeros([8, 6], np.uint8))
  spec = _spec(things=(CAT, DOG, BIRD))
  assert (_label(_read(root, spec=spec)) == _VOID).all()


@pytest.mark.parametrize('folder, kind', [
    ('semantic', 'semantic PNGs'), ('instances', 'instance PNGs')])
def test_missing_pngs_are_counted(root, folder, kind):
  tiny_exports.folders(root)
  (root / folder / 'a_2.png').unlink()
  with pytest.raises(errors.UserError, match=(
      f'1 of 3 {kind} are missing, first: .*{folder}/a_2.png')):
    listed_files.require_present(_read(root), 0)


@pytest.mark.parametrize('folder, message', [
    ('images', r'semantic/a_1.png: expected 7x8 pixels .*, got 6x8'),
    ('semantic', 'instances/a_1.png: has 6x8 pixels .*a_1.png has 7x8'),
    ('instances', 'instances/a_1.png: has 7x8 pixels .*a_1.png has 6x8')])
def test_files_of_another_size(root, folder, message):
  tiny_exports.folders(root)
  Image.new('L', (7, 8)).save(root / folder / 'a_1.png')
  read = _read(root)
  with pytest.raises(errors.UserError, match=message):
    read.encode(read.images[0])


def test_too_many_instances(root):
  tiny_exports.folders(root)
  tiny_exports.save(
      root / 'semantic' / 'a_1.png', np.full([8, 6], CAT, np.uint8))
  tiny_exports.save(
      root / 'instances' / 'a_1.png', np.arange(48, dtype=np.uint8).reshape(
          8, 6))
  read = _read(root)
  with pytest.raises(errors.UserError, match="more than 9 instances of 'cat'"):
    read.encode(read.images[0])


def test_two_images_of_one_name(root):
  tiny_exports.folders(root)
  tiny_exports.image(root / 'images' / 'a_1.jpg')
  with pytest.raises(errors.UserError, match='a_1.png: has the name of a_1.jp'):
    _read(root)


@pytest.mark.parametrize('folder, message', [
    ('semantic', 'no semantic PNGs: expected the folder .*--semantic_dir=DIR'),
    ('images', "no images of split 'train': expected .*JPEGImages; give")])
def test_missing_folders(root, folder, message):
  tiny_exports.folders(root)
  shutil.rmtree(root / folder)
  with pytest.raises(errors.UserError, match=message):
    _read(root)


def test_pascal_voc_without_masks(root):
  tiny_exports.labelme2voc(root)
  shutil.rmtree(root / 'SegmentationClass')
  with pytest.raises(errors.UserError, match='expected SegmentationClass next'):
    _read(root)


def test_without_scipy(root, monkeypatch):
  monkeypatch.setitem(sys.modules, 'scipy', None)
  tiny_exports.folders(root)
  read = _read(root, instances='components')
  with pytest.raises(errors.UserError, match='needs SciPy.*pip install scipy'):
    read.encode(read.images[0])
