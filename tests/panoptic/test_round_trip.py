"""Heads that equal the targets reproduce the ground truth."""

import hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest
import tensorflow as tf

from axial_tf.panoptic import merging, targets

_THINGS = (1, 2)
_LABELS = st.one_of(
    st.sampled_from([0, 30, 40]),  # stuff
    st.integers(11, 14), st.integers(21, 24))


def _merge_of_targets(panoptic, **settings):
  maps = targets.panoptic_targets(
      tf.constant(panoptic), thing_ids=_THINGS, label_divisor=10,
      ignore_label=9, settings=targets.TargetSettings(sigma=1.0))
  return merging.merge(
      tf.one_hot(maps['semantic'], 5)[tf.newaxis],
      maps['center_heatmap'][tf.newaxis], maps['offset'][tf.newaxis],
      thing_ids=_THINGS, label_divisor=10, void_label=90,
      settings=merging.MergingSettings(**settings))['panoptic_map'][0].numpy()


def _rounded_center(mask):
  y, x = np.nonzero(mask)
  return np.round(y.mean()), np.round(x.mean())


@pytest.mark.slow
@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(
    hnp.arrays(np.int32, st.tuples(st.integers(1, 10), st.integers(1, 10)),
               elements=_LABELS), st.integers(0, 10))
def test_what_is_recovered_and_what_is_lost(panoptic, stuff_limit):
  merged = _merge_of_targets(panoptic, stuff_area_limit=stuff_limit)
  by_center = {}
  for label in np.unique(panoptic):
    mask = panoptic == label
    if label % 10:
      by_center.setdefault(_rounded_center(mask), []).append(mask)
    else:  # stuff: as it was, or void when small
      expected = label if mask.sum() >= stuff_limit else 90
      np.testing.assert_array_equal(merged[mask], expected)
  # Things: one segment per center, of the class that most of its pixels have.
  for masks in by_center.values():
    union = np.any(masks, axis=0)
    result = np.unique(merged[union])
    assert len(result) == 1
    np.testing.assert_array_equal(merged == result[0], union)
    assert result[0] // 10 == np.bincount(panoptic[union] // 10).argmax()


def test_concentric_instances_are_merged():
  ring = np.full([5, 5], 11, np.int32)
  ring[2, 2] = 12
  merged = _merge_of_targets(ring, stuff_area_limit=0)
  np.testing.assert_array_equal(merged, np.full([5, 5], 11))
