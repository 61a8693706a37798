import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.panoptic.ssap import (
  cascade_settings,
  pixel_labels,
  pixel_labels_in_graph,
)

Settings = cascade_settings.CascadeSettings
_LABELS = {'classes': 4, 'thing_ids': (1, 2), 'label_divisor': 10,
           'void_label': 90, 'window': 5}


def _label(segments, category, stride=1, **settings):
  settings = Settings(**{'stuff_area_limit': 0, **settings})
  maps = np.array(segments, np.int32), np.array(category, np.int32)
  found = pixel_labels.panoptic_labels(
      *maps, stride=stride, settings=settings, **_LABELS)
  in_graph = pixel_labels_in_graph.panoptic_labels(
      *map(tf.constant, maps), stride=stride, settings=settings, **_LABELS)
  np.testing.assert_array_equal(in_graph, found)
  return found.tolist()


def test_instances_take_the_class_of_most_pixels():
  assert _label([[5, 5, 5, 2, 0]], [[1, 1, 2, 2, 3]]) == [
      [11, 11, 11, 21, 30]]


def test_numbers_count_within_a_class_up_to_the_divisor():
  row = list(range(1, 13))
  assert _label([row], [[1] * 12]) == [
      [11, 12, 13, 14, 15, 16, 17, 18, 19, 90, 90, 90]]


def test_stuff_below_its_limit_is_void():
  assert _label(
      [[0, 0, 0]], [[0, 0, 3]], stuff_area_limit=2) == [[0, 0, 90]]


def test_things_without_a_segment_take_the_nearest_in_the_window():
  panoptic = _label([[7, 0, 0, 0, 0, 8]], [[1] * 6])
  assert panoptic == [[11, 11, 11, 12, 12, 12]]
  panoptic = _label([[7, 0, 0, 0, 0, 0]], [[1] * 6])
  assert panoptic == [[11, 11, 11, 90, 90, 90]]


def test_small_instances_and_those_beyond_the_limit_are_void():
  segments, category = [[1, 2, 2, 3, 3, 3]], [[1] * 6]
  assert _label(segments, category, min_instance_area=2) == [
      [90, 11, 11, 12, 12, 12]]
  assert _label(segments, category, max_instances=1) == [
      [90, 90, 90, 11, 11, 11]]


def test_pixels_take_the_nearest_cell():
  panoptic = _label([[1, 2]], [[1] * 8], stride=4)
  assert panoptic == [[11, 11, 12, 12, 12, 12, 12, 12]]


def test_random_maps_are_labeled_alike_in_the_graph():
  rng = np.random.default_rng(0)
  for seed in range(5):
    _label(rng.integers(0, 40, [5, 7]), rng.integers(0, 4, [18, 26]),
           stride=4, stuff_area_limit=30, min_instance_area=seed,
           max_instances=20)


@pytest.mark.parametrize('settings', [
    {'start_stride': 128}, {'stop_stride': 2},
    {'start_stride': 8, 'stop_stride': 16}, {'max_instances': 0},
    {'min_instance_area': -1}, {'stuff_area_limit': -1}])
def test_bad_settings(settings):
  field = list(settings)[-1]
  with pytest.raises(errors.UserError, match=f'{field}: expected'):
    Settings(**settings)


def test_strides_between_start_and_stop():
  assert Settings().strides == (64, 32, 16, 8, 4)
  assert Settings(start_stride=32, stop_stride=8).strides == (32, 16, 8)
