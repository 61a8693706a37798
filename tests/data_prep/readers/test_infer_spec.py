"""A spec from the categories that a JSON lists."""


import pytest

from axial_tf import errors
from axial_tf.specs import dataset_spec
from data_prep.readers import coco, infer_spec, splits


def _write_spec(root, path):
  found = infer_spec.find(str(root), 'val', splits.ReadOptions())
  return infer_spec.write_spec(str(root), str(path), found)


def test_a_spec_that_converts(tiny_coco, tmp_path):
  tiny, path = tiny_coco(), tmp_path / 'specs' / 'spec.json'
  spec = _write_spec(tiny.root, path)
  assert dataset_spec.DatasetSpec.load(str(path)) == spec
  assert spec.name == 'tiny'
  assert (spec.label_divisor, spec.ignore_label) == (256, 255)
  assert [(c.id, c.train_id, c.name, c.is_thing, c.color)
          for c in spec.categories] == [
              (30, 0, 'cat', True, (2, 2, 2)),
              (100, 1, 'ground', False, (1, 1, 1))]
  split = coco.read_custom_split(
      str(tiny.root), 'val', splits.ReadOptions(spec=str(path)))
  assert all(split.encode(image).serialized for image in split.images)


def test_many_categories_and_instances(tiny_coco, tmp_path):
  tiny = tiny_coco()
  tiny.content['categories'] = [
      {'id': i, 'name': f'class {i}', 'isthing': 1} for i in range(300)]
  tiny.content['annotations'][0]['segments_info'] = [
      {'id': i, 'category_id': 7} for i in range(1, 601)]
  tiny.write_json()
  spec = _write_spec(tiny.root, tmp_path / 'spec.json')
  assert spec.ignore_label == 300
  assert spec.label_divisor == 1024
  assert len({c.color for c in spec.categories}) == 300


@pytest.mark.parametrize('changes, message', [
    ({'isthing': None}, 'category 30: expected "isthing" 0 or 1, got None'),
    ({'isthing': 'yes'}, 'expected "isthing" 0 or 1'),
    ({'name': ''}, 'Category.name: expected a non-empty name'),
    ({'name': 'ground'}, "unique values of 'name'"),
    ({'color': [1, 2]}, 'Category.color'),
    ({'color': 'red'}, 'Category.color'),
    ({'id': 'x'}, 'Category.id: expected int'),
    ({'id': 100}, "unique values of 'id'"),
])
def test_a_mistake_is_named(tiny_coco, tmp_path, changes, message):
  tiny = tiny_coco()
  tiny.content['categories'][1].update(changes)
  tiny.write_json()
  with pytest.raises(errors.UserError, match=message) as error:
    _write_spec(tiny.root, tmp_path / 'spec.json')
  assert str(error.value).count('panoptic_val.json') == 1
  assert not (tmp_path / 'spec.json').exists()
