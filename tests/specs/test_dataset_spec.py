"""DatasetSpec: shipped specs equal their sources, mistakes are named."""

import copy
import dataclasses
import json

import pytest

from axial_tf import errors
from axial_tf.specs import dataset_spec

_VALID = {
    'name': 'scenes',
    'label_divisor': 100,
    'ignore_label': 255,
    'categories': [
        {'id': 7, 'train_id': 0, 'name': 'road', 'is_thing': False,
         'color': [128, 64, 128]},
        {'id': 26, 'train_id': 2, 'name': 'car', 'is_thing': True,
         'color': [0, 0, 142]},
        {'id': 3, 'train_id': 1, 'name': 'sky', 'is_thing': False,
         'color': [70, 130, 180]},
    ],
    'merging': {'stuff_area_limit': 10},
}


def _edited(**changes):
  content = copy.deepcopy(_VALID)
  for key, value in changes.items():
    content[key] = value
  return content


def _with_category(index, **changes):
  content = copy.deepcopy(_VALID)
  content['categories'][index].update(changes)
  return content


class TestMeaning:

  def test_derived_values(self):
    spec = dataset_spec.DatasetSpec.from_json(_VALID)
    assert spec.num_classes == 3
    assert spec.thing_ids == (2,)
    assert spec.stuff_ids == (0, 1)
    assert spec.void_label == 25500
    assert spec.category(2).name == 'car'
    assert spec.by_source_id[3].train_id == 1
    assert spec.merging_settings().stuff_area_limit == 10

  def test_ignore_label_in_front_shifts_train_ids(self):
    content = _edited(ignore_label=0)
    for category in content['categories']:
      category['train_id'] += 1
    spec = dataset_spec.DatasetSpec.from_json(content)
    assert spec.num_classes == 4
    assert spec.void_label == 0

  def test_round_trip_through_json_text(self):
    spec = dataset_spec.DatasetSpec.from_json(_VALID)
    text = json.dumps(spec.to_json())
    assert dataset_spec.DatasetSpec.from_json(json.loads(text)) == spec
    assert hash(spec) == hash(dataset_spec.DatasetSpec.from_json(_VALID))

  def test_merging_may_be_absent(self):
    content = _edited()
    del content['merging']
    spec = dataset_spec.DatasetSpec.from_json(content)
    assert spec.merging_settings().stuff_area_limit == 2048

  def test_is_frozen(self):
    spec = dataset_spec.DatasetSpec.from_json(_VALID)
    with pytest.raises(dataclasses.FrozenInstanceError):
      spec.name = 'other'


class TestShipped:

  def test_coco(self):
    spec = dataset_spec.DatasetSpec.load('coco')
    assert (spec.num_classes, spec.label_divisor, spec.ignore_label) == (
        134, 256, 0)
    assert spec.thing_ids == tuple(range(1, 81))
    assert spec.stuff_ids == tuple(range(81, 134))
    # Train ids follow the order of the source ids (DeepLab2's too).
    by_source = sorted(spec.categories, key=lambda c: c.id)
    assert [c.train_id for c in by_source] == list(range(1, 134))
    missing_things = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
    assert [c.id for c in by_source[:80]] == [
        i for i in range(1, 91) if i not in missing_things]
    assert (by_source[0].name, by_source[-1].name) == (
        'person', 'rug-merged')
    merging = spec.merging_settings()
    assert (merging.stuff_area_limit, merging.nms_kernel) == (4096, 7)

  @pytest.mark.parametrize('spec_name, annotations', [
      ('coco', 'coco_panoptic_sample/annotations/panoptic_val2017.json'),
      ('camvid', 'camvid_panoptic/annotations/panoptic_train.json'),
  ])
  def test_equals_the_official_categories(
      self, shared_dir, project_root, spec_name, annotations):
    path = project_root / 'gin_configs' / 'datasets' / f'{spec_name}.json'
    spec = dataset_spec.DatasetSpec.load(
        str(path) if path.exists() else spec_name)
    official = json.loads(
        (shared_dir / 'data' / annotations).read_text())['categories']
    assert {
        (c['id'], c['name'], bool(c['isthing']), tuple(c['color']))
        for c in official
    } == {(c.id, c.name, c.is_thing, c.color) for c in spec.categories}


