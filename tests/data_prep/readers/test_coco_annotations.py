"""The JSON of COCO panoptic: both layouts, and what it must contain."""

import functools
import json
import pickle
import shutil

import pytest

from axial_tf import errors
from data_prep.readers import (
  coco_annotations,
  coco_panoptic,
  listed_files,
  splits,
)


def _read(tiny, spec):
  return coco_annotations.read_split(str(tiny.root), tiny.split, spec)


@pytest.mark.parametrize('images', ['flat', 'images'])
def test_both_layouts(tiny_coco, tiny_spec, images):
  tiny = tiny_coco(images=images)
  found = _read(tiny, tiny_spec)
  assert [image.filename for image in found] == ['0.jpg', '1.jpg', '2.jpg']
  assert found[2].image_path == str(tiny.image_dir / '2.jpg')
  assert found[2].label_path == str(tiny.label_dir / '2.png')
  assert (found[2].height, found[2].width) == (8, 6)
  assert len(found[2].segments) == 4
  assert pickle.loads(pickle.dumps(found)) == found


def test_file_names_may_have_folders(tiny_coco, tiny_spec):
  tiny = tiny_coco()
  (tiny.image_dir / 'city').mkdir()
  shutil.move(tiny.image_dir / '0.jpg', tiny.image_dir / 'city' / '0.jpg')
  tiny.content['images'][0]['file_name'] = 'city/0.jpg'
  tiny.write_json()
  assert _read(tiny, tiny_spec)[0].filename == 'city/0.jpg'


def test_images_without_annotation_are_left_out(tiny_coco, tiny_spec, caplog):
  tiny = tiny_coco()
  del tiny.content['annotations'][1]
  tiny.write_json()
  with caplog.at_level('WARNING', logger='absl'):
    found = _read(tiny, tiny_spec)
  assert [image.filename for image in found] == ['0.jpg', '2.jpg']
  assert 'left out 1 images' in caplog.text


def test_another_name_for_a_category_is_only_a_warning(
    tiny_coco, tiny_spec, caplog):
  tiny = tiny_coco()
  tiny.content['categories'][1]['name'] = 'Katze'
  tiny.content['categories'].append({'id': 3, 'name': 'dog', 'isthing': 1})
  tiny.write_json()
  with caplog.at_level('WARNING', logger='absl'):
    assert len(_read(tiny, tiny_spec)) == 3
  assert "'Katze'" in caplog.text


def _set(path, value):
  """An edit of the JSON: _set(('images', 0, 'id'), 3)."""

  def edit(tiny):
    entry = tiny.content
    for key in path[:-1]:
      entry = entry[key]
    if value is None:
      del entry[path[-1]]
    else:
      entry[path[-1]] = value
    tiny.write_json()

  return edit


def _unreadable(content):
  return lambda tiny: tiny.json_path.write_bytes(content)


def _remove(folder, name=''):
  def edit(tiny):
    path = getattr(tiny, folder)
    if name:
      (path / name).unlink()
    else:
      shutil.rmtree(path)
  return edit


def test_labels_may_be_next_to_the_annotations(tiny_coco, tiny_spec):
  """As some tools unpack them: panoptic_val/ in the data set's folder."""
  tiny = tiny_coco()
  moved = tiny.root / 'panoptic_val'
  shutil.move(tiny.label_dir, moved)
  assert _read(tiny, tiny_spec)[0].label_path == str(moved / '0.png')


class TestTestSplit:

  def test_its_list(self, tiny_coco, tiny_spec):
    tiny = tiny_coco(split='test')
    tiny.json_path.unlink()
    del tiny.content['images'][1], tiny.content['annotations']
    path = tiny.json_path.with_name('image_info_test.json')
    path.write_text(json.dumps(tiny.content))
    found = _read(tiny, tiny_spec)
    assert [(i.filename, i.label_path, i.height, i.width) for i in found] == [
        ('0.jpg', None, 8, 6), ('2.jpg', None, 8, 6)]

  def test_its_folder(self, tiny_coco, tiny_spec):
    tiny = tiny_coco(split='test')
    tiny.json_path.unlink()
    (tiny.image_dir / 'notes.txt').write_text('no image')
    assert [(i.filename, i.width) for i in _read(tiny, tiny_spec)] == [
        ('0.jpg', None), ('1.jpg', None), ('2.jpg', None)]

  def test_with_annotations_it_is_labeled(self, tiny_coco, tiny_spec):
    assert _read(tiny_coco(split='test'), tiny_spec)[0].label_path


def _break_link(tiny):
  (tiny.image_dir / '0.jpg').unlink()
  (tiny.image_dir / '0.jpg').symlink_to('/nowhere/0.jpg')


def test_a_link_to_nothing_is_a_missing_file(tiny_coco, tiny_spec):
  tiny = tiny_coco()
  _break_link(tiny)
  read = splits.Split('val', None, _read(tiny, tiny_spec), None, False)
  with pytest.raises(errors.UserError, match='1 of 3 images are missing'):
    listed_files.require_present(read, 0)


