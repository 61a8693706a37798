"""Targets against the published ones, a plain reference, and symmetries."""

import hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.panoptic import targets

# Thing ids with a gap, in no order; class 0 and 3 are stuff; 9 is void.
_IDS = {'thing_ids': (4, 1, 2), 'label_divisor': 16, 'ignore_label': 9}
_PUBLISHED_NAMES = {
    'semantic': 'semantic_gt',
    'semantic_weight': 'semantic_loss_weight',
    'center_heatmap': 'instance_center_gt',
    'center_weight': 'center_loss_weight',
    'offset': 'instance_regression_gt',
    'offset_weight': 'regression_loss_weight',
}
_SHAPES = st.one_of(
    st.just((1, 1)), st.tuples(st.just(1), st.integers(1, 40)),
    st.tuples(st.integers(1, 40), st.just(1)),
    st.tuples(st.integers(2, 12), st.integers(2, 12)))
_LABELS = st.sampled_from([
    9 * 16, 0, 3 * 16, 16, 17, 18, 2 * 16 + 15, 4 * 16, 4 * 16 + 1])
_MAPS = _SHAPES.flatmap(lambda shape: hnp.arrays(np.int32, shape,
                                                 elements=_LABELS))


def _plain_targets(panoptic, settings):
  """The definitions, instance by instance."""
  height, width = panoptic.shape
  category, instance = panoptic // 16, panoptic % 16
  is_thing = np.isin(category, _IDS['thing_ids'])
  is_crowd = is_thing & (instance == 0)
  expected = {
      'semantic': np.where(
          is_crowd & settings.treat_crowd_as_ignore, 9, category),
      'semantic_weight': np.ones([height, width]),
      'center_heatmap': np.zeros([height, width]),
      'center_weight': np.where(is_crowd | (category == 9), 0, 1),
      'offset': np.zeros([height, width, 2]),
      'offset_weight': np.where(is_thing & ~is_crowd, 1, 0),
  }
  y, x = np.mgrid[:height, :width]
  for label in np.unique(panoptic[is_thing & ~is_crowd]):
    mask = panoptic == label
    if mask.sum() < settings.small_instance_area:
      expected['semantic_weight'][mask] = settings.small_instance_weight
    dy, dx = np.round(y[mask].mean()) - y, np.round(x[mask].mean()) - x
    sigma = settings.sigma
    if settings.sigma_by_size:
      radius = np.sqrt(np.float32(mask.sum() / np.pi))
      sigma = min(sigma, max(np.float32(settings.sigma_by_size) * radius, 1))
    reach = int(3 * sigma + 1)
    gaussian = np.exp(-(dy**2 + dx**2) / (2 * sigma**2))
    gaussian[np.maximum(abs(dy), abs(dx)) > reach] = 0
    expected['center_heatmap'] = np.maximum(
        expected['center_heatmap'], gaussian)
    expected['offset'][mask] = np.stack([dy, dx], -1)[mask]
  return expected


@pytest.fixture
def make_targets(compiled):
  """Targets as the pipeline and the training step make them."""

  def make(panoptic, **arguments):
    maps = targets.compact(panoptic, compiled=True, **arguments)
    arguments.pop('thing_ids')
    return compiled(lambda maps: targets.expand(maps, **arguments))(maps)

  return make


def _assert_equal(got, expected):
  assert set(got) == set(expected)
  for name in got:
    np.testing.assert_allclose(
        got[name], expected[name], rtol=0, atol=1e-6, err_msg=name)


@pytest.mark.parametrize('name', ['targets_small_sigma8', 'targets_small_pad'])
def test_published_targets(make_targets, oracle, name):
  published = oracle(f'deeplab2/{name}')
  # The reference was computed from records that keep the crowd.
  settings = targets.TargetSettings(treat_crowd_as_ignore=False)
  got = make_targets(
      tf.constant(published['panoptic_gt']), thing_ids=tuple(range(1, 81)),
      label_divisor=256, ignore_label=0, settings=settings)
  for ours, theirs in _PUBLISHED_NAMES.items():
    tolerance = 1e-7 if ours == 'center_heatmap' else 0
    assert got[ours].shape == published[theirs].shape
    np.testing.assert_allclose(
        got[ours], published[theirs], rtol=0, atol=tolerance, err_msg=ours)


