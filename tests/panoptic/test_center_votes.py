"""Votes of offsets for centers, and what they change in the merging."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.panoptic import center_votes, merging

_SETTINGS = merging.MergingSettings(stuff_area_limit=0)


def _scene():
  """Two touching squares of one thing, whose offsets point to their centers."""
  thing = np.zeros([1, 24, 40], bool)
  offset = np.zeros([1, 24, 40, 2], np.float32)
  y, x = np.mgrid[:24, :40]
  for left in (6, 17):
    part = np.s_[0, 6:17, left:left + 11]
    thing[part] = True
    offset[part] = np.stack([11 - y, left + 5 - x], -1)[part[1:]]
  return thing, offset


def test_votes_are_a_saturating_sum_around_where_pixels_point(compiled):
  rng = np.random.default_rng(0)
  thing = rng.uniform(size=[2, 9, 11]) < 0.5
  offset = rng.normal(0, 4, [2, 9, 11, 2]).astype(np.float32)
  offset[0, 4, 5] = np.nan
  expected = np.zeros([2, 9, 11])
  for image, y, x in zip(*np.nonzero(thing)):
    center = np.round(np.add((y, x), offset[image, y, x]))
    if (center >= 0).all() and (center < (9, 11)).all():
      d2 = (np.mgrid[:9, :11] - center[:, None, None])**2
      kernel = np.exp(-d2.sum(0) / (2 * 1.5**2))
      expected[image] += np.where(d2.max(0) <= 16, kernel, 0)
  got = compiled(center_votes.votes)(tf.constant(offset), tf.constant(thing))
  np.testing.assert_allclose(got, expected / (expected + 16), atol=1e-5)


def _merged(thing, offset, heatmap, settings):
  return merging.merge(
      tf.one_hot(tf.cast(thing, tf.int32), 2), tf.constant(heatmap),
      tf.constant(offset), thing_ids=(1,), label_divisor=10, void_label=90,
      settings=settings)


def test_votes_tell_touching_instances_apart_under_one_peak_of_heat():
  thing, offset = _scene()
  y, x = np.mgrid[:24, :40]
  heatmap = np.float32(
      0.5 - 0.01 * (abs(y - 11) + abs(x - 16)))[np.newaxis] * thing
  plain = _merged(thing, offset, heatmap, _SETTINGS)['panoptic_map'][0].numpy()
  assert set(plain[thing[0]]) == {11}
  voting = _merged(thing, offset, heatmap, dataclasses.replace(
      _SETTINGS, center_votes=4.0, center_threshold=0.5))
  found = voting['panoptic_map'][0].numpy()
  assert set(found[6:17, 6:17].ravel()) == {11}
  assert set(found[6:17, 17:28].ravel()) == {12}
  assert 0.5 < voting['score_map'][0, 11, 11] <= 1.0


def test_images_without_things_have_no_votes():
  thing, offset = _scene()
  got = _merged(np.zeros_like(thing), offset, np.zeros(thing.shape, 'f'),
                dataclasses.replace(_SETTINGS, center_votes=1.0))
  assert set(np.unique(got['panoptic_map'])) == {0}


@pytest.mark.parametrize('field, value', [
    ('center_votes', -0.1), ('center_votes', float('inf')),
    ('subpixel_peaks', 1)])
def test_invalid_settings_are_refused(field, value):
  with pytest.raises(errors.UserError, match=f'MergingSettings.{field}'):
    merging.MergingSettings(**{field: value})
