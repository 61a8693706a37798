"""Windows, shifts, targets and mixing: pure functions of their seeds."""

import io

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.data.classification import augmentation as lib
from axial_tf.files import image_decoding, images
from tests import picture_files


def _encode(pixels, image_format):
  buffer = io.BytesIO()
  Image.fromarray(pixels).save(buffer, image_format, quality=95, subsampling=0)
  return buffer.getvalue()


def _slope(height, width):
  """Red rises downwards, green to the right."""
  y, x = np.mgrid[:height, :width]
  return np.stack([y, x, 0 * x], -1).astype(np.uint8)


def _seeds(count):
  return [tf.constant([8, i], tf.int64) for i in range(count)]


def _run(function, mode, count=30):
  if mode == 'eager':
    return [np.asarray(function(seed)) for seed in _seeds(count)]
  dataset = tf.data.Dataset.from_tensor_slices(tf.stack(_seeds(count))).map(
      function, num_parallel_calls=2)
  return list(dataset.as_numpy_iterator())


both_modes = pytest.mark.parametrize('mode', ['eager', 'tf.data'])


@pytest.mark.parametrize('image_format, mode', [
    ('PNG', 'eager'), ('JPEG', 'tf.data')])
def test_windows_are_parts_of_the_image_in_the_given_range(image_format, mode):
  encoded = _encode(_slope(60, 90), image_format)
  whole = image_decoding.decode(tf.constant(encoded)).numpy()
  windows = _run(lambda seed: lib.decode_random_window(
      encoded, seed, (0.2, 0.5), (0.75, 4 / 3)), mode)
  places = set()
  for window in windows:
    height, width = window.shape[:2]
    assert 0.18 < height * width / (60 * 90) < 0.53
    assert 0.7 < width / height < 1.42
    top, left = np.round(window[0, 0, :2]).astype(int)
    found = [(y, x) for y in range(max(0, top - 2), top + 3)
             for x in range(max(0, left - 2), left + 3)
             if whole[y:y + height, x:x + width].shape == window.shape and (
                 whole[y:y + height, x:x + width] == window).all()]
    assert found, 'a window holds other pixels than the image'
    places.add(found[0])
  assert len(places) > 20


def test_a_jpeg_and_a_png_show_the_same_window():
  encoded = _encode(_slope(50, 40), 'JPEG')
  png = _encode(image_decoding.decode(
      tf.constant(encoded)).numpy(), 'PNG')
  for seed in _seeds(5):
    one, other = (lib.decode_random_window(
        e, seed, (0.08, 1.0), (0.75, 4 / 3)).numpy() for e in (encoded, png))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize('kind', ['JPEG EXIF 6', 'JPEG EXIF 3', 'JPEG CMYK'])
def test_windows_are_parts_of_the_displayed_image(kind):
  jpeg = picture_files.jpegs()[kind]
  png = _encode(images.from_bytes(jpeg, kind), 'PNG')
  for seed in _seeds(5):
    one, other = (lib.decode_random_window(
        e, seed, (0.08, 1.0), (0.75, 4 / 3)).numpy() for e in (jpeg, png))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize('size', [(1, 1), (1, 200), (200, 1), (3, 2)])
def test_odd_sizes(size):
  encoded = _encode(np.zeros([*size, 3], np.uint8), 'PNG')
  settings = lib.ClassificationAugmentationSettings(policy='rand_augment')
  image = lib.augment(encoded, tf.constant([1, 2]), (8, 9), settings)
  assert image.shape == [8, 9, 3]


@both_modes
def test_shifts_reach_all_places_and_fill_with_grey(mode):
  image = tf.constant(_slope(6, 7) + 1, tf.float32)
  corners = set()
  for shifted in _run(lambda seed: lib.random_shift(image, seed, 2), mode, 200):
    assert shifted.shape == (6, 7, 3)
    inside = shifted[..., 2] == 1
    assert (shifted[~inside] == 128).all()
    y, x = np.argwhere(inside)[0]
    corners.add((shifted[y, x, 0] - 1 - y, shifted[y, x, 1] - 1 - x))
  assert corners == {(y, x) for y in range(-2, 3) for x in range(-2, 3)}


def test_a_square_is_hidden_around_any_pixel():
  image = tf.zeros([5, 7, 3])
  found = set()
  for seed in range(400):
    hidden = lib.hide_square(image, tf.constant([seed, 0]), 3).numpy()
    found.add((hidden == 128).tobytes())
  expected = set()
  for y, x in np.ndindex(5, 7):
    square = np.zeros([5, 7, 3], bool)
    square[max(y - 1, 0):y + 2, max(x - 1, 0):x + 2] = True
    expected.add(square.tobytes())
  assert found == expected


