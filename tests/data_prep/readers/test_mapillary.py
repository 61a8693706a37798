"""Mapillary Vistas from its panoptic JSON and from instances/."""

import json
import pickle
import shutil

import numpy as np
from PIL import Image
import pytest

from axial_tf import errors
from axial_tf.data.panoptic import records
from data_prep import convert
from data_prep.readers import mapillary, splits
from tests.data_prep import tiny_vistas

OPTIONS = splits.ReadOptions()
LAYOUTS = [('v1.2', True), ('v1.2', False), ('v2.0', False)]


def _read(tiny, split='training', options=OPTIONS):
  return mapillary.read_split(str(tiny.root), split, options, tiny.version)


def _label(encoded):
  return records.decode_panoptic_example(
      encoded.serialized)['panoptic'].numpy()


def _labels(tiny, options=OPTIONS):
  read = _read(tiny, options=options)
  return [_label(read.encode(image))
          for image in pickle.loads(pickle.dumps(read.images))]


@pytest.mark.parametrize('version, is_original', LAYOUTS)
def test_both_label_formats_are_identical(tmp_path, version, is_original):
  tiny = tiny_vistas.TinyVistas(tmp_path, version, is_original=is_original)
  read = _read(tiny)
  assert read.spec == tiny.spec
  assert read.is_training
  assert [image.filename for image in read.images] == [
      f'{name}.jpg' for name in tiny_vistas.NAMES]
  assert all(image.segments for image in read.images)
  from_json = _labels(tiny)
  shutil.rmtree(tiny.json_path.parent)
  assert not any(image.segments for image in _read(tiny).images)
  for seed, (one, other) in enumerate(zip(from_json, _labels(tiny))):
    np.testing.assert_array_equal(one, tiny.panoptic(seed))
    np.testing.assert_array_equal(one, other)


def test_the_panoptic_json_needs_no_config(tmp_path):
  tiny = tiny_vistas.TinyVistas(tmp_path, 'v1.2')
  expected = _labels(tiny)
  tiny.config_path.unlink()
  for one, other in zip(expected, _labels(tiny)):
    np.testing.assert_array_equal(one, other)
  shutil.rmtree(tiny.json_path.parent)
  with pytest.raises(errors.UserError, match='config_v1.2.json to read those'):
    _read(tiny)


def test_categories_that_are_not_evaluated_are_void(tmp_path):
  tiny = tiny_vistas.TinyVistas(tmp_path, 'v2.0')
  tiny.content['categories'].append(
      {'id': 200, 'name': 'Person Group', 'isthing': 0,
       'supercategory': 'human--person--person-group'})
  for annotation in tiny.content['annotations']:
    road = next(s for s in annotation['segments_info'] if s['category_id'] ==
                next(c.id for c in tiny.spec.categories
                     if c.name == 'construction--flat--road'))
    road['category_id'] = 200
  tiny.write_json()
  road = next(c for c in tiny.spec.categories
              if c.name == 'construction--flat--road')
  for seed, label in enumerate(_labels(tiny)):
    expected = tiny.panoptic(seed)
    expected[expected == road.train_id * 1000] = 255_000
    np.testing.assert_array_equal(label, expected)


@pytest.mark.parametrize('crowds', ['keep', 'ignore'])
def test_crowds_of_the_json(tmp_path, crowds):
  tiny = tiny_vistas.TinyVistas(tmp_path, 'v1.2')
  car = next(c for c in tiny.spec.categories
             if c.name == 'object--vehicle--car')
  for annotation in tiny.content['annotations']:
    for segment in annotation['segments_info']:
      segment['iscrowd'] = int(segment['category_id'] == car.id)
  tiny.write_json()
  labels = _labels(tiny, splits.ReadOptions(crowds=crowds))
  for seed, label in enumerate(labels):
    expected = tiny.panoptic(seed)
    expected[expected // 1000 == car.train_id] = (
        car.train_id * 1000 if crowds == 'keep' else 255_000)
    np.testing.assert_array_equal(label, expected)


@pytest.mark.parametrize('folder, split, is_training', [
    ('training', 'train', True), ('training', 'training', True),
    ('train', 'training', True), ('validation', 'val', False),
    ('val', 'val', False)])
