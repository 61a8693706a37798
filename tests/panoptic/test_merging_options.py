"""Rules against false instances, against plain loops and in odd cases."""

import dataclasses

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.panoptic import merging, suppression

# Classes 0 and 3 are stuff, 1 and 2 things.
_IDS = {'thing_ids': (1, 2), 'label_divisor': 100, 'void_label': 900}
_PLAIN = merging.MergingSettings(nms_kernel=1, stuff_area_limit=0)
_BORDER = dataclasses.replace(_PLAIN, suppression='border')
_ALL = dataclasses.replace(
    _BORDER, nms_kernel=3, max_centers=5, min_instance_area=4,
    min_agreement=0.5)


def _heads(semantic, heatmap, offset=None):
  """Heads with probability 1 for `semantic`; all get a batch of 1."""
  semantic = np.asarray(semantic)
  if offset is None:
    offset = np.zeros([*semantic.shape, 2])
  return (tf.one_hot(semantic, 4)[tf.newaxis],
          tf.constant(np.float32(heatmap)[np.newaxis]),
          tf.constant(np.float32(offset)[np.newaxis]))


def _merged(*heads, settings):
  result = merging.merge(*heads, settings=settings, **_IDS)
  return result['panoptic_map'][0].numpy()


def _squared_distance(a, b):
  return (a[0] - b[0])**2 + (a[1] - b[1])**2


def _plain_reach(semantic, point):
  return min([_squared_distance(point, other)
              for other in np.ndindex(semantic.shape)
              if semantic[other] != semantic[point]], default=np.inf)


def _plain_centers(semantic, heatmap, settings):
  reach = settings.nms_kernel // 2
  peaks = [
      (y, x) for y, x in np.ndindex(heatmap.shape)
      if heatmap[y, x] > settings.center_threshold and heatmap[y, x] == (
          heatmap[max(y - reach, 0):y + reach + 1,
                  max(x - reach, 0):x + reach + 1].max())]
  peaks.sort(key=lambda peak: -heatmap[peak])
  if settings.suppression == 'border':
    kept = []
    for peak in peaks[:2 * settings.max_centers]:
      if not any(semantic[other] in _IDS['thing_ids']
                 and _squared_distance(peak, other) < (
                     _plain_reach(semantic, other)) for other in kept):
        kept.append(peak)
    peaks = kept
  return sorted(peaks[:settings.max_centers])


def _nearest(point, centers):
  distances = [_squared_distance(point, center) for center in centers]
  return centers[int(np.argmin(distances))]


def _passes(pixels, pointed, center, settings):
  radius = np.sqrt(len(pixels) / np.pi)
  agreeing = [np.sqrt(_squared_distance(pointed[pixel], center)) <= radius / 2
              for pixel in pixels]
  return (len(pixels) >= settings.min_instance_area
          and np.mean(agreeing) >= settings.min_agreement)


def _plain_instances(semantic, heatmap, offset, settings):
  """Returns {center: its pixels} by the definitions of all options."""
  is_thing = np.isin(semantic, _IDS['thing_ids'])
  pointed = {place: tuple(np.add(place, offset[place]))
             for place in zip(*np.nonzero(is_thing))}

  centers = _plain_centers(semantic, heatmap, settings)
  segments = {}
  for pixel, point in pointed.items() if centers else ():
    segments.setdefault(_nearest(point, centers), []).append(pixel)
  return {center: pixels for center, pixels in segments.items()
          if _passes(pixels, pointed, center, settings)}


