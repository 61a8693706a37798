"""Each type of error is shown where it is, as panoptic quality counts it."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from axial_tf import errors, visualize
from axial_tf.evaluation import panoptic_quality
from axial_tf.specs import dataset_spec
from axial_tf.visualize import mistakes

_SPEC = dataset_spec.DatasetSpec(
    name='test', label_divisor=100, ignore_label=9, categories=(
        dataset_spec.Category(1, 0, 'road', False, (128, 64, 128)),
        dataset_spec.Category(2, 1, 'car', True, (0, 0, 142)),
        dataset_spec.Category(3, 2, 'van', True, (250, 250, 250))))
_VOID = _SPEC.void_label
_CROWD = 100
_RIGHT, _CATEGORY, _INSTANCE, _MISSED, _NO_TRUTH = range(5)


@pytest.mark.parametrize('truth, prediction, kinds', [
    ([0, 0], [0, 0], [_RIGHT] * 2),
    # Stuff has no instances: touching is enough.
    ([0, 101, 101, 101], [0, 0, 0, 0], [_RIGHT] + [_CATEGORY] * 3),
    ([101, 101, 102], [105, 105, 106], [_RIGHT] * 3),
    ([101, 101], [201, 201], [_CATEGORY] * 2),
    # Merged: only the larger one has more than half of the union.
    ([101, 101, 101, 102], [103] * 4, [_RIGHT] * 3 + [_INSTANCE]),
    # Cut into halves: neither has more than half.
    ([101, 101], [101, 102], [_INSTANCE] * 2),
    ([101, 101, 0], [_VOID] * 3, [_MISSED] * 3),
    ([_VOID, _VOID], [0, _VOID], [_NO_TRUTH] * 2),
    # What the prediction has on void does not count.
    ([101, _VOID, _VOID], [101] * 3, [_RIGHT] + [_NO_TRUTH] * 2),
    ([_CROWD] * 3, [101, 102, 201], [_RIGHT, _RIGHT, _CATEGORY])])
def test_types_of_errors(truth, prediction, kinds):
  found = mistakes.error_kinds(
      np.array([truth]), np.array([prediction]), _SPEC)
  assert found[0].tolist() == kinds


_LABELS = st.sampled_from([0, _CROWD, 101, 102, 201, 202, _VOID])


@given(st.lists(st.tuples(_LABELS, _LABELS), min_size=1, max_size=12))
def test_right_instances_are_the_true_positives_of_the_panoptic_quality(pairs):
  truth, prediction = np.array(pairs).T[:, np.newaxis]
  prediction = np.where(prediction == _CROWD, 103, prediction)
  kinds = mistakes.error_kinds(truth, prediction, _SPEC)
  is_instance = np.isin(truth // 100, _SPEC.thing_ids) & (truth % 100 > 0)
  matched = np.unique(truth[is_instance & (kinds == _RIGHT)])
  quality = panoptic_quality.PanopticQuality(_SPEC)
  quality.update(truth, prediction)
  per_class = quality.result()['per_class']
  assert len(matched) == sum(per_class[i]['tp'] for i in _SPEC.thing_ids)


def test_the_legend_shows_shares_of_the_pixels_with_ground_truth():
  image = np.full([4, 400, 3], 90, np.uint8)
  truth = np.zeros([4, 400], np.int32)
  prediction = truth.copy()
  prediction[:, :100] = 101
  picture = visualize.error_map(image, truth, prediction, _SPEC)
  assert picture.shape[1] == 400
  assert len(np.unique(picture[:4, :100].reshape(-1, 3), axis=0)) == 1
  assert np.ptp(picture[0, 0].astype(int)) > 100, 'wrong is colored'
  assert np.ptp(picture[0, 399].astype(int)) == 0, 'right is grey'
  truth[:, 200:] = _VOID
  darker = visualize.error_map(image, truth, prediction, _SPEC)
  assert darker[0, 399].max() < picture[0, 399].min() / 2
  assert (darker[4:] != picture[4:]).any(), '50 instead of 25 %'


@pytest.mark.parametrize('shape', [(1, 1), (3, 200), (50, 2)])
@pytest.mark.parametrize('label', [0, 101, _VOID])
def test_odd_sizes(shape, label):
  labels = np.full(shape, label, np.int32)
  picture = visualize.error_map(
      np.zeros([*shape, 3], np.uint8), labels, labels, _SPEC)
  assert picture.dtype == np.uint8
  assert picture.shape[0] > shape[0] and picture.shape[1] >= shape[1]


def test_sizes_must_agree():
  with pytest.raises(errors.UserError, match='of one size'):
    visualize.error_map(np.zeros([2, 2, 3], np.uint8), np.zeros([2, 2], int),
                        np.zeros([2, 3], int), _SPEC)
