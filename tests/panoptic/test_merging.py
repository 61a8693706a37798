"""Merging against the published results, a plain reference, and odd cases."""

import dataclasses

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.panoptic import merging

_COCO = {
    'thing_ids': tuple(range(1, 81)), 'label_divisor': 256, 'void_label': 0}
# Classes 0 and 3 are stuff, 1 and 2 things.
_IDS = {'thing_ids': (1, 2), 'label_divisor': 100, 'void_label': 900}
_TINY = merging.MergingSettings(nms_kernel=1, stuff_area_limit=0)


def _partition(panoptic, divisor=256):
  """Renames the instances by their first pixel, keeping the categories."""
  flat = np.asarray(panoptic).reshape(-1)
  _, first, segment = np.unique(flat, return_index=True, return_inverse=True)
  is_instance = flat % divisor > 0
  return np.where(is_instance, -1 - first[segment.reshape(-1)], 0), (
      flat // divisor)


def _assert_same_partition(got, expected):
  for part, expected_part in zip(_partition(got), _partition(expected)):
    np.testing.assert_array_equal(part, expected_part)


def _compiled_op(settings):
  return dataclasses.replace(
      settings, drop_last_center=True, void_stuff_at_limit=True,
      one_instance_without_centers=True)


def _tensors(semantic, heatmap, offset=None, classes=4):
  """Heads with probability 1 for `semantic`; all get a batch of 1."""
  semantic, heatmap = np.asarray(semantic), np.float32(heatmap)
  if offset is None:
    offset = np.zeros([*semantic.shape, 2])
  return (
      tf.one_hot(semantic, classes)[tf.newaxis], tf.constant(heatmap[None]),
      tf.constant(np.float32(offset)[None]))


def _merged(*heads, settings=_TINY, **ids):
  result = merging.merge(*heads, settings=settings, **{**_IDS, **ids})
  return result['panoptic_map'][0].numpy(), result['score_map'][0].numpy()


_eager_and_xla = pytest.mark.parametrize(
    'compiled', ['eager', 'xla'], indirect=True)


@_eager_and_xla
@pytest.mark.parametrize('path', ['tfop', 'py'])
@pytest.mark.parametrize(
    'name', ['postproc_small_a', 'postproc_small_c_noisy_nms41'])
def test_published_merging(compiled, oracle, name, path):
  published = oracle(f'deeplab2/{name}')
  kernel, threshold, top_k, stuff_limit = published['params']
  settings = merging.MergingSettings(
      nms_kernel=int(kernel), center_threshold=float(threshold),
      max_centers=int(top_k), stuff_area_limit=int(stuff_limit))
  if path == 'tfop':
    settings = _compiled_op(settings)
  result = compiled(lambda *heads: merging.merge(
      *heads, settings=settings, **_COCO))(
          tf.constant(published['semantic_probs'][None], tf.float32),
          tf.constant(published['center_heatmap'][None]),
          tf.constant(published['offset_map'][None]))
  panoptic = result['panoptic_map'].numpy()
  _assert_same_partition(panoptic, published[f'{path}:panoptic_pred'])
  is_thing = panoptic % 256 > 0
  np.testing.assert_array_equal(
      result['score_map'].numpy()[is_thing],
      published[f'{path}:instance_scores'][is_thing])


@_eager_and_xla
@pytest.mark.parametrize('path', ['post', 'post_pyfunc'])
def test_published_model_output(compiled, oracle, path):
  published = oracle('deeplab2/panoptic_small_noaspp')
  settings = merging.MergingSettings(stuff_area_limit=64, max_centers=400)
  if path == 'post':
    settings = _compiled_op(settings)
  result = compiled(lambda *heads: merging.merge(
      *heads, settings=settings, **_COCO))(*(
          tf.constant(published[f'post:{name}'])
          for name in ('semantic_probs', 'center_heatmap', 'offset_map')))
  _assert_same_partition(
      result['panoptic_map'], published[f'{path}:panoptic_pred'])


def _plain_merge(semantic, heatmap, offset, settings):
  """The paper's definitions with dense distances, for one image."""
  height, width = semantic.shape
  reach = settings.nms_kernel // 2
  peaks = [
      (y, x) for y, x in np.ndindex(height, width)
      if heatmap[y, x] > settings.center_threshold and heatmap[y, x] == (
          heatmap[max(y - reach, 0):y + reach + 1,
                  max(x - reach, 0):x + reach + 1].max())]
  peaks = sorted(sorted(peaks, key=lambda c: -heatmap[c])[
      :settings.max_centers])
  is_thing = np.isin(semantic, _IDS['thing_ids'])
  panoptic = np.full([height, width], _IDS['void_label'])
  for category in np.unique(semantic[~is_thing]):
    mask = semantic == category
    if mask.sum() >= settings.stuff_area_limit:
      panoptic[mask] = category * _IDS['label_divisor']
  score = np.where(panoptic == _IDS['void_label'], 0.0, 1.0)
  if peaks:
    grid = np.stack(np.mgrid[:height, :width], -1).astype(np.float32)
    distance = ((grid + offset)[:, :, None] - np.float32(peaks))**2
    nearest = distance.sum(-1).argmin(-1)
    numbers = dict.fromkeys(_IDS['thing_ids'], 0)
    for slot, center in enumerate(peaks):
      mask = is_thing & (nearest == slot)
      if mask.any():
        category = np.bincount(semantic[mask]).argmax()
        numbers[category] += 1
        panoptic[mask] = category * _IDS['label_divisor'] + numbers[category]
        score[mask] = heatmap[center]
  return panoptic, score


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)), st.integers(0, 2**31),
    st.builds(
        merging.MergingSettings, center_threshold=st.sampled_from([0.0, 0.5]),
        nms_kernel=st.sampled_from([1, 3, 5, 41]),
        max_centers=st.integers(1, 6), stuff_area_limit=st.integers(0, 12)))
