"""Instance AP equals pycocotools on the masks themselves."""

import contextlib
import io
import pickle

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from pycocotools import coco, cocoeval, mask
import pytest

from axial_tf import errors
from axial_tf.evaluation import instance_ap, label_maps
from axial_tf.specs import dataset_spec

_DIVISOR = 16
_SPEC = dataset_spec.DatasetSpec(
    name='test', label_divisor=_DIVISOR, ignore_label=255, categories=tuple(
        dataset_spec.Category(i + 1, i, f'c{i}', i >= 1, (i, i, i))
        for i in range(3)))
_VOID = _SPEC.void_label
_CAR = _DIVISOR


def _by_masks(images):
  """Scores (truth, prediction, scores) with run-length masks."""
  sides = [[], []]
  for number, (*maps, scores) in enumerate(images):
    for is_prediction, (side, labels) in enumerate(zip(sides, maps)):
      for label in np.unique(labels):
        category, instance = divmod(int(label), _DIVISOR)
        if category not in _SPEC.thing_ids:
          continue
        masks = mask.encode(np.asfortranarray(labels == label, np.uint8))
        side.append({
            'id': len(side) + 1, 'image_id': number, 'category_id': category,
            'segmentation': masks, 'area': int((labels == label).sum()),
            'iscrowd': int(instance == 0 and not is_prediction),
            **({'score': scores[int(label)]} if is_prediction else {})})
  with contextlib.redirect_stdout(io.StringIO()):
    data = []
    for side in sides:
      data.append(coco.COCO())
      data[-1].dataset = {
          'images': [{'id': n, 'height': i[0].shape[0],
                      'width': i[0].shape[1]} for n, i in enumerate(images)],
          'annotations': side,
          'categories': [{'id': i} for i in _SPEC.thing_ids]}
      data[-1].createIndex()
    evaluation = cocoeval.COCOeval(*data, iouType='segm')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
  return evaluation.stats[:6]


def _scene(rng, size):
  labels = [0, _VOID] + [
      c * _DIVISOR + i for c in _SPEC.thing_ids for i in range(6)]
  truth = np.full([size, size], rng.choice(labels[:2]), np.int32)

  def paint(canvas, boxes):
    for _ in range(boxes):
      top, left = rng.integers(size, size=2)
      height, width = rng.integers(1, size + 1, 2)
      canvas[top:top + height, left:left + width] = rng.choice(labels)

  paint(truth, rng.integers(0, 12))
  prediction = np.roll(truth, rng.integers(0, 3), axis=1)
  prediction[(prediction % _DIVISOR == 0) & (prediction != _VOID)] = 0
  paint(prediction, rng.integers(0, 3))
  prediction[(prediction % _DIVISOR == 0) & (prediction != _VOID)] = 0
  scores = {int(label): float(np.round(rng.random(), 1))  # with ties
            for label in np.unique(prediction)}
  return truth, prediction, scores


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4),
       st.sampled_from([8, 60, 200]))
def test_equals_pycocotools_on_masks(seed, count, size):
  rng = np.random.default_rng(seed)
  images = [_scene(rng, size) for _ in range(count)]
  metric = instance_ap.InstanceAP(_SPEC)
  for image in images:
    metric.update(*image)
  result = metric.result()
  for key, expected in zip(instance_ap.KEYS, _by_masks(images)):
    if expected < 0:
      assert result[key] is None, key
    else:
      assert result[key] == pytest.approx(expected, abs=1e-12), key


def _score(truth, prediction, scores):
  metric = instance_ap.InstanceAP(_SPEC)
  metric.update(np.array(truth), np.array(prediction), scores)
  return metric.result()


def test_perfect_instances_score_one_and_absent_ones_nothing():
  labels = [[_CAR + 1] * 4 + [_CAR + 2] * 4 + [0]]
  result = _score(labels, labels, {_CAR + 1: 0.5, _CAR + 2: 0.1})
  assert result['ap'] == result['ap_small'] == pytest.approx(1.0)
  assert result['ap_large'] is None
  assert result['per_class'] == {1: pytest.approx(1.0), 2: None}


def test_the_score_decides_which_of_two_comes_first():
  truth = [[_CAR + 1] * 4 + [0] * 4]
  prediction = [[_CAR + 1] * 4 + [_CAR + 2] * 4]
  sure = _score(truth, prediction, {_CAR + 1: 0.9, _CAR + 2: 0.1})
  fooled = _score(truth, prediction, {_CAR + 1: 0.1, _CAR + 2: 0.9})
  assert sure['ap'] == pytest.approx(1.0)
  assert fooled['ap'] == pytest.approx(0.5)


def test_predictions_on_the_crowd_are_neither_right_nor_wrong():
  truth = [[_CAR + 1] * 4 + [_CAR] * 4]
  prediction = [[_CAR + 1] * 4 + [_CAR + 2] * 2 + [_CAR + 3] * 2]
  scores = {_CAR + 1: 0.1, _CAR + 2: 0.9, _CAR + 3: 0.8}
  assert _score(truth, prediction, scores)['ap'] == pytest.approx(1.0)


def test_no_images_and_no_predictions():
  assert instance_ap.InstanceAP(_SPEC).result()['ap'] is None
  assert _score([[_CAR + 1]], [[0]], {})['ap'] == 0


def test_equal_scores_are_ordered_by_place_and_not_by_worker():
  rng = np.random.default_rng(3)
  images = [_scene(rng, 30) for _ in range(6)]
  # Every score occurs many times, so that the order of images matters.
  images = [(truth, prediction, {label: 0.5 for label in scores})
            for truth, prediction, scores in images]
  whole = instance_ap.InstanceAP(_SPEC)
  workers = [instance_ap.InstanceAP(_SPEC) for _ in range(3)]
  backwards = instance_ap.InstanceAP(_SPEC)
  for place, (truth, prediction, scores) in enumerate(images):
    whole.update(truth, prediction, scores)
    pairs = label_maps.overlaps(truth, prediction, _SPEC)
    workers[2 - place % 2].add(
        pairs, instance_ap.thing_scores(pairs, scores, _SPEC), place)
  for image in reversed(images):
    backwards.update(*image)
  merged = pickle.loads(pickle.dumps(workers[0]))  # Without images.
  for other in workers[1:]:
    merged.merge(other)
  assert merged.result() == whole.result() != backwards.result()
  assert 0 < whole.result()['ap'] < 1


def test_a_thing_without_score_is_refused():
  with pytest.raises(errors.UserError, match='17.*c1'):
    _score([[0]], [[_CAR + 1]], {0: 1.0})
