"""Cityscapes as downloaded, and as the official scripts prepare it."""

import json
import os
import pickle
import shutil

from cityscapesscripts.preparation import createPanopticImgs
import numpy as np
from PIL import Image
import pytest

from axial_tf import errors
from axial_tf.data.panoptic import records
from data_prep.readers import cityscapes, splits
from tests.data_prep import tiny_cityscapes as tiny

OPTIONS = splits.ReadOptions()


def _decode(encoded):
  return {key: value.numpy() for key, value in
          records.decode_panoptic_example(encoded.serialized).items()}


def _labels(root, split='train', options=OPTIONS):
  """The labels of a split by file name, read back from its records."""
  read = cityscapes.read_split(str(root), split, options)
  decoded = (_decode(read.encode(image)) for image in read.images)
  return {d['filename'].decode(): d['panoptic'] for d in decoded}


def _assert_equal(found, expected):
  assert list(found) == list(expected)
  for name, label in expected.items():
    np.testing.assert_array_equal(found[name], label, err_msg=name)


def _prepare(root, use_train_id=True):
  """Runs the official conversion to panoptic labels."""
  createPanopticImgs.convert2panoptic(
      cityscapesPath=str(root / 'gtFine'), useTrainId=use_train_id,
      setNames=['train'])


def test_labels_as_downloaded(tmp_path):
  tiny.make(tmp_path)
  read = cityscapes.read_split(str(tmp_path), 'train', OPTIONS)
  assert (read.name, read.spec.name, read.is_training) == (
      'train', 'cityscapes', True)
  assert [i.filename for i in read.images] == [
      f'{name}_leftImg8bit.png' for name in tiny.NAMES]
  for image in pickle.loads(pickle.dumps(read.images)):
    encoded = read.encode(image)
    decoded = _decode(encoded)
    np.testing.assert_array_equal(decoded['panoptic'], tiny.panoptic())
    np.testing.assert_array_equal(
        decoded['image'], np.asarray(Image.open(image.image_path)))
    assert encoded.counts['segments'] == {0: 1, 7: 1, 10: 1, 11: 1, 13: 2}
    assert encoded.counts['crowds'] == {18: 1}
    assert sum(encoded.counts['pixels'].values()) == tiny.HEIGHT * tiny.WIDTH


def test_crowds_can_be_ignored(tmp_path):
  tiny.make(tmp_path)
  expected = tiny.panoptic()
  expected[expected == 18_000] = 255_000
  found = _labels(tmp_path, options=splits.ReadOptions(crowds='ignore'))
  for label in found.values():
    np.testing.assert_array_equal(label, expected)


@pytest.mark.parametrize('kinds', [[True], [False], [True, False]])
def test_the_official_conversion_gives_the_same(tmp_path, kinds):
  tiny.make(tmp_path)
  expected = _labels(tmp_path)
  for use_train_id in kinds:
    _prepare(tmp_path, use_train_id)
  assert all(image.segments is not None for image in cityscapes.read_split(
      str(tmp_path), 'train', OPTIONS).images)
  _assert_equal(_labels(tmp_path), expected)
  shutil.rmtree(tmp_path / 'gtFine' / 'train')
  _assert_equal(_labels(tmp_path), expected)


def test_random_ids_equal_the_official_conversion(tmp_path):
  rng = np.random.default_rng(5)
  tiny.make(tmp_path)
  for name in tiny.NAMES:
    classes = rng.integers(0, 34, [tiny.HEIGHT, tiny.WIDTH])
    numbers = rng.integers(0, 4, classes.shape)
    has_number = (classes >= 24) & (rng.random(classes.shape) < 0.7)
    ids = np.where(has_number, classes * 1000 + numbers, classes)
    tiny.write_label(tmp_path, name, ids.astype(np.uint16))
  expected = _labels(tmp_path)
  _prepare(tmp_path, True)
  _assert_equal(_labels(tmp_path), expected)
  # What the JSON says, taken by itself.
  gt_fine = tmp_path / 'gtFine'
  stem = 'cityscapes_panoptic_train_trainId'
  content = json.loads((gt_fine / f'{stem}.json').read_text())
  for annotation in content['annotations']:
    label = expected[f'{annotation["image_id"]}_leftImg8bit.png']
    rgb = np.asarray(Image.open(gt_fine / stem / annotation['file_name']))
    ids = rgb.astype(np.int32) @ [1, 256, 65536]
    assert (label[ids == 0] == 255_000).all()
    things = set()
    for segment in annotation['segments_info']:
      values = np.unique(label[ids == segment['id']]).tolist()
      assert len(values) == 1
      category, instance = divmod(values[0], 1000)
      assert category == segment['category_id']
      is_instance = category >= 11 and not segment['iscrowd']
      assert (instance > 0) == is_instance
      if is_instance:
        assert (category, instance) not in things
        things.add((category, instance))


