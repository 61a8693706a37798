"""Augmentation keeps image and label together, eagerly and in tf.data.

Images here carry their label in the red channel, so each result can be
checked against its own label.
"""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.data.common import resizing
from axial_tf.data.panoptic import augmentation

_VOID = 90


def _example(height=6, width=9):
  """Red is the label, every pixel different: positions can be recognized."""
  panoptic = np.arange(1, height * width + 1, dtype=np.int32).reshape(
      height, width)
  image = np.zeros([height, width, 3], np.float32)
  image[..., 0] = panoptic
  return image, panoptic


def _seeds(count):
  return [np.array([5, i]) for i in range(count)]


def _run(function, mode):
  """Calls `function(seed)` for some seeds, eagerly or inside tf.data."""
  seeds = _seeds(40)
  if mode == 'eager':
    return [tuple(np.asarray(t) for t in function(seed)) for seed in seeds]
  dataset = tf.data.Dataset.from_tensor_slices(np.stack(seeds)).map(
      function, num_parallel_calls=2)
  return list(dataset.as_numpy_iterator())


both_modes = pytest.mark.parametrize('mode', ['eager', 'tf.data'])


@both_modes
def test_window_takes_every_place_with_its_label(mode):
  image, panoptic = _example()
  corners = set()
  for crop, label in _run(
      lambda seed: augmentation.random_window(
          tf.constant(image), tf.constant(panoptic), seed, [6, 9], (4, 7)),
      mode):
    assert label.shape == (4, 7)
    np.testing.assert_array_equal(crop[..., 0], label)
    top, left = np.argwhere(panoptic == label[0, 0])[0]
    np.testing.assert_array_equal(panoptic[top:top + 4, left:left + 7], label)
    corners.add((top, left))
  assert corners == {(y, x) for y in range(3) for x in range(3)}


def test_window_leaves_smaller_sides_alone():
  image, panoptic = _example(3, 9)
  crop, label = augmentation.random_window(
      image, panoptic, [1, 2], [3, 9], (4, 5))
  assert label.shape == (3, 5)
  np.testing.assert_array_equal(crop[..., 0], label)


@pytest.mark.parametrize('size', [(12, 18), (3, 4), (9, 13), (1, 1)])
def test_a_window_of_everything_is_the_resized_image(size):
  image, panoptic = _example()
  crop, label = augmentation.random_window(
      image, panoptic, [1, 2], size, (20, 20))
  expected, expected_label = resizing.resize(image, panoptic, size)
  np.testing.assert_array_equal(crop, expected)
  np.testing.assert_array_equal(label, expected_label)


