"""Heads that equal the targets reproduce the label; odd data; settings.

Many small scenes are laid side by side in one map: a decoding takes about as
long for all of them as for one.
"""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.panoptic import merging
from axial_tf.panoptic.deeperlab import decoding, keypoints, targets
from axial_tf.panoptic.deeperlab.decoding_settings import (
  DeeperLabDecodingSettings,
)

_SCENE, _GAP, _SCENES = 24, 4, 4  # Pixels, pixels, and scenes per side.
_PITCH = _SCENE + _GAP
_SIDE = _SCENES * _PITCH
_IDS = {'thing_ids': (1, 2), 'label_divisor': 256}
_VOID = 9 * 256
_RADIUS = 4.0
_DISTANCE = 2.0
_TARGETS = targets.KeypointTargetSettings(radius=_RADIUS, max_instances=160)
_SETTINGS = DeeperLabDecodingSettings(
    radius=_RADIUS, keypoint_distance=_DISTANCE, max_keypoints=600,
    max_instances=160)
_HEADS = ('keypoint_heatmap', 'long_offset', 'short_offset', 'middle_offset')


def _heads(labels, stride=1, settings=_TARGETS):
  """What a perfect network would output for labels [batch, h, w]."""
  maps = tf.map_fn(
      lambda label: targets.compact(
          label, **_IDS, ignore_label=9, settings=settings), labels,
      fn_output_signature={
          'panoptic': tf.TensorSpec(labels.shape[1:], tf.int32),
          'instance': tf.TensorSpec(labels.shape[1:], tf.int32),
          'keypoints': tf.TensorSpec([settings.max_instances, 5, 2]),
          'instances': tf.TensorSpec([], tf.int32)})
  found = targets.expand(
      maps, label_divisor=256, ignore_label=9, settings=settings,
      stride=stride)
  return {name: found[name] for name in _HEADS}


