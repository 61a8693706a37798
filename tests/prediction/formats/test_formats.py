"""The official readers read back what the writers write."""

import contextlib
import io
import json

import hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
from PIL import Image
from pycocotools import coco, mask
import pytest

from axial_tf import errors
from axial_tf.evaluation import file_scores, panoptic_files
from axial_tf.prediction import results
from axial_tf.prediction.formats import cityscapes as cityscapes_results
from axial_tf.prediction.formats import coco as coco_results
from axial_tf.prediction.formats import mapillary as mapillary_results
from axial_tf.specs import dataset_spec
from data_prep.readers import mapillary_labels

_SPEC = dataset_spec.DatasetSpec(
    name='test', label_divisor=1000, ignore_label=255, categories=tuple(
        dataset_spec.Category(10 * i + 7, i, f'c{i}', i >= 1, (i, i, i))
        for i in range(3)))
_VOID = _SPEC.void_label
_MAP = np.array([[0, 0, 1003, 1003, 1003],
                 [0, _VOID, 1001, 1001, 2002],
                 [0, _VOID, _VOID + 4, 1001, 2002]])
_SCORES = {1001: 0.1, 1003: 1 / 3, 2002: 1.0}


def _result(label_map=_MAP, scores=_SCORES, spec=_SPEC):
  return results.PanopticResult.from_map(label_map, spec, scores)


def _write(path, labels, scores=None, **kwargs):
  writer = coco_results.PanopticWriter(str(path), _SPEC)
  for number, label_map in enumerate(labels):
    writer.add(number, f'{number}.png', _result(label_map, scores), **kwargs)
  writer.close()


def test_panoptic_segments_have_area_box_category_and_score(tmp_path):
  _write(tmp_path / 'p.json', [_MAP], scores=_SCORES)
  content = json.loads((tmp_path / 'p.json').read_text())
  assert content['categories'][1] == {
      'id': 17, 'name': 'c1', 'isthing': 1, 'color': [1, 1, 1]}
  segments = content['annotations'][0]['segments_info']
  assert [s['category_id'] for s in segments] == [7, 17, 17, 27]
  assert [s['area'] for s in segments] == [4, 3, 3, 2]
  assert [s['bbox'] for s in segments] == [
      [0, 0, 2, 3], [2, 1, 2, 2], [2, 0, 3, 1], [4, 1, 1, 2]]
  assert [s.get('score') for s in segments] == [None, 0.1, 1 / 3, 1.0]
  rgb = np.asarray(Image.open(tmp_path / 'p' / '0.png')).astype(int)
  ids = rgb @ [1, 256, 65536]
  labels = np.array([_VOID, 0, 1001, 1003, 2002])
  np.testing.assert_array_equal(
      labels[ids], np.where(_MAP >= _VOID, _VOID, _MAP))


def test_written_maps_score_as_they_should(tmp_path):
  crowd = np.where(_MAP == 1003, 1000, _MAP)
  _write(tmp_path / 't.json', [_MAP, crowd], is_truth=True)
  _write(tmp_path / 'p.json', [_MAP, _MAP], scores=_SCORES)
  truth, prediction = (
      panoptic_files.PanopticFiles.load(str(tmp_path / f'{n}.json'))
      for n in 'tp')
  scores = file_scores.FileScores(truth.spec())
  for image in panoptic_files.compare(truth, prediction, truth.spec()):
    scores.add(image)
  result = scores.result()
  assert result['pq']['all']['pq'] == result['miou']['miou'] == 1.0
  assert result['ap']['ap'] == pytest.approx(1.0)
  assert 'AP 100.00' in scores.format_table()
  assert result['pq']['per_class'][17]['tp'] == 3  # the crowd is none


def test_empty_maps_can_be_written_and_scored(tmp_path):
  _write(tmp_path / 'p.json', [np.full([2, 3], _VOID)])
  content = json.loads((tmp_path / 'p.json').read_text())
  assert content['annotations'][0]['segments_info'] == []


def test_an_image_twice_or_another_ending_is_refused(tmp_path):
  with pytest.raises(errors.UserError, match='.json'):
    coco_results.PanopticWriter(str(tmp_path / 'folder'), _SPEC)
  writer = coco_results.PanopticWriter(str(tmp_path / 'p.json'), _SPEC)
  writer.add(1, '1.png', _result())
  with pytest.raises(errors.UserError, match='image 1 comes twice'):
    writer.add(1, '1.png', _result())