def test_any_heads_match_the_definitions(size, seed, settings):
  rng = np.random.default_rng(seed)
  semantic = rng.integers(0, 4, size)
  heatmap = rng.choice(np.float32([0, 0.25, 0.5, 0.75, 1]), size)
  offset = rng.integers(-3, 4, (*size, 2)).astype(np.float32)
  panoptic, score = _merged(
      *_tensors(semantic, heatmap, offset), settings=settings)
  expected, expected_score = _plain_merge(semantic, heatmap, offset, settings)
  np.testing.assert_array_equal(panoptic, expected)
  np.testing.assert_array_equal(score, np.float32(expected_score))


def test_one_pixel(compiled):
  merge = compiled(lambda *heads: merging.merge(
      *heads, settings=_TINY, **_IDS))
  for category, heat, label, score in (
      (1, 0.7, 101, 0.7), (1, 0.1, 900, 0.0), (3, 0.7, 300, 1.0)):
    result = merge(*_tensors([[category]], [[heat]]))
    assert result['panoptic_map'].numpy() == [[[label]]]
    np.testing.assert_array_equal(result['score_map'], np.float32([[[score]]]))


def test_without_centers_things_become_void_or_one_instance(compiled):
  heads = _tensors([[1, 2, 2], [3, 3, 2]], np.zeros([2, 3]))
  for option, expected in (
      (False, [[900, 900, 900], [300, 300, 900]]),
      (True, [[201, 201, 201], [300, 300, 201]])):
    settings = dataclasses.replace(
        _TINY, one_instance_without_centers=option)
    merge = compiled(lambda *h, s=settings: merging.merge(
        *h, settings=s, **_IDS))
    result = merge(*heads)
    np.testing.assert_array_equal(result['panoptic_map'][0], expected)
    np.testing.assert_array_equal(
        result['score_map'][0], [[0, 0, 0], [1, 1, 0]])


@pytest.mark.parametrize('limit, at_limit, expected', [
    (2, False, 300), (2, True, 900), (3, False, 900), (1, True, 300)])
def test_stuff_limit_counts_the_whole_image(limit, at_limit, expected):
  heads = _tensors([[3, 0, 3]], np.zeros([1, 3]))
  panoptic, _ = _merged(*heads, settings=dataclasses.replace(
      _TINY, stuff_area_limit=limit, void_stuff_at_limit=at_limit))
  np.testing.assert_array_equal(panoptic[0, ::2], expected)


