"""Segments of a map against counting by hand."""

import hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest

from axial_tf import errors
from axial_tf.evaluation import label_maps
from tests import color_model
from tests.color_model import BALL, GROUND, SKY, SPEC


@hypothesis.given(hnp.arrays(
    np.int32, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=7),
    elements=st.sampled_from(
        [GROUND, BALL, BALL + 1, BALL + 7, SKY, SPEC.void_label,
         SPEC.void_label + 4])))
def test_any_map_matches_counting(panoptic):
  segments, areas, boxes = label_maps.segments(panoptic, SPEC)
  present = np.unique(panoptic[panoptic < SPEC.void_label])
  np.testing.assert_array_equal(segments.ids, present)
  np.testing.assert_array_equal(segments.classes, present // 100)
  np.testing.assert_array_equal(segments.is_crowd, present == BALL)
  for label, area, box in zip(present, areas, boxes):
    y, x = np.nonzero(panoptic == label)
    assert area == y.size
    assert box.tolist() == [y.min(), x.min(), y.max() + 1, x.max() + 1]


@pytest.mark.parametrize('panoptic, words', [
    ([[300]], 'train id 3'), ([[1]], 'instance 0 for stuff'),
    ([0], 'label map .height, width'), ([[0.5]], 'integer label map'),
    ([[-1]], 'labels >= 0')])
def test_maps_that_do_not_match_the_spec_are_refused(panoptic, words):
  with pytest.raises(errors.UserError, match=words):
    label_maps.segments(np.array(panoptic), SPEC)


def test_the_scene():
  segments, areas, boxes = label_maps.segments(color_model.scene()[1], SPEC)
  assert segments.ids.tolist() == [GROUND, BALL + 1, BALL + 2, SKY]
  assert areas.tolist() == [560, 80, 80, 240]
  assert boxes.tolist()[1] == [8, 4, 16, 14]


def test_large_maps_are_measured_as_small_ones():
  panoptic = np.full([3000, 1500], GROUND, np.int32)
  panoptic[2700:2900, 10:20] = BALL + 1
  panoptic[2999, 1499] = BALL + 2
  segments, areas, boxes = label_maps.segments(panoptic, SPEC)
  assert segments.ids.tolist() == [GROUND, BALL + 1, BALL + 2]
  assert areas.tolist() == [3000 * 1500 - 2001, 2000, 1]
  assert boxes.tolist() == [
      [0, 0, 3000, 1500], [2700, 10, 2900, 20], [2999, 1499, 3000, 1500]]