def test_detections_are_read_by_pycocotools(tmp_path):
  writer = coco_results.DetectionWriter(str(tmp_path / 'd.json'))
  writer.add(42, _result())
  writer.close()
  truth = coco.COCO()
  truth.dataset = {
      'images': [{'id': 42, 'height': 3, 'width': 5}], 'annotations': [],
      'categories': [{'id': 17}, {'id': 27}]}
  with contextlib.redirect_stdout(io.StringIO()):
    truth.createIndex()
    found = truth.loadRes(str(tmp_path / 'd.json'))
  found = found.loadAnns(found.getAnnIds())
  assert [f['category_id'] for f in found] == [17, 17, 27]
  assert [f['score'] for f in found] == [0.1, 1 / 3, 1.0]
  for result, label in zip(found, (1001, 1003, 2002)):
    np.testing.assert_array_equal(
        mask.decode(result['segmentation']), _MAP == label)
  assert found[1]['bbox'] == [2, 0, 3, 1]
  with pytest.raises(errors.UserError, match='score.*1003'):
    writer.add(43, _result(scores={1001: 0.1}))


@hypothesis.given(hnp.arrays(
    np.int32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.sampled_from([0, 1001, 1002])))
def test_detections_have_the_runs_of_pycocotools(panoptic):
  writer = coco_results.DetectionWriter('detections.json')
  result = _result(panoptic, {0: 1.0, 1001: 1.0, 1002: 1.0})
  writer.add(1, result)
  for thing, entry in zip(result.things(), writer._results):
    expected = mask.encode(np.asfortranarray(panoptic == thing.id, np.uint8))
    assert entry['segmentation'] == {
        'size': list(panoptic.shape), 'counts': expected['counts'].decode()}


def test_cityscapes_files(tmp_path):
  cityscapes_results.write_label_ids(str(tmp_path), 'a', _result())
  ids = np.asarray(Image.open(tmp_path / 'a_labelIds.png'))
  np.testing.assert_array_equal(ids, [
      [7, 7, 17, 17, 17], [7, 0, 17, 17, 27], [7, 0, 0, 17, 27]])
  cityscapes_results.write_instances(str(tmp_path), 'a', _result())
  lines = (tmp_path / 'a.txt').read_text().splitlines()
  assert [line.split()[1:] for line in lines] == [
      ['17', '0.1'], ['17', '0.3333333333333333'], ['27', '1.0']]
  mask_png = np.asarray(Image.open(tmp_path / lines[0].split()[0]))
  np.testing.assert_array_equal(mask_png > 0, _MAP == 1001)


@pytest.mark.parametrize('version', ['1.2', '2.0'])
def test_mapillary_instances_are_read_back(tmp_path, version):
  spec = dataset_spec.DatasetSpec.load(f'mapillary_v{version}')
  # As in v2.0, classes that are not evaluated stand between the others.
  names = [c.name for c in spec.categories]
  names[7:7] = ['void--ambiguous', 'void--unlabeled']
  thing, stuff = spec.thing_ids[3], spec.stuff_ids[5]
  labels = np.array([[thing, thing, stuff, spec.ignore_label]]) * (
      spec.label_divisor) + [1, 2, 0, 0]
  result = _result(labels, None, spec)
  mapillary_results.write_instances(str(tmp_path), 'x', result, names)
  values = np.asarray(Image.open(tmp_path / 'x.png')).astype(np.int32)
  assert values[0, 3] == 256 * 8
  categories = {c.name: c.id for c in spec.categories}
  back = mapillary_labels.from_instances(
      values, [categories.get(name) for name in names], spec, 'x', 'keep')
  np.testing.assert_array_equal(back, labels)
  with pytest.raises(errors.UserError, match='256 instances'):
    mapillary_results.write_instances(
        str(tmp_path), 'x', _result(labels + [[300, 0, 0, 0]], None, spec),
        names)
  with pytest.raises(errors.UserError, match='void--unlabeled'):
    mapillary_results.write_instances(
        str(tmp_path), 'x', result, names[:7] + names[9:])


@pytest.mark.parametrize('write', [
    lambda folder, labels: _write(folder / 'p.json', [labels]),
    lambda folder, labels: cityscapes_results.write_label_ids(
        str(folder), 'a', _result(labels))])
def test_illegal_labels_are_refused(tmp_path, write):
  with pytest.raises(errors.UserError, match='train id 9'):
    write(tmp_path, np.full([2, 2], 9000))
  assert not list(tmp_path.rglob('*.png'))
