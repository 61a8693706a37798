"""Mean IoU against its definition by sets of pixels."""

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from axial_tf import errors
from axial_tf.evaluation import mean_iou
from axial_tf.specs import dataset_spec

_SPEC = dataset_spec.DatasetSpec(
    name='test', label_divisor=16, ignore_label=255, categories=tuple(
        dataset_spec.Category(i + 1, i, f'c{i}', i == 2, (i, i, i))
        for i in range(3)))
_VOID = _SPEC.void_label
_CROWD = 2 * 16
_LABELS = [0, 16, _CROWD, _CROWD + 1, _CROWD + 2, _VOID]


def _score(truth, prediction):
  metric = mean_iou.MeanIoU(_SPEC)
  metric.update(np.array(truth), np.array(prediction))
  return metric.result()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9))
def test_equals_the_definition_by_sets(seed, height, width):
  rng = np.random.default_rng(seed)
  truth, prediction = rng.choice(_LABELS, [2, height, width])
  counted = (truth != _VOID) & (truth != _CROWD)
  expected = {}
  for train_id in range(3):
    true = (truth // 16 == train_id) & counted
    predicted = (prediction // 16 == train_id) & counted
    union = (true | predicted).sum()
    expected[train_id] = (true & predicted).sum() / union if union else None
  result = _score(truth, prediction)
  assert result['per_class'] == expected
  present = [iou for iou in expected.values() if iou is not None]
  assert result['miou'] == pytest.approx(np.mean(present) if present else 0)
  right = (truth // 16 == prediction // 16)[counted]
  assert result['pixel_accuracy'] == pytest.approx(
      right.mean() if right.size else 0)


def test_instances_do_not_matter_and_predicted_void_is_a_miss():
  result = _score([[_CROWD + 1, _CROWD + 1, 0, 0]],
                  [[_CROWD + 2, _CROWD, _VOID, 0]])
  assert result['per_class'] == {0: 0.5, 1: None, 2: 1.0}
  assert result['miou'] == 0.75 and result['pixel_accuracy'] == 0.75


def test_void_and_crowd_of_the_truth_do_not_count():
  result = _score([[_VOID, _CROWD, 16]], [[0, 0, 16]])
  assert result['per_class'] == {0: None, 1: 1.0, 2: None}


def test_merging_replicas_equals_one_stream():
  images = np.random.default_rng(0).choice(_LABELS, [4, 2, 5, 7])
  whole = mean_iou.MeanIoU(_SPEC)
  replicas = [mean_iou.MeanIoU(_SPEC), mean_iou.MeanIoU(_SPEC)]
  for number, (truth, prediction) in enumerate(images):
    whole.update(truth, prediction)
    replicas[number % 2].update(truth, prediction)
  replicas[0].merge(replicas[1])
  assert replicas[0].result() == whole.result()


def test_an_unknown_class_is_refused():
  with pytest.raises(errors.UserError, match='train id 3'):
    _score([[0]], [[48]])
