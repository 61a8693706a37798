"""Specs from instance JSONs and from PNGs, which then convert the data."""

import json
import shutil

import numpy as np
import pytest

from axial_tf import errors
from data_prep.readers import (
  coco_instances,
  infer_instances,
  infer_masks,
  infer_spec,
  masks,
  splits,
)
from tests.data_prep import tiny_exports

CAT, DOG, BIRD = tiny_exports.CAT, tiny_exports.DOG, tiny_exports.BIRD


@pytest.fixture
def root(tmp_path):
  return tmp_path / 'pets'


def _spec(find, root, split='train', semantic_dir=None, background=None):
  options = splits.ReadOptions(
      background=background, paths=splits.DataPaths(semantic_dir=semantic_dir))
  return infer_spec.write_spec(
      str(root), str(root.parent / 'spec.json'),
      find(str(root), split, options))


def _classes(spec):
  return {c.id: (c.name, c.is_thing) for c in spec.categories}


_THINGS = {CAT: ('cat', True), DOG: ('dog', True), BIRD: ('bird', True)}


class TestInstances:

  def test_all_categories_are_things(self, root):
    tiny_exports.label_studio(root)
    spec = _spec(infer_instances.find, root)
    assert spec.name == 'pets' and spec.label_divisor == 256
    assert _classes(spec) == _THINGS
    read = coco_instances.read_split(
        str(root), 'train', splits.ReadOptions(spec=str(
            root.parent / 'spec.json')))
    assert all(read.encode(image).serialized for image in read.images)

  def test_many_instances(self, root):
    tiny_exports.label_studio(root)
    content = json.loads((root / 'result.json').read_text())
    content['annotations'] += [content['annotations'][0]] * 700
    tiny_exports.write_json(root / 'result.json', content)
    assert _spec(infer_instances.find, root).label_divisor == 1024

  def test_background(self, root):
    """A category of the JSON, or a new one with a free id."""
    tiny_exports.label_studio(root)
    assert _classes(_spec(infer_instances.find, root, background='floor')) == {
        0: ('floor', False), **_THINGS}
    assert _classes(_spec(infer_instances.find, root, background='bird')) == {
        **_THINGS, BIRD: ('bird', False)}

  def test_names_that_roboflow_repeats(self, root):
    tiny_exports.roboflow(root)
    assert _classes(_spec(infer_instances.find, root)) == {
        0: ('cat', True), **_THINGS, CAT: ('cat (1)', True)}

  def test_values_of_semantic_pngs_are_stuff(self, root):
    tiny_exports.cvat(root)
    for name in tiny_exports.NAMES:
      tiny_exports.save(root / 'semantic' / f'{name}.png', np.array(
          [[0, 255, 7, CAT, 9]], np.uint8))
    spec = _spec(infer_instances.find, root, semantic_dir='semantic')
    assert _classes(spec) == {
        **_THINGS, 7: ('class 7', False), 9: ('class 9', False)}
    for name in tiny_exports.NAMES:
      tiny_exports.save(root / 'semantic' / f'{name}.png', np.array(
          [[(0, 0, 0), (9, 8, 7)]], np.uint8))
    spec = _spec(infer_instances.find, root, semantic_dir='semantic')
    assert _classes(spec) == {**_THINGS, 4: ('color 9,8,7', False)}
    assert spec.by_source_id[4].color == (9, 8, 7)
    (root / 'semantic' / 'a_1.png').unlink()
    with pytest.raises(errors.UserError, match='a_1.png: cannot be read'):
      _spec(infer_instances.find, root, semantic_dir='semantic')

  @pytest.mark.parametrize('changes, message', [
      ({'categories': None}, "result.json: expected a list under 'categories'"),
      ({'categories': [{'name': 'x'}]}, r"categories\[0\]: expected 'id'"),
      ({'categories': [{'id': 1}]}, r"categories\[0\]: expected 'name'"),
      ({'categories': [{'id': 1, 'name': ['x']}]}, "expected 'name'"),
      ({'categories': [{'id': 1, 'name': ''}]}, 'result.json: Category.name'),
      ({'categories': [{'id': 'a', 'name': 'x'}]}, r"expected 'id' \(int\)"),
      ({'categories': [{'id': -1, 'name': 'x'}]}, 'result.json: Category.id'),
      ({'categories': []}, 'at least one category'),
      ({'images': []}, 'lists no images'),
  ])
  def test_a_mistake_is_named(self, root, changes, message):
    tiny_exports.label_studio(root)
    content = json.loads((root / 'result.json').read_text())
    tiny_exports.write_json(root / 'result.json', {**content, **changes})
    with pytest.raises(errors.UserError, match=message):
      _spec(infer_instances.find, root)
    assert not (root.parent / 'spec.json').exists()


