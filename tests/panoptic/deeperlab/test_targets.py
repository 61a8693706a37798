"""Targets against a plain reference, by hand, mirrored, and on odd labels."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.panoptic.deeperlab import instance_table, keypoints, targets

# Classes 1 and 2 are things, 0 and 3 stuff; 9 is void.
_IDS = {'thing_ids': (2, 1), 'label_divisor': 16, 'ignore_label': 9}
_LABELS = [9 * 16, 0, 3 * 16, 16, 17, 18, 19, 2 * 16 + 1, 2 * 16 + 15]


def _targets(panoptic, stride=4, **settings):
  got = targets.keypoint_targets(
      tf.constant(panoptic, tf.int32), **_IDS, stride=stride,
      settings=targets.KeypointTargetSettings(
          **{'max_instances': 16, **settings}))
  return {name: value[0].numpy() for name, value in got.items()}


def _random_label(rng, height, width):
  label = np.full([height, width], rng.choice([0, 3 * 16]))
  for _ in range(rng.integers(7)):
    top, left = rng.integers(height), rng.integers(width)
    label[top:top + rng.integers(1, height + 1),
          left:left + rng.integers(1, width + 1)] = rng.choice(_LABELS)
  return label


def _instances(label):
  """Yields the mask and the five keypoints of each instance, by label."""
  for value in np.unique(label):
    if value // 16 in (1, 2) and value % 16:
      y, x = np.nonzero(label == value)
      top, bottom, left, right = y.min(), y.max(), x.min(), x.max()
      yield label == value, np.array([
          (top, left), (top, right), (bottom, left), (bottom, right),
          (y.mean(), x.mean())], np.float32)


def _plain(label, radius, stride):
  """The definitions, pixel by pixel."""
  rows, columns = (-(-n // stride) for n in label.shape)
  maps = {name: np.zeros([rows, columns, channels], np.float32)
          for name, channels in (
              ('keypoint_heatmap', 5), ('long_offset', 10), ('long_weight', 5),
              ('short_offset', 10), ('short_weight', 5),
              ('middle_offset', 16), ('middle_weight', 8))}
  maps['keypoint_weight'] = np.zeros([rows, columns], np.float32)
  instances = list(_instances(label))
  for i, j in np.ndindex(rows, columns):
    place = np.array([stride * i, stride * j])
    value = label[tuple(place)]
    counts = value // 16 != 9 and not (
        value // 16 in (1, 2) and value % 16 == 0)
    maps['keypoint_weight'][i, j] = counts
    for mask, points in instances:
      if mask[tuple(place)]:
        maps['long_offset'][i, j] = (points - place).ravel()
        maps['long_weight'][i, j] = 1
    for kind in range(5):
      squares = [((points[kind] - place)**2).sum() for _, points in instances]
      if not squares or min(squares) > radius**2:
        continue
      points = instances[int(np.argmin(squares))][1]
      maps['keypoint_heatmap'][i, j, kind] = 1
      maps['short_offset'][i, j, 2 * kind:2 * kind + 2] = points[kind] - place
      maps['short_weight'][i, j, kind] = counts
      for edge, (start, end) in enumerate(keypoints.EDGES):
        if start == kind:
          maps['middle_offset'][i, j, 2 * edge:2 * edge + 2] = (
              points[end] - place)
          maps['middle_weight'][i, j, edge] = counts
  return maps


def _assert_equal(got, expected):
  for name, value in expected.items():
    np.testing.assert_allclose(
        got[name], value, rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize('stride', [1, 4])
def test_random_labels_match_the_definitions(stride):
  rng = np.random.default_rng(stride)
  for size in [(1, 1), (1, 17), (13, 1), *((14, 17),) * 12]:
    label = _random_label(rng, *size)
    radius = rng.choice([0.5, 2.0, 6.5])
    got = _targets(label, stride, radius=float(radius))
    _assert_equal(got, _plain(label, radius, stride))
    is_crowd = np.isin(label, [16])
    np.testing.assert_array_equal(
        got['semantic'], np.where(is_crowd, 9, label // 16))


def test_a_rectangle_by_hand():
  label = np.zeros([9, 9], int)
  label[2:5, 3:7] = 17
  got = _targets(label, 1, radius=1.0)
  inside = got['long_offset'][2, 3].reshape(5, 2)
  np.testing.assert_array_equal(
      inside, [[0, 0], [0, 3], [2, 0], [2, 3], [1, 1.5]])
  assert got['long_weight'].sum() == 5 * 12
  # A corner's disk of radius 1 is a cross; the center lies between two pixels.
  np.testing.assert_array_equal(
      np.argwhere(got['keypoint_heatmap'][..., 0]),
      [[1, 3], [2, 2], [2, 3], [2, 4], [3, 3]])
  np.testing.assert_array_equal(
      np.argwhere(got['keypoint_heatmap'][..., 4]), [[3, 4], [3, 5]])
  np.testing.assert_array_equal(
      got['short_offset'][1, 3].reshape(5, 2)[0], [1, 0])
  edge = keypoints.EDGES.index((0, 4))
  np.testing.assert_array_equal(
      got['middle_offset'][1, 3].reshape(8, 2)[edge], [2, 1.5])
  np.testing.assert_array_equal(
      got['semantic_weight'], np.where(label, 3.0, 1.0))


def test_equally_near_keypoints_belong_to_the_lower_label():
  label = np.zeros([1, 9], int)
  label[0, 2], label[0, 6] = 18, 17
  offset = _targets(label, 1, radius=3.0)['short_offset'][0, :, 1]
  # To column 2 before the middle, at it and after it to column 6.
  np.testing.assert_array_equal(offset, [2, 1, 0, -1, 2, 1, 0, -1, -2])


def test_an_instance_in_two_parts_has_one_box_and_center():
  label = np.zeros([9, 9], int)
  label[1, 1], label[7, 7] = 17, 17
  offset = _targets(label, 1)['long_offset'][1, 1].reshape(5, 2)
  np.testing.assert_array_equal(
      offset, [[0, 0], [0, 6], [6, 0], [6, 6], [3, 3]])


@pytest.mark.parametrize('value', [9 * 16, 0, 16])
def test_without_instances_there_is_nothing_to_point_to(value):
  got = _targets(np.full([5, 5], value))
  for name in ('keypoint_heatmap', 'long_weight', 'short_weight',
               'middle_weight', 'long_offset', 'middle_offset'):
    assert not got[name].any(), name
  # Void and crowds teach the heatmap nothing, either.
  assert got['keypoint_weight'].all() == (value == 0)


def test_more_instances_than_rows_leave_the_largest():
  label = np.zeros([6, 12], int)
  label[0, :2], label[2, :4], label[4, :3] = 17, 18, 19
  got = _targets(label, 1, max_instances=2, radius=0.5)
  np.testing.assert_array_equal(
      got['long_weight'][..., 0], np.isin(label, [18, 19]))
  np.testing.assert_array_equal(
      got['semantic'], np.where(label == 17, 9, label // 16))
  assert got['keypoint_heatmap'][..., 0].sum() == 2


def test_three_hundred_instances_all_have_keypoints():
  ids = {**_IDS, 'label_divisor': 512}
  label = 512 + 1 + np.arange(300).reshape(15, 20).repeat(2, 0).repeat(2, 1)
  maps = targets.compact(tf.constant(label, tf.int32), **ids)
  assert maps['instances'] == 300
  points = maps['keypoints'].numpy()
  assert not points[300:].any()
  np.testing.assert_array_equal(points[21], [
      (2, 2), (2, 3), (3, 2), (3, 3), (2.5, 2.5)])
  _, row = instance_table.kind_and_row(maps['instance'])
  np.testing.assert_array_equal(row, label - 513)


def test_mirroring_the_label_mirrors_the_targets():
  rng = np.random.default_rng(1)
  for _ in range(5):
    label = _random_label(rng, 13, 17)  # 17 = 4 * 4 + 1: the grid is mirrored.
    heads = {name: value[np.newaxis] for name, value in _targets(
        label, radius=6.0).items() if name.endswith(('_offset', 'heatmap'))}
    expected = _targets(label[:, ::-1], radius=6.0)
    for name, head in keypoints.mirrored(heads).items():
      # Between two equally near ones, both images take the lower label.
      np.testing.assert_allclose(head[0], expected[name], atol=1e-5)


def test_the_pipeline_compiles_one_part_and_the_device_the_other():
  rng = np.random.default_rng(2)
  settings = targets.KeypointTargetSettings(radius=6.0, max_instances=16)
  labels = np.stack([_random_label(rng, 14, 17) for _ in range(3)])
  maps = tf.map_fn(
      lambda label: targets.compact(
          label, **_IDS, settings=settings, compiled=True),
      tf.constant(labels, tf.int32), fn_output_signature={
          'panoptic': tf.int32, 'instance': tf.int32, 'keypoints': tf.float32,
          'instances': tf.int32})

  @tf.function(jit_compile=True)
  def expand(maps):
    return targets.expand(
        maps, label_divisor=16, ignore_label=9, settings=settings)

  got = expand(maps)
  for number, label in enumerate(labels):
    expected = _targets(label, radius=6.0)
    _assert_equal({name: value[number] for name, value in got.items()},
                  expected)


@pytest.mark.parametrize('field, value', [
    ('radius', 0.0), ('small_instance_area', -1),
    ('small_instance_weight', float('inf')), ('max_instances', 0)])
def test_settings_out_of_range_are_named(field, value):
  with pytest.raises(errors.UserError, match=f'{field}: expected'):
    targets.KeypointTargetSettings(**{field: value})