def test_crowd_of_a_real_image_is_ignored_by_default(oracle):
  published = oracle('deeplab2/targets_small_sigma8')
  is_crowd = published['is_crowd_gt']
  got = targets.panoptic_targets(
      published['panoptic_gt'], thing_ids=tuple(range(1, 81)),
      label_divisor=256, ignore_label=0)
  np.testing.assert_array_equal(
      got['semantic'], np.where(is_crowd, 0, published['semantic_gt']))
  for ours, theirs in _PUBLISHED_NAMES.items():
    if ours != 'semantic':
      np.testing.assert_allclose(got[ours], published[theirs], atol=1e-7)


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(
    _MAPS, st.sampled_from([0.5, 1.0, 2.5, 20.0]), st.integers(0, 5),
    st.booleans())
def test_any_map_matches_the_definitions(panoptic, sigma, area, ignore_crowd):
  settings = targets.TargetSettings(
      sigma=sigma, small_instance_area=area,
      treat_crowd_as_ignore=ignore_crowd)
  got = targets.panoptic_targets(
      tf.constant(panoptic), settings=settings, **_IDS)
  _assert_equal(got, _plain_targets(panoptic, settings))


@hypothesis.settings(deadline=None, max_examples=30)
@hypothesis.given(
    _MAPS, st.sampled_from([0.7, 2.5, 8.0]), st.sampled_from([0.1, 0.7, 3.0]))
def test_gaussians_of_several_widths_match_the_definition(
    panoptic, sigma, by_size):
  settings = targets.TargetSettings(sigma=sigma, sigma_by_size=by_size)
  got = targets.panoptic_targets(
      tf.constant(panoptic), settings=settings, **_IDS)
  expected = _plain_targets(panoptic, settings)
  np.testing.assert_allclose(
      got.pop('center_heatmap'), expected.pop('center_heatmap'), atol=2.6e-4)
  _assert_equal(got, expected)


def test_the_wider_of_two_gaussians_wins_beside_the_narrow_center(
    make_targets):
  panoptic = np.full([60, 60], 3 * 16, np.int32)
  panoptic[:30, :30], panoptic[34:37, 14:17] = 16 + 1, 16 + 2
  settings = targets.TargetSettings(sigma_by_size=0.5)
  got = make_targets(tf.constant(panoptic), settings=settings, **_IDS)
  expected = _plain_targets(panoptic, settings)['center_heatmap']
  heat = got['center_heatmap'].numpy()
  np.testing.assert_allclose(heat, expected, atol=2.6e-4)
  assert heat[14, 14] == heat[35, 15] == 1.0
  assert heat[36, 15] == pytest.approx(np.exp(-0.5), abs=3e-4)
  # The narrow center is nearer.
  assert heat[31, 15] == pytest.approx(np.exp(-(17**2 + 1) / 128), abs=3e-4)


@pytest.mark.parametrize('label', [9 * 16, 3 * 16, 4 * 16])
def test_void_stuff_or_crowd_alone_give_no_instances(make_targets, label):
  got = make_targets(tf.fill([3, 5], label), **_IDS)
  for name in ('center_heatmap', 'offset', 'offset_weight'):
    assert not np.any(got[name]), name
  np.testing.assert_array_equal(
      got['center_weight'], np.full([3, 5], label == 3 * 16))


def test_one_pixel(make_targets):
  got = make_targets(tf.constant([[16 + 1]]), **_IDS)
  _assert_equal(got, {
      'semantic': [[1]], 'semantic_weight': [[3.0]], 'center_heatmap': [[1.0]],
      'center_weight': [[1.0]], 'offset': [[[0.0, 0.0]]],
      'offset_weight': [[1.0]]})


def test_data_set_without_things(make_targets):
  got = make_targets(
      tf.constant([[16 + 1, 9 * 16]]), thing_ids=(), label_divisor=16,
      ignore_label=9)
  np.testing.assert_array_equal(got['semantic'], [[1, 9]])
  assert not np.any(got['center_heatmap'])


def test_large_ids_of_cityscapes_do_not_collide_with_things():
  got = targets.panoptic_targets(
      tf.constant([[255000, 18999]]), thing_ids=tuple(range(11, 19)),
      label_divisor=1000, ignore_label=255)
  np.testing.assert_array_equal(got['offset_weight'], [[0, 1]])
  np.testing.assert_array_equal(got['semantic'], [[255, 18]])