def test_names_of_splits(tmp_path, folder, split, is_training):
  tiny = tiny_vistas.TinyVistas(tmp_path, 'v2.0', folder)
  read = _read(tiny, split)
  assert len(read.images) == 3
  assert (read.name, read.is_training) == (split, is_training)


def test_testing_has_no_labels(tmp_path):
  tiny = tiny_vistas.TinyVistas(tmp_path, 'v2.0', 'testing')
  shutil.rmtree(tiny.base)
  read = _read(tiny, 'testing')
  assert not read.is_training
  for image in read.images:
    encoded = read.encode(image)
    assert encoded.counts == {}
    assert (_label(encoded) == records.UNLABELED).all()


def test_large_images_are_shrunk(tmp_path):
  tiny = tiny_vistas.TinyVistas(tmp_path, 'v1.2')
  read = _read(tiny, options=splits.ReadOptions(max_long_side=8))
  encoded = read.encode(read.images[0])
  decoded = records.decode_panoptic_example(encoded.serialized)
  assert decoded['image'].shape == (6, 8, 3)
  np.testing.assert_array_equal(
      decoded['panoptic'], tiny.panoptic()[1::2, 1::2])
  with pytest.raises(errors.UserError, match='has 16x12 pixels'):
    read = _read(tiny, options=splits.ReadOptions(max_pixels=100))
    read.encode(read.images[0])