def _random_heads(size, seed):
  """Blobs of one class with offsets that point more or less to the peaks."""
  rng = np.random.default_rng(seed)
  coarse = rng.integers(0, 4, [-(-n // 3) for n in size])
  semantic = coarse.repeat(3, 0).repeat(3, 1)[:size[0], :size[1]]
  heatmap = rng.choice(
      np.float32([0, 0.25, 0.5, 0.75, 1]), size, p=[0.6, 0.1, 0.1, 0.1, 0.1])
  offset = rng.integers(-2, 3, (*size, 2)).astype(np.float32)
  return semantic, heatmap, offset


@pytest.mark.slow
@hypothesis.settings(max_examples=60)
@hypothesis.given(
    st.tuples(st.integers(1, 14), st.integers(1, 14)), st.integers(0, 2**31),
    st.builds(
        merging.MergingSettings, nms_kernel=st.sampled_from([1, 3]),
        max_centers=st.sampled_from([1, 3, 30]),
        stuff_area_limit=st.just(0),
        suppression=st.sampled_from(['window', 'border']),
        min_instance_area=st.sampled_from([0, 1, 2, 9]),
        min_agreement=st.sampled_from([0.0, 0.25, 0.5, 1.0])))
def test_any_heads_match_the_definitions(size, seed, settings):
  semantic, heatmap, offset = _random_heads(size, seed)
  result = merging.merge(
      *_heads(semantic, heatmap, offset), settings=settings, **_IDS)
  panoptic = result['panoptic_map'][0].numpy()
  score = result['score_map'][0].numpy()
  expected = _plain_instances(semantic, heatmap, offset, settings)
  is_instance = np.zeros(size, bool)
  labels = set()
  for center, pixels in expected.items():
    place = tuple(np.transpose(pixels))
    assert len(set(panoptic[place])) == 1
    assert set(score[place]) == {heatmap[center]}
    labels.add(panoptic[place][0])
    is_instance[place] = True
  assert len(labels) == len(expected)
  is_thing = np.isin(semantic, _IDS['thing_ids'])
  assert np.all(panoptic[is_thing & ~is_instance] == _IDS['void_label'])


@pytest.mark.parametrize('size', [(1, 1), (1, 9), (9, 1), (5, 8), (17, 16)])
@pytest.mark.parametrize('classes', [1, 2, 3])
def test_distance_to_the_border_equals_a_search_of_all_pixels(size, classes):
  rng = np.random.default_rng(0)
  coarse = rng.integers(0, classes, [2, *(-(-n // 4) for n in size)])
  semantic = coarse.repeat(4, 1).repeat(4, 2)[:, :size[0], :size[1]]
  points = np.stack(np.mgrid[:size[0], :size[1]], -1).reshape(-1, 2)
  found = suppression.squared_distance_to_border(
      tf.constant(semantic, tf.int32), tf.constant([points] * 2, tf.int32))
  np.testing.assert_array_equal(
      found, [[_plain_reach(image, tuple(point)) for point in points]
              for image in semantic])


@pytest.mark.parametrize('height', range(2, 18))
def test_distance_along_a_column_of_any_height(height):
  rows = np.arange(height)
  column = (rows > 0).astype(np.int32)
  points = np.stack([rows, 0 * rows], -1)
  found = suppression.squared_distance_to_border(
      tf.constant([column, column[::-1]])[..., tf.newaxis],
      tf.constant([points, points], tf.int32))
  expected = np.float32([1, *rows[1:]**2])
  np.testing.assert_array_equal(found, [expected, expected[::-1]])


def test_one_long_instance_keeps_its_highest_peak_only_where_it_is_thick():
  # A bar of 5 x 15: a disk of radius 3 around its middle covers columns 5-9.
  semantic = np.zeros([9, 17], int)
  semantic[2:7, 1:16] = 1
  heatmap = np.zeros([9, 17])
  heatmap[4, [8, 10, 12]] = 0.9, 0.8, 0.7
  panoptic = _merged(*_heads(semantic, heatmap), settings=_BORDER)
  # Column 10 is 2 < 3 away and goes; column 12 is 4 away and stays.
  np.testing.assert_array_equal(np.unique(panoptic), [0, 101, 102])
  assert panoptic[4, 10] == 101 and panoptic[4, 11] == 102


def test_a_peak_that_was_dropped_drops_no_other():
  # 0.9 drops 0.8, which would drop 0.7.
  semantic = np.full([7, 30], 1)
  semantic[0] = semantic[-1] = 0  # Row 3 is 3 away from them.
  heatmap = np.zeros([7, 30])
  heatmap[3, [4, 6, 8]] = 0.9, 0.8, 0.7
  panoptic = _merged(*_heads(semantic, heatmap), settings=_BORDER)
  assert panoptic[3, 4] == panoptic[3, 5] == 101 and panoptic[3, 8] == 102
  assert panoptic.max() == 102


def test_of_equal_peaks_the_first_in_the_image_is_kept():
  heatmap = np.zeros([3, 9])
  heatmap[1, [3, 5]] = 0.5
  result = merging.merge(
      *_heads(np.ones([3, 9], int), heatmap), settings=_BORDER, **_IDS)
  assert np.all(result['panoptic_map'] == 101)
  # Both have the same score: the assignment to column 3 shows in a check.
  offset = np.stack(np.broadcast_arrays(
      1 - np.arange(3)[:, np.newaxis], 3 - np.arange(9)), -1)
  checked = dataclasses.replace(_BORDER, min_agreement=1.0)
  assert np.all(_merged(*_heads(
      np.ones([3, 9], int), heatmap, offset), settings=checked) == 101)


def test_a_thing_on_another_thing_keeps_its_peak():
  # A cup (2) on a table (1) lies deep inside the region of things.
  semantic = np.full([15, 15], 1)
  semantic[6:8, 3:5] = 2
  heatmap = np.zeros([15, 15])
  heatmap[7, 7], heatmap[6, 3] = 0.9, 0.5
  offset = np.stack(np.broadcast_arrays(
      7 - np.arange(15)[:, np.newaxis], 7 - np.arange(15)), -1)
  offset[6:8, 3:5] = [0, 0]
  panoptic = _merged(*_heads(semantic, heatmap, offset), settings=_BORDER)
  np.testing.assert_array_equal(np.where(semantic == 2, 201, 101), panoptic)


def test_the_edge_of_the_image_is_no_border():
  # Things everywhere: one instance, whatever the place of its peak.
  heatmap = np.zeros([4, 6])
  heatmap[0, 0], heatmap[3, 5] = 0.9, 0.8
  panoptic = _merged(*_heads(np.ones([4, 6], int), heatmap), settings=_BORDER)
  np.testing.assert_array_equal(panoptic, np.full([4, 6], 101))


def test_a_peak_outside_things_has_no_disk():
  heatmap = [[0.9, 0.8, 0.0, 0.0, 0.0]]
  panoptic = _merged(*_heads([[0, 0, 0, 0, 1]], heatmap), settings=_BORDER)
  np.testing.assert_array_equal(panoptic, [[0, 0, 0, 0, 101]])
  offset = np.zeros([1, 5, 2])
  offset[0, 4, 1] = -4
  settings = dataclasses.replace(_BORDER, min_agreement=1.0, max_centers=1)
  # The one center is the highest peak, to which the pixel points.
  panoptic = _merged(
      *_heads([[0, 0, 0, 0, 1]], heatmap, offset), settings=settings)
  np.testing.assert_array_equal(panoptic, [[0, 0, 0, 0, 101]])


def test_centers_are_limited_after_the_suppression():
  # The second highest peak is dropped and does not take one of the two places.
  semantic = [[1, 1, 1, 0, 1, 0, 1]]
  heatmap = [[0.0, 0.9, 0.0, 0.0, 0.5, 0.0, 0.6]]
  heatmap[0][2] = 0.8
  two = dataclasses.replace(_BORDER, max_centers=2)
  panoptic = _merged(*_heads(semantic, heatmap), settings=two)
  # (0, 2) is 1 < 2 away from (0, 1); of the others, 0.6 is higher.
  np.testing.assert_array_equal(panoptic, [[101, 101, 101, 0, 102, 0, 102]])
  # Where more remain than are kept, DeepLab2's rule drops the last one.
  panoptic = _merged(*_heads(semantic, heatmap), settings=dataclasses.replace(
      two, drop_last_center=True))
  np.testing.assert_array_equal(panoptic, [[101, 101, 101, 0, 101, 0, 101]])
  panoptic = _merged(*_heads(semantic, heatmap), settings=dataclasses.replace(
      two, drop_last_center=True, max_centers=3))
  np.testing.assert_array_equal(panoptic, [[101, 101, 101, 0, 102, 0, 103]])


def test_small_instances_become_void():
  heads = _heads([[1, 1, 1, 3, 2, 2, 3, 3, 1, 1, 1]],
                 [[0, 0.9, 0, 0, 0.5, 0, 0, 0, 0, 0.8, 0]])
  for area, expected, scores in (
      (2, [101, 101, 101, 300, 201, 201, 300, 300, 102, 102, 102], [.9, .8]),
      (3, [101, 101, 101, 300, 900, 900, 300, 300, 102, 102, 102], [.9, .8]),
      (4, [900, 900, 900, 300, 900, 900, 300, 300, 900, 900, 900], [0, 0])):
    result = merging.merge(*heads, settings=dataclasses.replace(
        _PLAIN, min_instance_area=area), **_IDS)
    np.testing.assert_array_equal(result['panoptic_map'][0], [expected])
    np.testing.assert_array_equal(
        result['score_map'][0, 0, ::10], np.float32(scores))


def test_an_instance_whose_pixels_point_elsewhere_becomes_void():
  # Pixels point to column 1; those from 3 on have a nearer center in 3 only by
  # the errors of their offsets. Radius of 3 pixels: 0.98, its half: 0.49.
  offset = np.zeros([1, 6, 2])
  offset[0, :, 1] = [1, 0, -1, -0.9, -1.6, -2.6]
  heads = _heads([[1] * 6], [[0, 0.9, 0, 0.5, 0, 0]], offset)
  np.testing.assert_array_equal(
      _merged(*heads, settings=_PLAIN), [[101] * 3 + [102] * 3])
  checked = dataclasses.replace(_PLAIN, min_agreement=0.1)
  np.testing.assert_array_equal(
      _merged(*heads, settings=checked), [[101] * 3 + [900] * 3])
  # One of three pixels agrees.
  offset[0, 3, 1] = -0.4
  heads = (*heads[:2], tf.constant(np.float32(offset)[np.newaxis]))
  for share, expected in ((0.33, 102), (0.34, 900)):
    settings = dataclasses.replace(_PLAIN, min_agreement=share)
    np.testing.assert_array_equal(
        _merged(*heads, settings=settings), [[101] * 3 + [expected] * 3])


def test_one_pixel_instances_agree_with_their_own_center():
  heads = _heads([[1, 0, 1], [0, 0, 0], [2, 0, 0]],
                 [[0.9, 0, 0.8], [0, 0, 0], [0.7, 0, 0]])
  strict = dataclasses.replace(_BORDER, min_agreement=1.0, min_instance_area=1)
  np.testing.assert_array_equal(
      _merged(*heads, settings=strict), [[101, 0, 102], [0, 0, 0], [201, 0, 0]])


def test_one_instance_without_centers_has_an_area_but_no_center():
  heads = _heads([[3, 3, 1, 1]], np.zeros([1, 4]))
  one = dataclasses.replace(_PLAIN, one_instance_without_centers=True)
  for options, expected in (
      ({'min_agreement': 1.0}, 101), ({'min_instance_area': 2}, 101),
      ({'min_instance_area': 3}, 900)):
    np.testing.assert_array_equal(
        _merged(*heads, settings=dataclasses.replace(one, **options)),
        [[300, 300, expected, expected]])


@pytest.mark.parametrize('semantic, heat, expected', [
    (0, 0.9, 0), (1, 0.0, 900), (1, 0.9, 101)])
def test_images_of_one_kind(compiled, semantic, heat, expected):
  """No things, no peaks, and things everywhere with a peak in each pixel."""
  merge = compiled(lambda *heads: merging.merge(
      *heads, settings=_BORDER, **_IDS))
  result = merge(*_heads(np.full([4, 5], semantic), np.full([4, 5], heat)))
  np.testing.assert_array_equal(
      result['panoptic_map'][0], np.full([4, 5], expected))


def test_images_of_a_batch_do_not_mix(compiled):
  heads = [tf.concat(maps, 0) for maps in zip(
      *(_heads(*_random_heads((14, 11), seed)) for seed in range(3)))]
  merge = compiled(lambda *h: merging.merge(*h, settings=_ALL, **_IDS))
  together = merge(*heads)
  for i in range(3):
    alone = merging.merge(
        *(head[i:i + 1] for head in heads), settings=_ALL, **_IDS)
    for name, value in alone.items():
      np.testing.assert_array_equal(together[name][i], value[0])


def test_unknown_sizes():
  merge = tf.function(
      lambda *h: merging.merge(*h, settings=_ALL, **_IDS), input_signature=[
          tf.TensorSpec([None, None, None, 4]), tf.TensorSpec([None] * 3),
          tf.TensorSpec([None, None, None, 2])])
  for seed, size in enumerate([(1, 1), (1, 9), (12, 5), (13, 14)]):
    heads = _heads(*_random_heads(size, seed))
    expected = merging.merge(*heads, settings=_ALL, **_IDS)
    for name, value in merge(*heads).items():
      np.testing.assert_array_equal(value, expected[name])


def test_nan_offsets_agree_with_no_center():
  offset = np.full([1, 3, 2], np.nan)
  settings = dataclasses.replace(_PLAIN, min_agreement=0.1)
  panoptic = _merged(*_heads([[1] * 3], [[0, 0.9, 0]], offset),
                     settings=settings)
  np.testing.assert_array_equal(panoptic, [[900] * 3])


@pytest.mark.parametrize('field, value, expected', [
    ('suppression', 'radius', 'window'), ('suppression', None, 'border'),
    ('min_instance_area', -1, '>= 0'), ('min_instance_area', 0.5, 'int'),
    ('min_agreement', -0.1, '0..1'), ('min_agreement', 1.1, '0..1'),
    ('min_agreement', 'half', 'float')])
def test_invalid_settings_are_refused(field, value, expected):
  with pytest.raises(errors.UserError) as refused:
    merging.MergingSettings(**{field: value})
  assert f'MergingSettings.{field}: expected' in str(refused.value)
  assert expected in str(refused.value) and '\n' not in str(refused.value)