@pytest.mark.parametrize('crop, policy, mode', [
    ('random_resized', None, 'tf.data'), ('none', None, 'tf.data'),
    ('pad', 'simple', 'tf.data'), ('pad', 'simple', 'eager'),
    ('random_resized', 'rand_augment', 'eager')])
def test_the_whole_chain(crop, policy, mode):
  encoded = _encode(_slope(40, 30), 'JPEG')
  settings = lib.ClassificationAugmentationSettings(crop=crop, policy=policy)

  def run(seed):
    return lib.augment(
        encoded, tf.stack([seed[0], seed[1] % 8]), (32, 24), settings)

  results = _run(run, mode, 16)
  for one, same in zip(results[:8], results[8:]):
    assert one.shape == (32, 24, 3) and one.dtype == np.float32
    assert -1 <= one.min() and one.max() <= 1
    np.testing.assert_array_equal(one, same)
  assert len({one.tobytes() for one in results}) > 1


def test_vertical_flips_leave_horizontal_ones_alone():
  encoded = _encode(_slope(20, 20), 'PNG')
  plain, flipping = (
      _run(lambda seed, vertical=vertical: lib.augment(
          encoded, seed, (20, 20), lib.ClassificationAugmentationSettings(
              crop='none', vertical_flip=vertical)), 'eager')
      for vertical in (False, True))
  flipped = [not np.array_equal(one, other)
             for one, other in zip(plain, flipping)]
  assert 8 < np.sum(flipped) < 22
  for one, other, is_flipped in zip(plain, flipping, flipped):
    np.testing.assert_array_equal(other, one[::-1] if is_flipped else one)


def test_without_crop_and_flip_an_image_is_unchanged():
  pixels = np.random.default_rng(0).integers(0, 256, [8, 9, 3]).astype(np.uint8)
  image = lib.augment(
      _encode(pixels, 'PNG'), tf.constant([1, 2]), (8, 9),
      lib.ClassificationAugmentationSettings(
          crop='none', horizontal_flip=False))
  np.testing.assert_allclose(image, pixels / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize('smoothing', [0.0, 0.1])
def test_targets_sum_to_one_and_favor_the_label(smoothing):
  target = lib.targets(tf.constant([0, 2]), 4, smoothing).numpy()
  np.testing.assert_allclose(target.sum(1), 1, rtol=1e-6)
  np.testing.assert_allclose(
      target[0], [1 - smoothing + smoothing / 4, *[smoothing / 4] * 3],
      rtol=1e-6)
  assert target.argmax(1).tolist() == [0, 2]


def _mixed(alpha, batch=6, seed=0):
  image = tf.reshape(tf.range(batch, dtype=tf.float32), [-1, 1, 1, 1])
  target = tf.eye(batch)
  return [t.numpy() for t in lib.mix(
      image, target, tf.constant([seed, 1], tf.int64), alpha)]


def test_image_and_target_are_mixed_by_the_same_share():
  image, target = _mixed(0.5)
  np.testing.assert_allclose(target.sum(1), 1, rtol=1e-6)
  np.testing.assert_allclose(
      image[:, 0, 0, 0], target @ np.arange(6), rtol=1e-5)
  assert ((target > 0).sum(1) <= 2).all()
  again, _ = _mixed(0.5)
  np.testing.assert_array_equal(image, again)


def test_shares_follow_the_beta_distribution():
  """Variance of Beta(a, a): 1 / (4 (2 a + 1))."""
  for alpha in (0.2, 1.0, 4.0):
    shares = np.concatenate([
        np.diag(_mixed(alpha, 64, seed)[1]) for seed in range(20)])
    assert abs(shares.mean() - 0.5) < 0.04
    np.testing.assert_allclose(
        shares.var(), 1 / (4 * (2 * alpha + 1)), rtol=0.12)


@pytest.mark.parametrize('alpha, batch', [(1e-6, 4), (1.0, 1), (0.2, 2)])
def test_mixing_always_gives_valid_results(alpha, batch):
  image, target = _mixed(alpha, batch)
  assert np.isfinite(image).all()
  np.testing.assert_allclose(target.sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize('changes, field', [
    ({'crop': 'center'}, 'crop'),
    ({'area_range': (0.0, 1.0)}, 'area_range'),
    ({'area_range': (0.5, 1.5)}, 'area_range'),
    ({'ratio_range': (2.0, 1.0)}, 'ratio_range'),
    ({'padding': -1}, 'padding'),
    ({'policy': 'v7'}, 'policy'),
    ({'rand_layers': 0}, 'rand_layers'),
    ({'rand_magnitude': 11.0}, 'rand_magnitude'),
    ({'mixup_alpha': -0.1}, 'mixup_alpha'),
    ({'label_smoothing': 1.0}, 'label_smoothing'),
])
def test_settings_are_checked(changes, field):
  with pytest.raises(errors.UserError, match=field):
    lib.ClassificationAugmentationSettings(**changes)