def test_coarse_labels_of_train_extra(tmp_path):
  tiny.make(tmp_path, 'train_extra', 'gtCoarse')
  read = cityscapes.read_split(str(tmp_path), 'train_extra', OPTIONS)
  assert read.is_training
  found = _labels(tmp_path, 'train_extra')
  assert len(found) == 3
  np.testing.assert_array_equal(next(iter(found.values())), tiny.panoptic())


@pytest.mark.parametrize('kind', ['', 'gtFine'])
def test_the_test_split_has_no_labels(tmp_path, kind):
  tiny.make(tmp_path, 'test', kind)
  read = cityscapes.read_split(str(tmp_path), 'test', OPTIONS)
  assert not read.is_training
  for image in read.images:
    encoded = read.encode(image)
    assert encoded.counts == {}
    assert (_decode(encoded)['panoptic'] == records.UNLABELED).all()


def test_large_images_are_shrunk_with_their_labels(tmp_path):
  tiny.make(tmp_path)
  read = cityscapes.read_split(
      str(tmp_path), 'train', splits.ReadOptions(max_long_side=10))
  encoded = read.encode(read.images[0])
  decoded = _decode(encoded)
  assert decoded['image'].shape == (6, 10, 3)
  np.testing.assert_array_equal(
      decoded['panoptic'], tiny.panoptic()[1::2, 1::2])
  assert sum(encoded.counts['pixels'].values()) == 60


def test_ids_of_8_bits_without_a_check_file(tmp_path):
  tiny.make(tmp_path)
  folder = tmp_path / 'gtFine' / 'train' / 'bonn'
  (folder / 'bonn_000007_000000_gtFine_labelIds.png').unlink()
  Image.fromarray(np.full([tiny.HEIGHT, tiny.WIDTH], 24, np.uint8)).save(
      folder / 'bonn_000007_000000_gtFine_instanceIds.png')
  found = _labels(tmp_path)
  assert (found['bonn_000007_000000_leftImg8bit.png'] == 11_000).all()


@pytest.mark.parametrize('palette', ['of greys', 'of colors'])
def test_labels_with_a_palette(tmp_path, palette):
  """Some tools store grey images this way; others give each class a color."""
  tiny.make(tmp_path)
  expected = _labels(tmp_path)
  for path in tmp_path.glob('gtFine/*/*/*_labelIds.png'):
    classes = np.asarray(Image.open(path))
    if palette == 'of greys':
      ids, places = np.unique(classes, return_inverse=True)
      label = Image.fromarray(places.reshape(classes.shape).astype(np.uint8))
      label.putpalette(np.repeat(ids, 3).tolist())
    else:
      label = Image.fromarray(classes)
      label.putpalette([3, 5, 7] * 256)
    label.save(path)
    assert Image.open(path).mode == 'P'
  _assert_equal(_labels(tmp_path), expected)


def _write(path, value, shape=(tiny.HEIGHT, tiny.WIDTH), dtype=np.uint16):
  Image.fromarray(np.full(shape, value, dtype)).save(path)


def _label(root, ending='instanceIds'):
  return (root / 'gtFine' / 'train' / 'aachen' /
          f'aachen_000001_000019_gtFine_{ending}.png')