def test_other_classes_make_their_own_spec(tmp_path, caplog):
  tiny = tiny_vistas.TinyVistas(tmp_path, 'v1.2')
  car = tiny.place('object--vehicle--car')
  before = [tiny.panoptic(seed) for seed in range(3)]
  tiny.config['labels'][car]['name'] = 'object--vehicle--velomobile'
  tiny.config['labels'][0]['evaluate'] = False
  tiny.write_config()
  for category in tiny.content['categories']:
    if category['supercategory'] == 'object--vehicle--car':
      category['supercategory'] = 'object--vehicle--velomobile'
  tiny.write_json()
  with caplog.at_level('WARNING', logger='absl'):
    read = _read(tiny)
  assert 'its 64 classes are not those of Mapillary Vistas v1.2' in caplog.text
  assert read.spec.name == 'mapillary_v1.2_config'
  assert len(read.spec.categories) == 64
  # One less: birds are void now.
  assert read.spec.category(car - 1).name == 'object--vehicle--velomobile'
  from_json = _labels(tiny)
  for label, old in zip(from_json, before):
    is_void = (old == 255_000) | (old // 1000 == 0)
    np.testing.assert_array_equal(label, np.where(is_void, 255_000, old - 1000))
  shutil.rmtree(tiny.json_path.parent)
  for one, other in zip(from_json, _labels(tiny)):
    np.testing.assert_array_equal(one, other)


def _edit_json(edit):
  def run(tiny):
    edit(tiny.content)
    tiny.write_json()
  return run


def _edit_config(edit):
  def run(tiny):
    edit(tiny.config['labels'])
    tiny.write_config()
  return run


@pytest.mark.parametrize('edit, message', [
    (lambda t: shutil.rmtree(t.folder), "no images of split 'training'"),
    (lambda t: t.json_path.write_text('{'), 'panoptic_2020.json: not a read'),
    (_edit_json(lambda c: c['images'].append(c['images'][0])),
     'two images have the id'),
    (_edit_json(lambda c: c['annotations'].append(c['annotations'][0])),
     'two annotations'),
    (_edit_json(lambda c: c['images'][1].update(file_name='../a.jpg')),
     'leads out of'),
    (_edit_json(lambda c: c['categories'].append(c['categories'][3])),
     'two categories have the id 4'),
    (_edit_json(lambda c: c['categories'][3].update(supercategory='x')),
     r"category 4 \('.* \(read\)'\) is not in the spec 'mapillary_v2.0'"),
    (_edit_json(lambda c: c['categories'][0].update(isthing=0)),
     r'category 1 \(animal--bird\) has isthing 0'),
    (_edit_json(lambda c: c.pop('categories')), "list under 'categories'"),
    (_edit_config(lambda labels: labels[3].pop('evaluate')),
     r"config_v2.0.json: labels\[3\]: expected 'evaluate' \(bool\)"),
    (_edit_config(lambda labels: labels[3].update(name=7)),
     r"labels\[3\]: expected 'name' \(str\), got 7"),
    (_edit_config(lambda labels: labels[3].update(name='x', color=[1, 2])),
     'config_v2.0.json.*color'),
    (_edit_config(lambda labels: labels[3].update(name=labels[1]['name'])),
     'config_v2.0.json.*unique'),
    (lambda t: t.config_path.write_text('[]'), 'config_v2.0.json'),
    (lambda t: t.config_path.write_text('{}'), "a list under 'labels'"),
])
def test_mistakes_in_the_data_set(tmp_path, edit, message):
  tiny = tiny_vistas.TinyVistas(tmp_path, 'v2.0')
  edit(tiny)
  with pytest.raises(errors.UserError, match=message) as raised:
    _read(tiny)
  assert '\n' not in str(raised.value)


@pytest.mark.parametrize('edit, message', [
    (lambda t: shutil.rmtree(t.base), 'expected .*panoptic_2018.json or the'),
    (lambda t: shutil.copy(t.folder / 'images' / 'M2kh.jpg',
                           t.folder / 'images' / 'M2kh.png'),
     'M2kh.png: has the name of'),
])
def test_mistakes_in_the_folders(tmp_path, edit, message):
  tiny = tiny_vistas.TinyVistas(tmp_path, 'v1.2')
  shutil.rmtree(tiny.json_path.parent)
  edit(tiny)
  with pytest.raises(errors.UserError, match=message):
    _read(tiny)


def _exchange(content):
  for image in content['images']:
    image['width'], image['height'] = image['height'], image['width']


def test_swapped_sizes_are_reported_once(tmp_path, capsys):
  """As in the published panoptic_2018.json of v1.2."""
  tiny = tiny_vistas.TinyVistas(tmp_path / 'vistas', 'v1.2')
  expected = _labels(tiny)
  _edit_json(_exchange)(tiny)
  for one, other in zip(expected, _labels(tiny)):
    np.testing.assert_array_equal(one, other)
  output = tmp_path / 'out'
  convert.run('mapillary_v1.2', str(tiny.root), 'training', str(output),
              OPTIONS, num_shards=2, processes=1)
  notice, = (line for line in capsys.readouterr().out.splitlines()
             if 'height swapped' in line)
  assert notice.startswith('3 of 3 images: the JSON has width and height swap')
  info = json.loads((output / 'dataset_info.json').read_text())
  assert list(info['splits']['training']['notices'].values()) == [3]


def test_swapped_sizes_do_not_excuse_another_image(tmp_path):
  tiny = tiny_vistas.TinyVistas(tmp_path, 'v1.2')
  _edit_json(_exchange)(tiny)
  Image.new('RGB', (tiny_vistas.HEIGHT, tiny_vistas.WIDTH)).save(
      tiny.folder / 'images' / 'M2kh.jpg')
  read = _read(tiny)
  read.encode(read.images[0])
  with pytest.raises(errors.UserError, match='M2kh.png: expected 12x16 pixels'):
    read.encode(read.images[1])


def _segment(key, value):
  return _edit_json(
      lambda c: c['annotations'][1]['segments_info'][2].update({key: value}))


@pytest.mark.parametrize('edit, message', [
    (_segment('area', 0), 'the JSON gives the area 0'),
    (_segment('category_id', 117), 'category_id 117, which the JSON does not'),
    (_segment('category_id', [1]), "expected an integer 'category_id'"),
    (_segment('id', 5), 'no pixel has the id of segment 5'),
    (_segment('id', None), "expected an integer 'id'"),
    (_edit_json(lambda c: c['annotations'][1]['segments_info'].pop()),
     'which is not among the segments_info'),
    (_edit_json(lambda c: c['annotations'][1]['segments_info'].append('x')),
     "expected an integer 'id'"),
    (_edit_json(lambda c: c['images'][1].update(width=17)),
     'panoptic/M2kh.png: expected 17x12 pixels .* as the JSON says'),
    (lambda t: Image.new('RGB', (16, 13)).save(
        t.folder / 'images' / 'M2kh.jpg'),
     r'M2kh.png: expected 16x13 pixels .* as in .*M2kh.jpg, got 16x12'),
    (lambda t: (t.json_path.parent / 'M2kh.png').write_bytes(b'\x89PNG'),
     'M2kh.png: damaged'),
])
def test_mistakes_in_a_panoptic_label(tmp_path, edit, message):
  tiny = tiny_vistas.TinyVistas(tmp_path, 'v2.0')
  edit(tiny)
  read = _read(tiny)
  read.encode(read.images[0])
  with pytest.raises(errors.UserError, match=message) as raised:
    read.encode(read.images[1])
  assert '\n' not in str(raised.value)


def _instances(value, dtype=np.uint16, shape=(12, 16), keep_labels=True):
  def run(tiny):
    Image.fromarray(np.full(shape, value, dtype)).save(
        tiny.base / 'instances' / 'M2kh.png')
    if not keep_labels:
      (tiny.base / 'labels' / 'M2kh.png').unlink()
  return run


@pytest.mark.parametrize('edit, message', [
    (_instances(66 * 256, keep_labels=False),
     r'has the value 16896, whose class would be 66 .* classes 0\.\.65'),
    (_instances(256), 'labels/M2kh.png: its pixel in row 0, column 0 says '
     'class 0, .*instances/M2kh.png says 1'),
    (_instances(1, np.uint8), 'one channel of ids .mode I;16 or I., got mode'),
    (_instances(1, shape=(12, 17)), 'labels/M2kh.png: has 16x12 pixels'),
    (_instances(1, shape=(12, 17), keep_labels=False),
     'instances/M2kh.png: expected 16x12 pixels'),
])
def test_mistakes_in_instances(tmp_path, edit, message):
  tiny = tiny_vistas.TinyVistas(tmp_path, 'v1.2')
  shutil.rmtree(tiny.json_path.parent)
  edit(tiny)
  read = _read(tiny)
  read.encode(read.images[0])
  with pytest.raises(errors.UserError, match=message):
    read.encode(read.images[1])


def test_another_spec_is_refused(tmp_path):
  tiny = tiny_vistas.TinyVistas(tmp_path, 'v1.2')
  with pytest.raises(errors.UserError, match='--dataset=custom'):
    _read(tiny, options=splits.ReadOptions(spec='coco'))


@pytest.mark.parametrize('version', ['v1.2', 'v2.0'])
def test_toy_layouts(shared_dir, tmp_path, version):
  root = shared_dir / 'data' / 'toy_layouts' / 'mapillary_vistas_dataset'
  copy = tmp_path / 'toy'
  shutil.copytree(root, copy)
  for path in copy.glob('*/*/panoptic/*.json'):
    path.unlink()
  for split in ('train', 'val'):
    labels = []
    for folder in (root, copy):
      read = mapillary.read_split(str(folder), split, OPTIONS, version)
      assert [c.name for c in read.spec.categories] == [
          label['name'] for label in json.loads(
              (root / f'config_{version}.json').read_text())['labels']]
      labels.append([_label(read.encode(image)) for image in read.images])
    for one, other in zip(*labels):
      np.testing.assert_array_equal(one // 1000, other // 1000)
      # instances/ cannot mark the crowds that the JSON of val has.
      is_crowd = one % 1000 == 0
      assert split == 'val' or not is_crowd.any()
      np.testing.assert_array_equal(one[~is_crowd], other[~is_crowd])


def test_images_and_labels_behind_links(tmp_path):
  tiny = tiny_vistas.TinyVistas(tmp_path / 'vistas', 'v1.2')
  for place in (tiny.folder / 'images', tiny.base / 'instances',
                tiny.base / 'panoptic' / 'M2kh.png'):
    elsewhere = tmp_path / f'{place.name}_elsewhere'
    place.rename(elsewhere)
    place.symlink_to(elsewhere)
  assert len(_read(tiny).images) == 3
  tiny.json_path.unlink()
  assert len(_read(tiny).images) == 3