def _decode(labels, heads, stride=1, settings=_SETTINGS):
  # Void is a class that no head has: any other one does.
  semantic = tf.where(labels // 256 == 9, 0, labels // 256)
  return decoding.decode(
      semantic, heads, classes=4, **_IDS, void_label=_VOID,
      settings=settings, stride=stride)


def _round_trip(labels, stride=1, settings=_SETTINGS):
  labels = tf.constant(labels, tf.int32)
  outputs = _decode(
      labels, _heads(labels, stride, dataclasses.replace(
          _TARGETS, radius=settings.radius)), stride, settings)
  return outputs['panoptic_map'].numpy()


def _scene(rng):
  """A label of rectangles and disks, each on top of those before."""
  label = np.full([_SCENE, _SCENE], rng.choice([0, 3 * 256]))
  number = 0
  for _ in range(rng.integers(8)):
    height, width = rng.integers(1, _SCENE + 1, 2)
    top, left = rng.integers(_SCENE, size=2)
    number += 1
    value = rng.choice([0, 3 * 256]) if rng.random() < 0.25 else (
        rng.choice([256, 512]) + number)
    if rng.random() < 0.5:
      label[top:top + height, left:left + width] = value
    else:
      y, x = np.mgrid[:_SCENE, :_SCENE]
      label[((y - top) / height)**2 + ((x - left) / width)**2 <= 0.25] = value
  return label


def _points(label):
  """Keypoints [instances, 5, 2] of a scene."""
  rows = []
  for value in np.unique(label[label % 256 > 0]):
    y, x = np.nonzero(label == value)
    top, bottom, left, right = y.min(), y.max(), x.min(), x.max()
    rows.append([(top, left), (top, right), (bottom, left), (bottom, right),
                 (y.mean(), x.mean())])
  return np.array(rows).reshape(-1, 5, 2)


def _overlap(points):
  low, high = points[:, 0], points[:, 3] + 1
  shared = np.prod(np.maximum(
      np.minimum(high[:, np.newaxis], high)
      - np.maximum(low[:, np.newaxis], low), 0), -1)
  area = np.prod(high - low, -1)
  return shared / (area[:, np.newaxis] + area - shared)


def _is_within_limits(label):
  """Whether keypoints of a kind are 3 pixels apart, and boxes overlap little.

  Nearer ones lie in one another's cells, or in the distance within which
  keypoints count as one.
  """
  points = _points(label)
  apart = np.linalg.norm(points[:, np.newaxis] - points, axis=-1).min(-1)
  others = ~np.eye(len(points), dtype=bool)
  return (apart[others] >= 3).all() and (_overlap(points)[others] <= 0.5).all()


def _mosaic(scenes):
  """Lays scenes of stuff and things on a ground of stuff."""
  whole = np.zeros([_SIDE, _SIDE], np.int32)
  for number, scene in enumerate(scenes):
    top, left = (_PITCH * n for n in divmod(number, _SCENES))
    scene = np.where(scene % 256 > 0, scene + 8 * number, scene)
    whole[top:top + _SCENE, left:left + _SCENE] = scene
  return whole


def _scenes(label):
  """The inverse of `_mosaic`, but for the numbers of instances."""
  for top in range(0, _SIDE, _PITCH):
    for left in range(0, _SIDE, _PITCH):
      yield label[top:top + _SCENE, left:left + _SCENE]


def _same_segments(label, other):
  """Whether two maps have the same segments, however they are numbered."""
  pairs = np.unique(np.stack([label.ravel(), other.ravel()]), axis=1)
  return (pairs.shape[1] == np.unique(label).size == np.unique(other).size
          and (pairs[0] // 256 == pairs[1] // 256).all())


@pytest.fixture(scope='module')
def perfect():
  """A round trip of mosaics [4, side, side] in one graph."""
  return tf.function(
      lambda labels: _decode(labels, _heads(labels))['panoptic_map'],
      autograph=False, input_signature=[
          tf.TensorSpec([4, _SIDE, _SIDE], tf.int32)])


def _through(perfect, scenes):
  per_map = _SCENES**2
  mosaics = np.stack([_mosaic(scenes[i:i + per_map])
                      for i in range(0, len(scenes), per_map)])
  for start in range(0, len(mosaics), 4):
    labels = mosaics[start:start + 4]
    yield from zip(labels, perfect(tf.constant(labels)).numpy())


@pytest.mark.parametrize('count', [256, pytest.param(
    2048, marks=pytest.mark.long)])
def test_scenes_within_the_limits_are_reproduced(perfect, count):
  rng = np.random.default_rng(0)
  scenes = []
  while len(scenes) < count:
    scene = _scene(rng)
    if _is_within_limits(scene):
      scenes.append(scene)
  assert sum(len(_points(scene)) for scene in scenes) > 1.4 * count
  for label, got in _through(perfect, scenes):
    assert _same_segments(label, got)


def test_beyond_the_limits_most_scenes_are_reproduced(perfect):
  rng = np.random.default_rng(1)
  scenes = [_scene(rng) for _ in range(192)]
  right = [_same_segments(scene, other)
           for label, got in _through(perfect, scenes)
           for scene, other in zip(_scenes(label), _scenes(got))]
  assert len(right) == 192 and np.mean(right) > 0.95


@pytest.fixture(scope='module')
def small():
  """Two labels of few instances, their heads at stride 4, and the map."""
  rng = np.random.default_rng(2)
  labels = np.stack([np.where(
      scene % 256 > 3, 256 + scene % 256, scene)
      for scene in (_scene(rng) for _ in range(2))])
  labels = tf.constant(labels, tf.int32)
  heads = _heads(labels, stride=4)
  return labels, heads, _decode(labels, heads, 4)


def _same_outputs(outputs, expected):
  np.testing.assert_array_equal(
      outputs['panoptic_map'], expected['panoptic_map'])
  np.testing.assert_allclose(
      outputs['score_map'], expected['score_map'], atol=1e-5)


@pytest.mark.slow
def test_a_graph_of_unknown_sizes_gives_the_same(small):
  labels, heads, expected = small
  graph = tf.function(
      lambda labels, heads: _decode(labels, heads, 4), input_signature=[
          tf.TensorSpec([None, None, None], tf.int32),
          {name: tf.TensorSpec([None, None, None, head.shape[-1]])
           for name, head in heads.items()}])
  _same_outputs(graph(labels, heads), expected)


@pytest.mark.long
def test_xla_compiles_all_of_it(small):
  labels, heads, expected = small
  _same_outputs(tf.function(_decode, jit_compile=True)(
      labels, heads, 4), expected)


# Sizes that no stride divides; instances far enough apart for stride 4.
@pytest.mark.parametrize('size', [(61, 90), (64, 87)])
def test_at_stride_4_each_instance_is_found(size):
  label = np.zeros([1, *size], int)
  label[0, 3:25, 5:30], label[0, 30:61, 8:34] = 257, 258
  label[0, 10:50, 40:60], label[0, 2:, 70:] = 513, 514
  settings = DeeperLabDecodingSettings(radius=12.0)
  got = _round_trip(label, 4, settings)
  for value in (257, 258, 513, 514):
    found, count = np.unique(got[label == value], return_counts=True)
    assert found[count.argmax()] // 256 == value // 256
    assert count.max() > 0.97 * count.sum()
  assert len(np.unique(got)) == len(np.unique(label))


def test_mirrored_heads_give_the_mirrored_map():
  label = np.zeros([1, 33, 33], int)
  label[0, 3:13, 4:12], label[0, 12:30, 16:29] = 257, 258
  heads = _heads(tf.constant(label, tf.int32), 4)
  expected = _decode(tf.constant(label, tf.int32), heads, 4)['panoptic_map']
  got = _decode(tf.constant(label[:, :, ::-1].copy(), tf.int32),
                keypoints.mirrored(heads), 4)['panoptic_map']
  assert _same_segments(expected.numpy()[:, :, ::-1], got.numpy())


_ODD = {
    'no things': [],
    'one instance of the whole image': [(0, 0, 40, 40)],
    'instances of one pixel': [(3, 3, 4, 4), (3, 20, 4, 21), (30, 8, 31, 9)],
    'one inside another': [(0, 0, 40, 40), (4, 4, 14, 14)],
    'corners at the same place': [(5, 5, 30, 15), (5, 5, 15, 30)],
}


@pytest.mark.parametrize('name', _ODD)
def test_odd_labels_are_reproduced(name):
  label = np.zeros([1, 40, 40], int)
  for number, (top, left, bottom, right) in enumerate(_ODD[name], 257):
    label[0, top:bottom, left:right] = number
  assert _same_segments(label[0], _round_trip(label)[0])


def test_an_instance_in_two_parts_stays_one():
  label = np.zeros([1, 40, 40], int)
  label[0, 2:8, 2:8] = label[0, 30:36, 25:39] = 257
  label[0, 12:20, 5:30] = 258
  assert _same_segments(label[0], _round_trip(label)[0])


def test_concentric_instances_are_not_told_apart():
  """The limit of the representation: a center leads to one instance only.

  What fills the frame has corners of its own, but from their center the way
  leads to the corners of the frame.
  """
  for margin in (2, 12):
    label = np.zeros([1, 40, 40], int)
    label[0, 5:35, 5:35] = 257
    label[0, 5 + margin:35 - margin, 5 + margin:35 - margin] = 258
    got = _round_trip(label)[0]
    assert len(np.unique(got[label[0] == 257])) == 1
    assert not _same_segments(label[0], got)
    assert (got[label[0] == 0] == 0).all() and got.max() < 2 * 256


def test_boxes_that_overlap_by_more_than_half_are_one_instance():
  label = np.zeros([1, 40, 40], int)
  label[0, 2:38, 2:30], label[0, 8:38, 4:36] = 257, 258
  assert _overlap(_points(label[0]))[0, 1] > 0.5
  assert len(np.unique(_round_trip(label)[0][label[0] > 0])) == 1
  assert _same_segments(label[0], _round_trip(
      label, settings=dataclasses.replace(
          _SETTINGS, max_box_overlap=0.9))[0])


@pytest.mark.slow
def test_three_hundred_instances_and_fewer_slots():
  label = np.zeros([1, 90, 120], int)
  for number in range(300):
    top, left = 6 * (number // 20), 6 * (number % 20)
    label[0, top:top + 4, left:left + 4] = 257 + number % 255 + 256 * (
        number // 255)
  settings = dataclasses.replace(
      _SETTINGS, max_instances=300, max_keypoints=2000)
  labels = tf.constant(label, tf.int32)
  heads = _heads(labels, settings=dataclasses.replace(
      _TARGETS, max_instances=300))
  got = _decode(labels, heads, settings=settings)['panoptic_map'][0].numpy()
  assert _same_segments(label[0], got)
  # The rest of the pixels goes to the nearest of those that are left.
  fewer = dataclasses.replace(_SETTINGS, max_instances=50)
  got = _decode(labels, heads, settings=fewer)['panoptic_map'][0].numpy()
  assert len(np.unique(got[label[0] > 0])) == 50


def test_things_without_a_keypoint_are_void_or_one_instance():
  labels = tf.constant(np.pad(np.full([1, 5, 5], 257), [(0, 0), (3, 3), (3, 3)]
                              ), tf.int32)
  nothing = {name: tf.zeros_like(head)
             for name, head in _heads(labels).items()}
  settings = dataclasses.replace(_SETTINGS, long_vote_weight=0.0)
  outputs = _decode(labels, nothing, settings=settings)
  is_thing = labels.numpy() > 0
  assert (outputs['panoptic_map'].numpy()[is_thing] == _VOID).all()
  assert not outputs['score_map'].numpy()[is_thing].any()
  assert (outputs['panoptic_map'].numpy()[~is_thing] == 0).all()
  one = _decode(labels, nothing, settings=dataclasses.replace(
      settings, one_instance_without_keypoints=True))['panoptic_map'].numpy()
  assert (one[is_thing] == 257).all()


def test_all_void_has_no_instance():
  label = np.full([1, 20, 20], _VOID)
  assert not _round_trip(label).any()  # The class that takes its place.


def test_instances_on_void_and_crowds_are_reproduced():
  label = np.full([1, 40, 40], _VOID)
  label[0, :20] = 256  # A crowd.
  label[0, 5:15, 5:15], label[0, 12:30, 20:35] = 257, 258
  label[0, 33:] = 3 * 256
  got = _round_trip(label)[0]
  known = (label[0] != _VOID) & (label[0] != 256)
  assert _same_segments(label[0][known], got[known])
  assert len(np.unique(got)) == 4  # Two instances, and stuff in place of void.


def test_nan_heads_are_no_crash():
  labels = tf.constant(np.pad(np.full([1, 5, 5], 257), [(0, 0), (3, 3), (3, 3)]
                              ), tf.int32)
  for name in _HEADS:
    heads = _heads(labels)
    heads[name] *= float('nan')
    assert _decode(labels, heads)['panoptic_map'].shape == (1, 11, 11)


def test_scores_rank_sure_instances_first_and_stuff_has_one():
  label = np.zeros([1, 30, 30], int)
  label[0, 2:12, 2:12], label[0, 16:26, 16:26] = 257, 258
  labels = tf.constant(label, tf.int32)
  heads = _heads(labels)
  heads['keypoint_heatmap'] *= tf.where(
      tf.range(30) < 14, 0.4, 0.9)[:, tf.newaxis, tf.newaxis]
  outputs = _decode(labels, heads)
  score, got = (outputs[key][0].numpy()
                for key in ('score_map', 'panoptic_map'))
  assert 0.2 < score[5, 5] < 0.4 < 0.6 < score[20, 20] < 0.9
  assert score[0, 0] == 1.0
  # The best one has the first number.
  assert got[20, 20] == 257 and got[5, 5] == 258


def test_small_stuff_is_kept_unless_told():
  label = np.zeros([1, 20, 20], int)
  label[0, 3:5, 3:5] = 3 * 256
  assert (_round_trip(label)[0, 3:5, 3:5] == 3 * 256).all()
  limited = dataclasses.replace(_SETTINGS, stuff_area_limit=5)
  assert (_round_trip(label, settings=limited)[0, 3:5, 3:5] == _VOID).all()


def test_the_majority_of_its_pixels_decides_the_class_of_an_instance():
  label = np.zeros([1, 20, 20], int)
  label[0, 4:14, 4:14] = 257
  labels = tf.constant(label, tf.int32)
  semantic = np.where(label > 0, 1, 0)
  semantic[0, 4:7, 4:14] = 2
  outputs = decoding.decode(
      tf.constant(semantic, tf.int32), _heads(labels), classes=4, **_IDS,
      void_label=_VOID, settings=_SETTINGS, stride=1)
  np.testing.assert_array_equal(outputs['panoptic_map'], label)
  assert isinstance(_SETTINGS.merging, merging.MergingSettings)


@pytest.mark.parametrize('field, value', [
    ('radius', 0.0), ('long_by_long', -1), ('long_by_short', 11),
    ('long_vote_weight', -1.0), ('keypoint_threshold', float('nan')),
    ('max_keypoints', 0), ('max_instances', 0), ('max_instances', 1001),
    ('max_box_overlap', 1.5), ('stuff_area_limit', -1)])
def test_settings_out_of_range_are_named(field, value):
  with pytest.raises(errors.UserError, match=f'{field}: expected'):
    dataclasses.replace(DeeperLabDecodingSettings(), **{field: value})