def _write_all(root, value):
  """Gives all pixels an id, and the class that it stands for."""
  _write(_label(root), value)
  _write(_label(root, 'labelIds'), value // 1000 or value, dtype=np.uint8)


def _image(root):
  return (root / 'leftImg8bit' / 'train' / 'aachen' /
          'aachen_000001_000019_leftImg8bit.png')


def _break_link(root):
  _image(root).unlink()
  os.symlink('/nowhere.png', _image(root))


def test_cities_and_images_behind_links(tmp_path):
  root = tmp_path / 'data[1]'
  root.mkdir()
  tiny.make(root)
  expected = [image.filename for image in cityscapes.read_split(
      str(root), 'train', OPTIONS).images]
  city = root / 'leftImg8bit' / 'train' / 'bonn'
  shutil.move(city, tmp_path / 'bonn')
  os.symlink(tmp_path / 'bonn', city)
  shutil.move(_image(root), tmp_path / 'image.png')
  os.symlink(tmp_path / 'image.png', _image(root))
  shutil.move(root / 'gtFine', tmp_path / 'labels')
  os.symlink(tmp_path / 'labels', root / 'gtFine')
  split = cityscapes.read_split(str(root), 'train', OPTIONS)
  assert [image.filename for image in split.images] == expected
  assert split.encode(split.images[0]).serialized


@pytest.mark.parametrize('edit, message', [
    (lambda root: shutil.copy(
        _image(root), _image(root).parent.parent / 'bonn'),
     'aachen_000001_000019_leftImg8bit.png: has the name of'),
    (lambda root: shutil.rmtree(root / 'leftImg8bit' / 'train'),
     r"no images of split 'train': expected the folder .*leftImg8bit/train"),
    (lambda root: [p.unlink() for p in root.glob('leftImg8bit/*/*/*')],
     r'leftImg8bit/train: holds no \*_leftImg8bit.png'),
    (lambda root: shutil.rmtree(root / 'gtFine'),
     r"no labels of split 'train': expected the folder .*gtFine/train"),
    (_break_link, 'leftImg8bit.png: is a link to /nowhere.png, which does not'),
])
def test_mistakes_in_the_layout(tmp_path, edit, message):
  tiny.make(tmp_path)
  edit(tmp_path)
  with pytest.raises(errors.UserError, match=message) as raised:
    cityscapes.read_split(str(tmp_path), 'train', OPTIONS)
  assert '\n' not in str(raised.value)


@pytest.mark.parametrize('edit, message', [
    (lambda root: _write_all(root, 34), 'has the id 34, whose class'),
    (lambda root: _write_all(root, 40_001), 'has the id 40001.*be 40;'),
    (lambda root: _write(_label(root), 7), 'labelIds.png: its pixel in row 0, '
     'column 0 says class 0, .*instanceIds.png says 7'),
    (lambda root: _write(_label(root), 7, (6, 20)),
     'labelIds.png: has 20x12 pixels .*instanceIds.png has 20x6'),
    (lambda root: (_write(_label(root), 7, (6, 20)),
                   _label(root, 'labelIds').unlink()),
     'instanceIds.png: expected 20x12 pixels.* got 20x6'),
    (lambda root: _write(_label(root), 7, (12, 20, 3), np.uint8),
     'expected a PNG with one channel.*got mode RGB'),
    (lambda root: _label(root).write_bytes(b'no picture'),
     'instanceIds.png: damaged or not an image'),
    (lambda root: _image(root).write_bytes(_image(root).read_bytes()[:-20]),
     'leftImg8bit.png: damaged or not an image'),
])
def test_mistakes_in_a_label(tmp_path, edit, message):
  tiny.make(tmp_path)
  edit(tmp_path)
  read = cityscapes.read_split(str(tmp_path), 'train', OPTIONS)
  read.encode(read.images[0])
  with pytest.raises(errors.UserError, match=message) as raised:
    read.encode(read.images[1])
  assert '\n' not in str(raised.value)


@pytest.fixture
def prepared(tmp_path):
  """A split with its panoptic JSON, parsed, and a function to write it."""
  tiny.make(tmp_path)
  _prepare(tmp_path, True)
  path = tmp_path / 'gtFine' / 'cityscapes_panoptic_train_trainId.json'
  return tmp_path, path, json.loads(path.read_text())


def _segment(content, key, value):
  """Changes the first car of the second image."""
  car = next(s for s in content['annotations'][1]['segments_info']
             if s['id'] == 26000)
  car[key] = value


@pytest.mark.parametrize('edit, message', [
    (lambda c: _segment(c, 'area', 8), 'segment 26000 .car. has 9 pixels, but'),
    (lambda c: _segment(c, 'category_id', 14),
     r'segment 26000 has category_id 14, but its id says 13 \(car\)'),
    (lambda c: _segment(c, 'category_id', 26), 'train ids is named'),
    (lambda c: _segment(c, 'category_id', 'car'),
     "expected an integer 'category_id'"),
    (lambda c: _segment(c, 'iscrowd', 1), 'iscrowd 1, but its id says 0'),
    (lambda c: _segment(c, 'id', 26005), 'no pixel has the id of segment'),
    (lambda c: _segment(c, 'id', 9), 'segment 9 is of a class that is not'),
    (lambda c: _segment(c, 'id', -7), 'has the id -7'),
    (lambda c: c['annotations'][1]['segments_info'].pop(),
     'its pixels have the segment id'),
    (lambda c: c['annotations'][1].update(segments_info=[3]),
     "expected an integer 'id'"),
])
def test_mistakes_in_the_json(prepared, edit, message):
  root, path, content = prepared
  edit(content)
  path.write_text(json.dumps(content))
  read = cityscapes.read_split(str(root), 'train', OPTIONS)
  with pytest.raises(errors.UserError, match=message):
    read.encode(read.images[1])


@pytest.mark.parametrize('edit, message', [
    (lambda c: c['annotations'].append(c['annotations'][0]), 'listed twice'),
    (lambda c: c['annotations'][1].update(file_name='../../a_panoptic.png'),
     r"'\.\./\.\./a_panoptic.png' leads out of"),
    (lambda c: c['annotations'][1].pop('segments_info'), "'segments_info'"),
    (lambda c: c.pop('annotations'), "expected a list under 'annotations'"),
    (lambda c: c.update(annotations=[]), 'no annotated images'),
])
def test_mistakes_in_the_list_in_the_json(prepared, edit, message):
  root, path, content = prepared
  edit(content)
  path.write_text(json.dumps(content))
  with pytest.raises(errors.UserError, match=message):
    cityscapes.read_split(str(root), 'train', OPTIONS)


def test_images_that_the_json_does_not_list(prepared, caplog):
  root, path, content = prepared
  del content['annotations'][0]
  path.write_text(json.dumps(content))
  with caplog.at_level('WARNING', logger='absl'):
    assert len(_labels(root)) == 2
  assert 'left out 1 images' in caplog.text


def test_another_spec_is_refused(tmp_path):
  tiny.make(tmp_path)
  with pytest.raises(errors.UserError, match='--dataset=custom'):
    cityscapes.read_split(
        str(tmp_path), 'train', splits.ReadOptions(spec='coco'))


def test_a_real_photo_in_this_layout(shared_dir):
  root = shared_dir / 'data' / 'cityscapes_layout'
  read = cityscapes.read_split(str(root), 'dummy', OPTIONS)
  encoded = read.encode(read.images[0])
  label = _decode(encoded)['panoptic']
  assert label.shape == (800, 800)
  content = json.loads(next((root / 'gtFine').glob('*.json')).read_text())
  areas = {(s['category_id'], s['iscrowd']): 0
           for s in content['annotations'][0]['segments_info']}
  for segment in content['annotations'][0]['segments_info']:
    areas[segment['category_id'], segment['iscrowd']] += segment['area']
  for (category, crowd), area in areas.items():
    found = label // 1000 == category
    if category == 13:
      found &= (label % 1000 == 0) == bool(crowd)
    assert found.sum() == area
  assert encoded.counts['segments'] == {0: 1, 2: 1, 8: 1, 10: 1, 13: 5}


@pytest.mark.parametrize('kind', ['dataset', 'train_dataset'])
def test_toy_layouts(shared_dir, kind):
  root = shared_dir / 'data' / 'toy_layouts' / 'cityscapes_dataset' / kind
  for split, count in (('train', 1), ('val', 1), ('test', 2)):
    assert len(_labels(root, split)) == count