def test_limit_on_centers():
  # Peaks .5 .9 .7 .7: three kept, of the tie the first in the image; the
  # published code drops all that tie with the last one kept.
  heatmap = [[0.5, 0.0, 0.9, 0.7, 0.7]]
  heads = _tensors(np.ones([1, 5], int), heatmap)
  two = dataclasses.replace(_TINY, max_centers=2)
  panoptic, score = _merged(*heads, settings=two)
  np.testing.assert_array_equal(panoptic, [[101, 101, 101, 102, 102]])
  np.testing.assert_array_equal(score, np.float32([[.9, .9, .9, .7, .7]]))
  panoptic, _ = _merged(
      *heads, settings=dataclasses.replace(two, drop_last_center=True))
  np.testing.assert_array_equal(panoptic, [[101] * 5])
  # Exactly as many as allowed: none is dropped.
  panoptic, _ = _merged(*heads, settings=dataclasses.replace(
      _TINY, max_centers=4, drop_last_center=True))
  np.testing.assert_array_equal(panoptic, [[101, 101, 102, 103, 104]])


def test_threshold_is_strict():
  heads = _tensors([[1, 1]], [[0.5, 0.25]])
  panoptic, _ = _merged(
      *heads, settings=dataclasses.replace(_TINY, center_threshold=0.25))
  np.testing.assert_array_equal(panoptic, [[101, 101]])


def test_majority_among_thing_pixels_ties_go_to_the_smaller_id():
  heads = _tensors([[2, 1, 3, 3, 3]], [[0.9, 0, 0, 0, 0]])
  panoptic, _ = _merged(*heads)
  np.testing.assert_array_equal(panoptic, [[101, 101, 300, 300, 300]])


def test_center_outside_its_instance():
  # The center lies on stuff; the pixels of the thing find it by their offsets.
  heads = _tensors(
      [[1, 3, 1]], [[0.0, 0.8, 0.0]], [[[0, 1], [0, 0], [0, -1]]])
  panoptic, score = _merged(*heads)
  np.testing.assert_array_equal(panoptic, [[101, 300, 101]])
  np.testing.assert_array_equal(score, np.float32([[0.8, 1.0, 0.8]]))


def test_distances_are_exact_far_from_the_origin(compiled):
  # 8190^2 needs 26 bits: |p|^2 - 2 p c + |c|^2 cannot distinguish these
  # centers in float32.
  width = 8192
  heatmap = np.zeros([1, width])
  heatmap[0, [8189, 8190]] = 0.9
  offset = np.zeros([1, width, 2])
  offset[0, 8191, 1] = -1.375  # 8189.625
  offset[0, 8188, 1] = 1.375  # 8189.375
  result = compiled(lambda *h: merging.merge(*h, settings=_TINY, **_IDS))(
      *_tensors(np.ones([1, width], int), heatmap, offset))
  np.testing.assert_array_equal(
      result['panoptic_map'][0, 0, -4:], [101, 101, 102, 102])


def test_number_that_does_not_fit_the_label_becomes_void():
  heads = _tensors([[1, 1, 1, 2]], [[0.9] * 4])
  panoptic, score = _merged(*heads, label_divisor=3)
  np.testing.assert_array_equal(panoptic, [[4, 5, 900, 7]])
  np.testing.assert_array_equal(score[0] > 0, [True, True, False, True])


def test_images_of_a_batch_do_not_mix(compiled):
  rng = np.random.default_rng(0)
  heads = (
      tf.constant(rng.uniform(size=[3, 6, 7, 4]), tf.float32),
      tf.constant(rng.uniform(size=[3, 6, 7]), tf.float32),
      tf.constant(rng.normal(size=[3, 6, 7, 2]), tf.float32))
  settings = merging.MergingSettings(
      nms_kernel=3, stuff_area_limit=9, max_centers=5)
  merge = compiled(lambda *h: merging.merge(*h, settings=settings, **_IDS))
  together = merge(*heads)
  for i in range(3):
    alone = merge(*(head[i:i + 1] for head in heads))
    for name, value in alone.items():
      np.testing.assert_array_equal(together[name][i], value[0])