@pytest.mark.parametrize('content, message', [
    ([], 'expected a JSON object'),
    (_edited(label_divisr=3), "unknown key 'label_divisr'"),
    ({k: v for k, v in _VALID.items() if k != 'ignore_label'},
     "missing 'ignore_label'"),
    (_edited(categories=[]), 'at least one category'),
    (_edited(categories={}), 'expected a list'),
    (_edited(categories=[7]), r'categories\[0\]: expected a JSON object'),
    (_edited(name=3), 'expected str'),
    (_edited(label_divisor=1), 'label_divisor: expected 2'),
    (_edited(label_divisor=70000), 'label_divisor: expected 2..65536'),
    (_edited(ignore_label=1), 'other than a train_id'),
    (_edited(ignore_label=-1), 'ignore_label'),
    (_edited(merging={'nms': 3}), "merging: unknown key 'nms'"),
    (_edited(merging={'nms_kernel': 'x'}), 'nms_kernel: expected int'),
    (_with_category(1, id=7),
     r"unique values of 'id'.*category 7 \(road\) and category 7 \(car\)"),
    (_with_category(1, train_id=1), "unique values of 'train_id'"),
    (_with_category(1, name='sky'), "unique values of 'name'"),
    (_with_category(1, train_id=3), 'train ids 0..2 without gaps.*got 3'),
    (_with_category(1, train_id=-1), 'train_id: expected'),
    (_with_category(0, is_thing=0), 'is_thing: expected bool'),
    (_with_category(0, color=[1, 2]), 'color: expected'),
    (_with_category(0, color=[1, 2, 256]), 'color: expected three integers'),
    (_with_category(0, isthing=1), r"categories\[0\]: unknown key 'isthing'"),
])
def test_a_mistake_is_named_with_its_file(content, message):
  with pytest.raises(errors.UserError, match=message) as error:
    dataset_spec.DatasetSpec.from_json(content, source='my/spec.json')
  assert str(error.value).startswith('dataset spec my/spec.json: ')
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('instances, divisor, ignore', [
    (0, 256, 255), (255, 256, 255), (256, 512, 255), (65_534, 65_536, 255),
    (65_535, 65_536, 255), (65_536, 131_072, 2), (3_000_000, 4_194_304, 2),
    (2 ** 24 // 3 - 1, 2 ** 24 // 3, 2)])
def test_labels_get_room_for_more_instances(instances, divisor, ignore):
  spec = _large_spec()
  larger = spec.with_room(instances)
  assert (larger.label_divisor, larger.ignore_label) == (divisor, ignore)
  assert larger.categories == spec.categories
  assert larger.void_label < 2 ** 24


def test_instances_without_labels_are_refused():
  with pytest.raises(errors.UserError, match=(
      'expected at most 5592404 instances .* 24 bits .* got 5592405')):
    _large_spec().with_room(2 ** 24 // 3)


def _large_spec():
  return dataset_spec.DatasetSpec(
      name='cells', label_divisor=256, ignore_label=255, categories=tuple(
          dataset_spec.Category(i, i, f'c{i}', i == 1, (0, 0, 0))
          for i in range(2)))


class TestLoad:

  def test_reads_a_file(self, tmp_path):
    path = tmp_path / 'scenes.json'
    path.write_text(json.dumps(_VALID))
    spec = dataset_spec.DatasetSpec.load(str(path))
    assert spec == dataset_spec.DatasetSpec.from_json(_VALID)

  def test_unknown_name_lists_the_shipped_ones(self):
    with pytest.raises(errors.UserError, match=(
        'cocoo: no such file; expected a shipped name .*coco.*JSON file')):
      dataset_spec.DatasetSpec.load('cocoo')

  def test_folder_is_not_a_spec(self, tmp_path):
    with pytest.raises(errors.UserError, match='expected a shipped name.*JSON'):
      dataset_spec.DatasetSpec.load(str(tmp_path))

  def test_broken_json_names_the_line(self, tmp_path):
    path = tmp_path / 'broken.json'
    path.write_text('{"name": "x",\n  oops}')
    with pytest.raises(errors.UserError, match=r'broken\.json.*line 2'):
      dataset_spec.DatasetSpec.load(str(path))