@pytest.mark.parametrize('factor', [0.7, 1.3, 1.9])
def test_a_scaled_window_is_a_part_of_the_scaled_image(factor):
  """A smooth slope: each value identifies a place in the original image."""
  y, x = np.mgrid[:80, :90].astype(np.float32)
  image = np.stack([y, x, 0 * x], -1)
  panoptic = (y * 90 + x).astype(np.int32)
  size = [int(80 * factor), int(90 * factor)]
  for seed in _seeds(10):
    crop, label = augmentation.random_window(
        image, panoptic, seed, size, (41, 49))
    assert label.shape == (41, 49)
    # Away from the border, where resizing repeats pixels, values rise evenly.
    steps = np.diff(crop.numpy()[2:-2, 2:-2, 0], axis=0)
    np.testing.assert_allclose(steps, 1 / factor, rtol=0.03)
    from_label = np.stack([label // 90, label % 90], -1)
    assert np.abs(from_label - crop[..., :2]).max() <= 1


@both_modes
def test_a_placed_image_is_whole_and_surrounded_by_zeros_and_void(mode):
  image, panoptic = _example(3, 5)
  offsets = [(y, x) for y in range(3) for x in range(2)]

  def run(seed):
    offset = tf.gather(offsets, tf.cast(seed[1], tf.int32) % 6)
    return augmentation.place(
        tf.cast(image, tf.uint8), panoptic, offset, (5, 6), _VOID)

  places = set()
  for result, label in _run(run, mode):
    assert result.shape == (5, 6, 3)
    inside = label != _VOID
    np.testing.assert_array_equal(label[inside], panoptic.ravel())
    np.testing.assert_array_equal(
        result[..., 0][inside], panoptic.ravel())
    assert (result[~inside] == 0).all()
    places.add(tuple(np.argwhere(inside)[0]))
  assert places == set(offsets)


@both_modes
def test_flip_mirrors_both_half_of_the_time(mode):
  image, panoptic = _example()
  settings = augmentation.AugmentationSettings(
      crop_size=panoptic.shape, scale_range=(1.0, 1.0))
  flipped = 0
  for mirrored, label, _ in _run(
      lambda seed: augmentation.augment(
          tf.cast(image, tf.uint8), tf.constant(panoptic), seed, settings,
          _VOID), mode):
    np.testing.assert_array_equal(mirrored[..., 0], label)
    is_flipped = label[0, 0] != panoptic[0, 0]
    flipped += is_flipped
    np.testing.assert_array_equal(
        label, panoptic[:, ::-1] if is_flipped else panoptic)
  assert 8 < flipped < 32


@both_modes
def test_turns_and_flips_give_each_of_the_eight_orientations(mode):
  image, panoptic = _example(4, 7)
  settings = augmentation.AugmentationSettings(
      crop_size=(9, 9), scale_range=(1.0, 1.0), vertical_flip=True,
      quarter_turns=True)
  expected = [np.rot90(flipped, quarters)
              for flipped in (panoptic, panoptic[:, ::-1])
              for quarters in range(4)]
  seen = []
  for turned, label, (top, left, bottom, right) in _run(
      lambda seed: augmentation.augment(
          tf.cast(image, tf.uint8), tf.constant(panoptic), seed, settings,
          _VOID), mode):
    inside = label[top:bottom, left:right]
    np.testing.assert_array_equal(
        turned[top:bottom, left:right, 0], inside)
    assert (label != _VOID).sum() == panoptic.size
    seen.append([np.array_equal(inside, one) for one in expected])
  assert np.sum(seen, 1).tolist() == [1] * 40
  assert np.sum(seen, 0).min() >= 1


@pytest.mark.parametrize('option, orientations', [
    ('vertical_flip', [0, 1]), ('quarter_turns', [0, 2, 3, 4])])
def test_each_option_gives_its_orientations(option, orientations):
  image, panoptic = _example(5, 5)
  settings = augmentation.AugmentationSettings(
      crop_size=(5, 5), scale_range=(1.0, 1.0), horizontal_flip=False,
      **{option: True})
  possible = [panoptic, panoptic[::-1],
              *(np.rot90(panoptic, quarters) for quarters in (1, 2, 3))]
  counts = np.zeros(5, int)
  for _, label, _ in _run(
      lambda seed: augmentation.augment(
          tf.constant(image, tf.uint8), tf.constant(panoptic), seed, settings,
          _VOID), 'tf.data'):
    counts += [np.array_equal(label, one) for one in possible]
  assert counts.sum() == 40
  assert np.flatnonzero(counts > 3).tolist() == orientations


def _sizes(size, scale_range, scale_step, count=40):
  return {tuple(augmentation.random_size(
      tf.constant(size), seed, scale_range, scale_step).numpy())
          for seed in _seeds(count)}


def test_size_takes_every_step_and_truncates():
  assert _sizes((11, 20), (0.5, 1.0), 0.25) == {(5, 10), (8, 15), (11, 20)}


def test_size_reaches_the_last_step():
  assert (40, 20) in _sizes((20, 10), (0.5, 2.0), 0.1, count=100)


def test_size_without_step_is_continuous():
  heights = {height for height, _ in _sizes((100, 50), (0.5, 1.5), 0.0)}
  assert len(heights) > 15
  assert min(heights) >= 50 and max(heights) <= 150


def test_size_is_never_zero():
  assert _sizes((1, 3), (0.1, 0.1), 0.1) == {(1, 1)}


class TestColor:

  def test_off_by_default_changes_nothing(self):
    image = np.random.default_rng(0).uniform(0, 255, [4, 5, 3]).astype('f')
    np.testing.assert_array_equal(
        augmentation.jitter_color(image, [1, 2], 0.0, 0.0, 0.0), image)

  @pytest.mark.parametrize('amounts', [
      (0.3, 0.0, 0.0), (0.0, 0.4, 0.0), (0.0, 0.0, 0.5), (0.3, 0.4, 0.5)])
  def test_stays_in_range_and_depends_on_the_seed(self, amounts):
    image = np.random.default_rng(0).uniform(0, 255, [4, 5, 3]).astype('f')
    results = [augmentation.jitter_color(image, seed, *amounts).numpy()
               for seed in _seeds(5)]
    for result in results:
      assert 0 <= result.min() and result.max() <= 255
    assert len({result.tobytes() for result in results}) == 5

  def test_invariants_of_each_one(self):
    image = np.random.default_rng(0).uniform(100, 150, [4, 5, 3]).astype('f')
    brighter = augmentation.jitter_color(image, [1, 2], 0.2, 0.0, 0.0).numpy()
    shift = brighter - image
    np.testing.assert_allclose(shift, np.full_like(shift, shift[0, 0, 0]),
                               atol=1e-3)
    contrasted = augmentation.jitter_color(image, [1, 2], 0.0, 0.3, 0.0)
    np.testing.assert_allclose(
        np.mean(contrasted, (0, 1)), image.mean((0, 1)), rtol=1e-5)
    grey = np.repeat(image[..., :1], 3, -1)
    np.testing.assert_allclose(
        augmentation.jitter_color(grey, [1, 2], 0.0, 0.0, 0.5), grey,
        rtol=1e-3)


class TestAugment:

  def test_the_whole_chain_keeps_image_and_label_together(self):
    """Without interpolation (factor 1), red must equal the label exactly."""
    image, panoptic = _example()
    settings = augmentation.AugmentationSettings(
        crop_size=(4, 12), scale_range=(1.0, 1.0))

    def run(seed):
      return augmentation.augment(
          tf.constant(image, tf.uint8), tf.constant(panoptic), seed, settings,
          _VOID)

    eager = _run(run, 'eager')
    for result, label, (top, left, bottom, right) in eager:
      assert result.shape == (4, 12, 3) and result.dtype == np.uint8
      inside = label != _VOID
      assert inside.sum() == 4 * 9
      assert inside[top:bottom, left:right].all()
      assert (bottom - top) * (right - left) == 4 * 9
      np.testing.assert_array_equal(result[..., 0][inside], label[inside])
      assert (result[~inside] == 0).all()
    for one, other in zip(eager, _run(run, 'tf.data')):
      for tensor, same in zip(one, other):
        np.testing.assert_array_equal(tensor, same)
    assert len({label.tobytes() for _, label, _ in eager}) > 15  # of 24

  @pytest.mark.slow
  @pytest.mark.parametrize('policy', ['panoptic_deeplab', 'simple'])
  def test_color_policies_change_the_image_and_not_the_label(self, policy):
    rng = np.random.default_rng(0)
    image = rng.integers(40, 180, [20, 30, 3], np.uint8)
    panoptic = np.arange(600, dtype=np.int32).reshape(20, 30)
    plain = augmentation.AugmentationSettings(crop_size=(17, 33))
    settings = dataclasses.replace(plain, color_policy=policy)

    def run(seed, settings=settings):
      return augmentation.augment(
          tf.constant(image), tf.constant(panoptic), seed, settings, _VOID)

    changed = 0
    eager = _run(run, 'eager')
    for one, other, same in zip(
        eager, _run(lambda seed: run(seed, plain), 'eager'),
        _run(run, 'tf.data')):
      np.testing.assert_array_equal(one[1], other[1])
      np.testing.assert_array_equal(one[1], same[1])
      # Interpolation may round differently in a graph, by one of 255 levels;
      # histograms then differ, too.
      images = [result[0].astype(np.int32) for result in (one, same, other)]
      assert np.mean(np.abs(images[0] - images[1]) > 3) < 0.02
      changed += np.abs(images[0] - images[2]).max() > 6
    assert 5 < changed

  def test_scaled_labels_follow_the_image(self):
    """Large uniform squares: image and label agree away from their edges."""
    panoptic = np.kron([[10, 200], [90, 250]], np.ones([40, 40])).astype('i4')
    image = np.repeat(panoptic[..., None], 3, -1).astype(np.uint8)
    settings = augmentation.AugmentationSettings(crop_size=(65, 65))
    for seed in _seeds(20):
      result, label, _ = augmentation.augment(
          image, panoptic, seed, settings, void_label=0)
      differs = np.abs(result.numpy()[..., 0].astype(np.int32) - label) > 1
      assert differs.mean() < 0.08  # two seams, blurred when enlarged

  @pytest.mark.parametrize('size', [(1, 1), (1, 50), (50, 1)])
  def test_odd_sizes(self, size):
    image = np.zeros([*size, 3], np.uint8)
    panoptic = np.ones(size, np.int32)
    settings = augmentation.AugmentationSettings(crop_size=(5, 5))
    for seed in _seeds(5):
      result, label, _ = augmentation.augment(
          image, panoptic, seed, settings, _VOID)
      assert result.shape == (5, 5, 3)
      assert set(np.unique(label)) <= {1, _VOID} and np.any(label == 1)

  def test_flips_can_be_switched_off(self):
    image, panoptic = _example()
    settings = augmentation.AugmentationSettings(
        crop_size=(6, 9), scale_range=(1.0, 1.0), horizontal_flip=False)
    for seed in _seeds(10):
      _, label, _ = augmentation.augment(
          image.astype(np.uint8), panoptic, seed, settings, _VOID)
      np.testing.assert_array_equal(label, panoptic)


@pytest.mark.parametrize('changes, field', [
    ({'crop_size': (0, 5)}, 'crop_size'),
    ({'crop_size': (5, 20000)}, 'crop_size'),
    ({'crop_size': (5,)}, 'crop_size'),
    ({'scale_range': (0.0, 1.0)}, 'scale_range'),
    ({'scale_range': (2.0, 1.0)}, 'scale_range'),
    ({'scale_step': -0.1}, 'scale_step'),
    ({'contrast': 1.0}, 'contrast'),
    ({'brightness': -0.1}, 'brightness'),
    ({'color_policy': 'v0'}, 'color_policy'),
    ({'horizontal_flip': 1}, 'horizontal_flip'),
    ({'quarter_turns': True, 'crop_size': (5, 7)},
     r'crop_size: expected equal height and width.*got \(5, 7\)'),
])
def test_settings_are_checked(changes, field):
  with pytest.raises(errors.UserError, match=field):
    augmentation.AugmentationSettings(**changes)
