"""Runs of label maps against going through the pixels."""

import collections

import hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np

from axial_tf.panoptic import label_runs

_MAPS = hnp.arrays(
    np.int32, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=6),
    elements=st.sampled_from([0, 3, 2**24 - 1]))


@hypothesis.given(_MAPS)
def test_areas_are_those_of_the_pixels(label_map):
  assert label_runs.areas(label_map) == collections.Counter(
      label_map.ravel().tolist())


@hypothesis.given(_MAPS, st.randoms())
def test_runs_end_where_any_map_changes(first, random):
  second = np.int32([random.randrange(2) for _ in range(first.size)])
  starts, lengths = label_runs.find(first, second)
  pixels = list(zip(first.ravel().tolist(), second.tolist()))
  runs = [pixels[start] for start in starts]
  assert all(one != next_one for one, next_one in zip(runs, runs[1:]))
  assert pixels == [
      run for run, length in zip(runs, lengths) for _ in range(length)]