@pytest.mark.parametrize('compiled', [False, True])
@pytest.mark.parametrize('tile', [1, 3, 5, 128])
def test_tiles_equal_the_full_table_of_distances(monkeypatch, tile, compiled):
  """Integer offsets make many ties, which go to the first center."""
  monkeypatch.setattr(merging, '_TILE', tile)
  assign = tf.function(merging.assign_pixels, jit_compile=compiled)
  size, slots = (11, 17), 9
  for reach in (0.0, 2.0, 40.0):
    rng = np.random.default_rng(1)
    offset = np.round(rng.normal(size=[2, *size, 2]) * reach)
    is_thing = rng.uniform(size=[2, *size]) < 0.6
    is_thing[:, :3] = False
    centers = np.stack(
        [rng.integers(0, n, [2, slots]) for n in size], -1).astype(np.int32)
    found = np.array([slots, 4])
    points = offset + np.stack(np.mgrid[:size[0], :size[1]], -1)
    distance = np.sum(
        (points[..., np.newaxis, :] - centers[:, np.newaxis, np.newaxis]) ** 2,
        -1)
    unused = np.arange(slots) >= found[:, np.newaxis]
    distance += np.where(unused, np.inf, 0)[:, np.newaxis, np.newaxis]
    expected = np.where(is_thing, np.argmin(distance, -1) + 1, 0)
    np.testing.assert_array_equal(assign(
        tf.constant(offset, tf.float32), tf.constant(is_thing),
        tf.constant(centers), tf.constant(found, tf.int32)), expected,
        err_msg=f'offsets up to about {reach}')


def test_a_nan_offset_affects_only_its_pixel():
  offset = np.zeros([1, 4, 6, 2], np.float32)
  offset[0, 1, 2] = np.nan
  centers = tf.constant([[[0, 0], [3, 5]]])
  instance = merging.assign_pixels(
      tf.constant(offset), tf.ones([1, 4, 6], bool), centers,
      tf.constant([2]))[0].numpy()
  y, x = np.mgrid[:4, :6]
  expected = np.where(y ** 2 + x ** 2 <= (y - 3) ** 2 + (x - 5) ** 2, 1, 2)
  instance[1, 2] = expected[1, 2]
  np.testing.assert_array_equal(instance, expected)


def test_nan_in_the_heatmap_is_not_a_center():
  heads = _tensors([[1, 1]], [[np.nan, 0.9]])
  panoptic, _ = _merged(*heads)
  np.testing.assert_array_equal(panoptic, [[101, 101]])


def test_data_set_without_things():
  panoptic, _ = _merged(*_tensors([[1, 3]], [[0.9, 0.9]]), thing_ids=())
  np.testing.assert_array_equal(panoptic, [[100, 300]])


def test_saved_model_of_any_size(tmp_path):
  class Merger(tf.Module):

    @tf.function(input_signature=[
        tf.TensorSpec([None, None, None, 4]), tf.TensorSpec([None, None, None]),
        tf.TensorSpec([None, None, None, 2])])
    def __call__(self, *heads):
      return merging.merge(*heads, settings=_TINY, **_IDS)

  tf.saved_model.save(Merger(), str(tmp_path))
  loaded = tf.saved_model.load(str(tmp_path))
  for heads in (
      _tensors([[1, 1, 2]], [[0.9, 0, 0.8]]),
      _tensors(np.full([9, 4], 2), np.eye(9, 4))):
    expected, expected_score = _merged(*heads)
    result = loaded(*heads)
    np.testing.assert_array_equal(result['panoptic_map'][0], expected)
    np.testing.assert_array_equal(result['score_map'][0], expected_score)


def test_thing_that_the_model_does_not_know():
  with pytest.raises(errors.UserError, match='below 4 .*got 17'):
    merging.merge(
        *_tensors([[1]], [[0.9]]), thing_ids=(1, 17), label_divisor=100,
        void_label=0)


@pytest.mark.parametrize('field, value', [
    ('center_threshold', -0.1), ('nms_kernel', 6), ('nms_kernel', 0),
    ('max_centers', 0), ('stuff_area_limit', -1), ('stuff_area_limit', 2.5),
    ('drop_last_center', 'yes')])
def test_invalid_settings_are_refused(field, value):
  with pytest.raises(errors.UserError, match=f'MergingSettings.{field}'):
    merging.MergingSettings(**{field: value})