class TestMasks:

  @pytest.mark.parametrize('make, first', [
      (tiny_exports.cvat_masks, 'background'),
      (tiny_exports.labelme2voc, '_background_')])
  def test_names_and_colors_of_tools(self, root, make, first, capsys):
    """A class without annotation stays in, as stuff."""
    make(root)
    spec = _spec(infer_masks.find, root)
    assert 'void' not in capsys.readouterr().out
    assert _classes(spec) == {
        0: (first, False), **_THINGS, BIRD: ('bird', False)}
    colors = {c.id: c.color for c in spec.categories}
    used = (0, CAT, DOG) if make is tiny_exports.labelme2voc else (
        0, CAT, DOG, BIRD)
    assert {i: colors[i] for i in used} == {
        i: tiny_exports.COLORS[i] for i in used}
    read = masks.read_split(str(root), 'train', splits.ReadOptions(
        spec=str(root.parent / 'spec.json')))
    encoded = [read.encode(image) for image in read.images]
    assert all(set(e.counts['pixels']) == {0, 1, 2} for e in encoded)

  def test_values_and_colors_without_names(self, root, capsys):
    tiny_exports.folders(root)
    assert _classes(_spec(infer_masks.find, root)) == {
        CAT: ('class 1', True), DOG: ('class 2', True)}
    assert 'semantic: 0 taken for void; add' in capsys.readouterr().out
    for name in tiny_exports.NAMES:
      tiny_exports.save(root / 'semantic' / f'{name}.png',
                        tiny_exports.colored(tiny_exports.classes()))
    assert _classes(_spec(infer_masks.find, root)) == {
        1: ('color 128,0,0', True), 2: ('color 0,128,0', True)}
    assert 'semantic: (0, 0, 0) taken for void' in capsys.readouterr().out

  def test_many_instances(self, root):
    tiny_exports.folders(root)
    tiny_exports.save(root / 'semantic' / 'a_1.png',
                      np.full([30, 30], BIRD, np.uint8))
    tiny_exports.save(root / 'instances' / 'a_1.png',
                      np.arange(900, dtype=np.uint16).reshape(30, 30))
    spec = _spec(infer_masks.find, root)
    assert spec.label_divisor == 1024
    assert spec.by_source_id[BIRD].is_thing

  def test_without_instance_pngs_all_is_stuff(self, root):
    tiny_exports.folders(root)
    shutil.rmtree(root / 'instances')
    assert not _spec(infer_masks.find, root).thing_ids

  @pytest.mark.parametrize('text, message', [
      ('cat:1,2::', "got 'cat:1,2::'; correct"),
      ('cat:1,2,256::', 'expected lines name:red,green,blue'),
      ('cat:1,2,3', 'expected lines name:red,green,blue'),
      ('cat:1,2,3::\ncat:1,2,4::', "each name and color once, got 'cat'"),
      ('cat:1,2,3::\ndog:1,2,3::', r'once, got \(1, 2, 3\) twice'),
  ])
  def test_names_that_are_not_valid(self, root, text, message):
    tiny_exports.cvat_masks(root)
    (root / 'labelmap.txt').write_text(text)
    with pytest.raises(errors.UserError, match=f'labelmap.txt: .*{message}'):
      _spec(infer_masks.find, root)

  def test_pngs_of_two_types_or_of_void_or_another_size(self, root):
    tiny_exports.folders(root)
    path = root / 'semantic' / 'b_1.png'
    tiny_exports.save(path, tiny_exports.colored(tiny_exports.classes()))
    with pytest.raises(errors.UserError, match=(
        r'b_1.png: expected one channel \(ids\) as in .*a_1.png, got three')):
      _spec(infer_masks.find, root)
    tiny_exports.save(path, np.zeros([5, 5], np.uint8))
    with pytest.raises(errors.UserError, match='b_1.png: has 6x8 pixels'):
      _spec(infer_masks.find, root)
    for name in tiny_exports.NAMES:
      tiny_exports.save(root / 'semantic' / f'{name}.png',
                        255 * (tiny_exports.classes() > 0).astype(np.uint8))
    with pytest.raises(errors.UserError, match=(
        r'semantic: its PNGs have no values but those of void, \[0, 255\]')):
      _spec(infer_masks.find, root)
