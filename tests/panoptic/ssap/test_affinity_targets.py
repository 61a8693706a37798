import numpy as np
import pytest
import tensorflow as tf

from axial_tf.panoptic.ssap import affinity_targets, windows


def _targets(label, window=5):
  """Targets of instances and stuff, without crowds (10, 20) and void (90)."""
  return {key: value.numpy() for key, value in (
      affinity_targets.affinity_targets(
          tf.constant(label), tf.constant(~np.isin(label, (10, 20, 90))),
          window)).items()}


def _random_labels(size, seed=0):
  """Stuff 0 and 3, instances and crowds of 1 and 2, and void."""
  rng = np.random.default_rng(seed)
  return rng.choice(
      [0, 30, 10, 11, 12, 20, 21, 90], size).astype(np.int32)


@pytest.mark.parametrize('window', [3, 5])
def test_they_equal_a_comparison_of_single_pixels(window):
  label = _random_labels([2, 6, 7])
  targets = _targets(label, window)
  for image in range(2):
    for y in range(6):
      for x in range(7):
        here = label[image, y, x]
        for channel, (dy, dx) in enumerate(windows.offsets(window)):
          valid, same = False, False
          if 0 <= y + dy < 6 and 0 <= x + dx < 7:
            there = label[image, y + dy, x + dx]
            valid = (dy, dx) != (0, 0) and not (
                {here, there} & {10, 20, 90})
            same = here == there
          place = image, y, x, channel
          assert targets['valid'][place] == valid
          if valid:
            assert targets['affinity'][place] == same


def test_both_pixels_of_a_pair_have_the_same_target():
  label = _random_labels([1, 8, 9])
  targets = _targets(label)
  for channel, (dy, dx) in enumerate(windows.offsets(5)[:12]):
    here = (0, slice(-dy, None), slice(max(-dx, 0), 9 - max(dx, 0)))
    there = (0, slice(0, 8 + dy), slice(max(dx, 0), 9 + min(dx, 0)))
    for key in ('affinity', 'valid'):
      np.testing.assert_array_equal(
          targets[key][(*here, channel)], targets[key][(*there, 24 - channel)])


def test_mirroring_the_label_mirrors_the_channels():
  label = _random_labels([1, 6, 8])
  targets, mirrored = _targets(label), _targets(label[:, :, ::-1].copy())
  order = list(windows.mirrored(5))
  for key in ('affinity', 'valid'):
    np.testing.assert_array_equal(
        mirrored[key][:, :, ::-1][..., order], targets[key])


def test_they_equal_those_of_bioimage_cpp():
  affinities = pytest.importorskip('bioimage_cpp').affinities
  label = np.random.default_rng(0).integers(0, 4, [7, 9])
  offsets = [list(offset) for offset in windows.offsets(5)]
  expected, mask = affinities.compute_affinities(
      label.astype(np.uint64), offsets, ignore_label=0)
  # Label 0 is void here, the others are instances of class 1.
  targets = _targets(
      np.where(label == 0, 90, label + 10).astype(np.int32)[np.newaxis])
  others = [offset != [0, 0] for offset in offsets]
  valid = targets['valid'][0][..., others]
  np.testing.assert_array_equal(
      valid, np.moveaxis(np.asarray(mask), 0, -1)[..., others].astype(bool))
  np.testing.assert_array_equal(
      targets['affinity'][0][..., others][valid],
      np.moveaxis(np.asarray(expected), 0, -1)[..., others][valid] > 0.5)


def test_levels_sample_the_label_and_pad_it_with_void():
  label = np.arange(7 * 10).reshape(1, 7, 10).astype(np.int32)
  level = affinity_targets.sampled(tf.constant(label), 4, (3, 4), 90)
  np.testing.assert_array_equal(level[0], [
      [0, 4, 8, 90], [40, 44, 48, 90], [90, 90, 90, 90]])