def test_centers_are_rounded_half_to_even():
  # Mean columns 0.5 and 2.5 round to 0 and 2, as tf.round does.
  got = targets.panoptic_targets(
      tf.constant([[17, 17, 18, 18]]), settings=targets.TargetSettings(sigma=1),
      **_IDS)
  np.testing.assert_array_equal(got['offset'][0, :, 1], [0, -1, 0, -1])
  assert [got['center_heatmap'][0, i] == 1.0 for i in range(4)] == [
      True, False, True, False]


def test_smallness_is_strict():
  panoptic = tf.constant([[17, 17, 18, 0]])
  got = targets.panoptic_targets(
      panoptic, settings=targets.TargetSettings(small_instance_area=2), **_IDS)
  np.testing.assert_array_equal(got['semantic_weight'], [[1, 1, 3, 1]])


@hypothesis.settings(deadline=None, max_examples=20)
@hypothesis.given(hnp.arrays(np.int32, (5, 9), elements=_LABELS))
def test_flip_negates_x_offsets(panoptic):
  # An odd width keeps the parity of columns, hence the rounding of centers.
  settings = targets.TargetSettings(sigma=1.0)
  straight = targets.panoptic_targets(panoptic, settings=settings, **_IDS)
  flipped = targets.panoptic_targets(
      panoptic[:, ::-1], settings=settings, **_IDS)
  expected = {name: value[:, ::-1] for name, value in straight.items()}
  expected['offset'] *= [1.0, -1.0]
  _assert_equal(flipped, expected)


@hypothesis.settings(deadline=None, max_examples=20)
@hypothesis.given(
    hnp.arrays(np.int32, (6, 7), elements=st.integers(0, 15)),
    st.permutations(range(1, 16)))
def test_numbers_of_instances_do_not_matter(instance, permutation):
  renumbered = np.array([0, *permutation], np.int32)[instance]
  settings = targets.TargetSettings(sigma=1.0)
  _assert_equal(
      targets.panoptic_targets(2 * 16 + renumbered, settings=settings, **_IDS),
      targets.panoptic_targets(2 * 16 + instance, settings=settings, **_IDS))


@hypothesis.settings(deadline=None, max_examples=20)
@hypothesis.given(st.lists(
    hnp.arrays(np.int32, (6, 7), elements=_LABELS), min_size=1, max_size=3))
def test_a_batch_is_expanded_image_by_image(labels):
  settings = targets.TargetSettings(sigma=1.0, small_instance_area=3)
  maps = [targets.compact(label, settings=settings, **_IDS)
          for label in labels]
  ids = {key: _IDS[key] for key in ('label_divisor', 'ignore_label')}
  got = targets.expand(
      {key: tf.stack([m[key] for m in maps]) for key in maps[0]},
      settings=settings, **ids)
  for index, label in enumerate(labels):
    _assert_equal({key: value[index] for key, value in got.items()},
                  _plain_targets(label, settings))


def test_unknown_size_inside_tf_data():
  panoptic = np.int32([[17, 17, 9 * 16], [0, 18, 18]])
  dataset = tf.data.Dataset.from_generator(
      lambda: [panoptic, panoptic[:1]],
      output_signature=tf.TensorSpec([None, None], tf.int32))
  settings = targets.TargetSettings(sigma=1.0)
  dataset = dataset.map(
      lambda p: targets.panoptic_targets(p, settings=settings, **_IDS))
  for got, label in zip(dataset, [panoptic, panoptic[:1]]):
    _assert_equal(got, _plain_targets(label, settings))


@pytest.mark.parametrize('field, value', [
    ('sigma', 0), ('sigma', '8'), ('small_instance_area', -1),
    ('small_instance_area', 0.5), ('small_instance_weight', float('nan')),
    ('treat_crowd_as_ignore', 1), ('sigma_by_size', -0.1),
    ('sigma_by_size', float('inf'))])
def test_invalid_settings_are_refused(field, value):
  with pytest.raises(errors.UserError, match=f'TargetSettings.{field}'):
    targets.TargetSettings(**{field: value})