def test_data_behind_links(tiny_coco, tiny_spec):
  """One image, the folder of labels and the data set are links."""
  tiny = tiny_coco()
  elsewhere = tiny.root.parent / 'elsewhere'
  elsewhere.mkdir()
  shutil.move(tiny.image_dir / '0.jpg', elsewhere / 'real.jpg')
  (tiny.image_dir / '0.jpg').symlink_to(elsewhere / 'real.jpg')
  shutil.move(tiny.label_dir, elsewhere / 'labels')
  tiny.label_dir.symlink_to(elsewhere / 'labels')
  link = tiny.root.parent / 'link'
  link.symlink_to(tiny.root)
  assert len(coco_annotations.read_split(str(link), 'val', tiny_spec)) == 3


def test_ids_as_text_and_as_numbers_are_the_same(tiny_coco, tiny_spec):
  tiny = tiny_coco()
  expected = _read(tiny, tiny_spec)
  for image in tiny.content['images']:
    image.update(id=f'{image["id"]:012d}', height='8', width=6.0)
  for category in tiny.content['categories']:
    category.update(id=float(category['id']), isthing=str(category['isthing']))
  for annotation in tiny.content['annotations']:
    for segment in annotation['segments_info']:
      segment.update({key: str(segment[key]) for key in (
          'id', 'category_id', 'area', 'iscrowd')})
  tiny.write_json()
  found = _read(tiny, tiny_spec)
  assert [(i.filename, i.size) for i in found] == [
      (i.filename, (6, 8)) for i in expected]
  encode = functools.partial(
      coco_panoptic.encode, spec=tiny_spec, options=splits.ReadOptions())
  assert [encode(image) for image in found] == [
      encode(image) for image in expected]


@pytest.mark.parametrize('edit, message', [
    (_unreadable(b'{"images": ['), 'panoptic_val.json: not a readable JSON'),
    (_unreadable(b'\xff\xfe\x00'), 'panoptic_val.json: cannot be read .line 1'),
    (_unreadable(b'[1]'), 'expected a JSON object.*got a list'),
    (_unreadable(b'{}'), "expected a list under 'images'"),
    (lambda tiny: tiny.json_path.unlink(), 'panoptic_val.json: no such file'),
    (_set(('images', 1, 'file_name'), None),
     r"images\[1\]: expected 'file_name' \(str\), got nothing"),
    (_set(('images', 1, 'height'), '8 px'), r"images\[1\]: expected 'height'"),
    (_set(('images', 1, 'height'), 8.5), r"images\[1\]: expected 'height'"),
    (_set(('images', 1, 'id'), '040'), 'two images have the id 40'),
    (_set(('annotations', 0, 'segments_info'), None),
     r"annotations\[0\]: expected 'segments_info'.*not the COCO panoptic"),
    (_set(('images', 1, 'id'), 40), 'two images have the id 40'),
    (_set(('annotations', 1, 'image_id'), 40), "'0.jpg' has two annotations"),
    (_set(('annotations', 1, 'image_id'), 9), 'refers to image 9'),
    (_set(('annotations',), []), 'no annotated images'),
    (_set(('images', 1, 'file_name'), '0.jpg'), "'0.jpg' is listed twice"),
    (_set(('images', 1, 'file_name'), './0.jpg'), "'./0.jpg' is listed twice"),
    (_set(('annotations', 1, 'file_name'), '0.png'), "'0.png' is listed twice"),
    (_set(('images', 0, 'file_name'), 'a\0b.jpg'), 'no such file'),
    (_set(('images', 0, 'file_name'), '\ud800.jpg'), 'no such file'),
    (_set(('images', 0, 'file_name'), ''), 'no such file'),
    (_set(('images', 0, 'id'), True),
     r"images\[0\]: expected 'id' \(int or str\), got True"),
    (_set(('images', 0, 'id'), [1]), r"images\[0\]: expected 'id'"),
    (_set(('categories',), 'none'), "expected a list under 'categories'"),
    (_set(('categories', 0, 'id'), {}), r"categories\[0\]: expected 'id'"),
    (_set(('categories', 0, 'isthing'), [1]), r'isthing \[1\]'),
    (_unreadable(b'[' * 100000), 'not a readable JSON'),
    (_set(('categories', 0, 'isthing'), 1),
     'category 100 .ground. has isthing 1'),
    (_set(('images', 0, 'file_name'), '../../secret.jpg'), 'leads out of'),
    (_set(('annotations', 0, 'file_name'), '/etc/x.png'), 'leads out of'),
    (_remove('image_dir'), "no images of split 'val'.*images/val"),
    (_remove('label_dir'), "no labels of split 'val'.*panoptic_val"),
    (_remove('root'), '--input_dir=.*expected a folder'),
])
def test_a_mistake_is_named(tiny_coco, tiny_spec, edit, message):
  tiny = tiny_coco()
  edit(tiny)
  with pytest.raises(errors.UserError, match=message) as error:
    _read(tiny, tiny_spec)
  assert '\n' not in str(error.value)
