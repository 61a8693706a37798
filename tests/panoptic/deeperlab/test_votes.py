"""Sampling, refinement, Hough voting, its scores and peaks."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.panoptic.deeperlab import (
  hough,
  keypoints,
  peaks,
  refinement,
  rescoring,
  sampling,
)

_PIXELS = np.stack(np.mgrid[:9, :12], -1).astype(np.float32)


def _field(target):
  """Short or long offsets [9, 12, 5, 2] to one place for each keypoint."""
  target = np.asarray(target, np.float32).reshape(1, 1, -1, 2)
  return np.repeat(target - _PIXELS[:, :, np.newaxis], 5 // target.shape[2], 2)


def test_edges_form_a_star_and_mirror_into_one_another():
  assert keypoints.EDGES[:4] == ((4, 0), (4, 1), (4, 2), (4, 3))
  assert keypoints.EDGES[4:] == ((0, 4), (1, 4), (2, 4), (3, 4))
  assert keypoints.FLIPPED_EDGES == (1, 0, 3, 2, 5, 4, 7, 6)
  rng = np.random.default_rng(0)
  heads = {'keypoint_logits': rng.normal(size=[2, 3, 4, 5]),
           'middle_offset': rng.normal(size=[2, 3, 4, 16]),
           'semantic_logits': rng.normal(size=[2, 3, 4, 7])}
  heads = {name: value.astype(np.float32) for name, value in heads.items()}
  once = keypoints.mirrored(heads)
  np.testing.assert_array_equal(
      once['keypoint_logits'][..., 0], heads['keypoint_logits'][:, :, ::-1, 1])
  np.testing.assert_array_equal(
      once['middle_offset'][..., 1], -heads['middle_offset'][:, :, ::-1, 3])
  for name, head in keypoints.mirrored(once).items():
    np.testing.assert_array_equal(head, heads[name])


def test_sampling_is_linear_and_stops_at_the_border():
  maps = np.stack([_PIXELS, 2 * _PIXELS], 2)
  points = np.array([[[1.25, 2.5], [3, 4]], [[-5, 20], [8, 11]]], np.float32)
  got = sampling.sample(tf.constant(maps), tf.constant(points))
  np.testing.assert_allclose(
      got, [[[1.25, 2.5], [6, 8]], [[0, 11], [16, 22]]])
  # NaN stays visible, and does not break the rest.
  points[0, 0] = np.nan
  got = sampling.sample(tf.constant(maps), tf.constant(points)).numpy()
  assert np.isnan(got[0, 0]).all() and np.isfinite(got[0, 1]).all()


def test_an_exact_short_field_corrects_any_error_in_one_step():
  short = _field([[4, 5]])
  rng = np.random.default_rng(1)
  long = short + rng.uniform(-0.9, 0.9, short.shape).astype(np.float32)
  inside = (slice(1, 8), slice(1, 11))
  got = refinement.refine_long(
      tf.constant(long), tf.constant(short), by_long=0, by_short=1).numpy()
  np.testing.assert_allclose(got[inside], short[inside], atol=1e-5)
  assert np.abs(long[inside] - short[inside]).max() > 0.8


def test_middle_offsets_are_corrected_where_their_edges_end():
  targets = np.array([[2, 3], [2, 8], [6, 3], [6, 8], [4, 5]], np.float32)
  short = _field(targets)
  exact = np.stack([short[:, :, end] for end in keypoints.EDGE_ENDS], 2)
  start = tf.constant([[3.25, 4.5], [7.0, 0.5]])

  def ends(edges, steps):
    return refinement.follow_edges(
        start, edges, tf.constant(exact + 0.5), tf.constant(short), steps)

  np.testing.assert_allclose(
      ends([0, 3, 6], 1), np.repeat(targets[np.newaxis, [0, 3, 4]], 2, 0),
      atol=1e-5)
  np.testing.assert_allclose(ends([3], 0)[:, 0] - targets[3], 0.5, atol=1e-5)


def test_refining_by_itself_is_wrong_where_the_corner_is_another_ones():
  """Why the default does not refine long offsets by themselves."""
  long = np.zeros([9, 12, 5, 2], np.float32)
  long[:, :6], long[:, 6:] = _field([[0, 7]])[:, :6], _field([[8, 11]])[:, 6:]
  got = refinement.refine_long(
      tf.constant(long), tf.constant(0 * long), by_long=1, by_short=0)
  # From (0, 0) to (0, 7), which is of the instance with a corner at (8, 11).
  np.testing.assert_array_equal(got[0, 0, 0], [8, 11])


def test_a_vote_is_shared_by_four_pixels():
  got = hough.votes(tf.constant([[[1.25, 2.5]]]), tf.constant([[0.8]]), 4, 5)
  expected = np.zeros([4, 5, 1])
  expected[1, 2:4], expected[2, 2:4] = 0.3, 0.1
  np.testing.assert_allclose(got, expected, atol=1e-7)


@pytest.mark.parametrize('jit_compile', [False, True])
def test_votes_are_those_of_a_plain_sum(jit_compile):
  rng = np.random.default_rng(2)
  points = rng.uniform(-2, 14, [9, 12, 5, 2]).astype(np.float32)
  weights = rng.uniform(size=[9, 12, 5]).astype(np.float32)
  points[0, 0], points[0, 1] = np.nan, 1e30
  got = tf.function(hough.votes, jit_compile=jit_compile)(
      tf.constant(points), tf.constant(weights), 9, 12).numpy()
  points[0, :2] = -9.0
  for kind in range(5):
    y, x = points[..., kind, 0].ravel(), points[..., kind, 1].ravel()
    rows, columns, parts = [], [], []
    for down in (0, 1):
      for right in (0, 1):
        rows.append(np.floor(y).astype(int) + down)
        columns.append(np.floor(x).astype(int) + right)
        parts.append(weights[..., kind].ravel()
                     * (1 - abs(y - rows[-1])) * (1 - abs(x - columns[-1])))
    rows, columns, parts = map(np.concatenate, (rows, columns, parts))
    inside = (rows >= 0) & (rows < 9) & (columns >= 0) & (columns < 12)
    expected = np.zeros([9, 12])
    np.add.at(expected, (rows[inside], columns[inside]), parts[inside])
    np.testing.assert_allclose(got[..., kind], expected, atol=1e-4)


def test_no_weight_inside_the_image_is_lost():
  rng = np.random.default_rng(3)
  points = rng.uniform([0, 0], [8, 11], [9, 12, 5, 2]).astype(np.float32)
  weights = rng.uniform(size=[9, 12, 5]).astype(np.float32)
  got = hough.votes(tf.constant(points), tf.constant(weights), 9, 12)
  np.testing.assert_allclose(
      tf.reduce_sum(got, [0, 1]), weights.sum((0, 1)), rtol=1e-5)


def test_a_full_disk_of_votes_counts_one_and_long_votes_no_more():
  center = [[4, 6]]
  short = _field(center)
  heat = (np.square(short).sum(-1) <= 9).astype(np.float32)
  everywhere = np.ones([9, 12], bool)

  def at_center(heat, is_thing, weight):
    return hough.fused_votes(
        tf.constant(heat), tf.constant(short), tf.constant(short),
        tf.constant(is_thing), 3.0, weight).numpy()[4, 6, 0]

  disk = heat[..., 0].sum() / (np.pi * 9)
  assert at_center(heat, everywhere, 0.0) == pytest.approx(disk)
  # 108 pixels vote, which is more than the area of a disk.
  assert at_center(heat, everywhere, 0.5) == pytest.approx(disk + 0.5)
  assert at_center(heat, ~everywhere, 0.5) == pytest.approx(disk)
  few = np.zeros_like(everywhere)
  few[0, :7] = True
  assert at_center(0 * heat, few, 1.0) == pytest.approx(7 / (np.pi * 9))


def test_expected_similarity_by_its_formula():
  rng = np.random.default_rng(4)
  votes = rng.uniform(size=[9, 12, 5]).astype(np.float32)
  votes[:, 6:, 1] = 0.0
  got = rescoring.expected_similarity(tf.constant(votes), 2.5).numpy()
  for i, j in [(4, 5), (0, 0), (8, 11)]:
    squares = np.square(_PIXELS - [i, j]).sum(-1)
    weight = votes * (squares <= 2.5**2)[..., np.newaxis]
    similar = weight * np.exp(-squares / (2 * 1.25**2))[..., np.newaxis]
    expected = similar.sum((0, 1)) / np.maximum(weight.sum((0, 1)), 1e-9)
    np.testing.assert_allclose(got[i, j], expected, rtol=1e-4)
  assert got[8, 11, 1] == 0.0  # No votes at all.
  single = np.zeros([9, 12, 5], np.float32)
  single[4, 5] = 0.01
  np.testing.assert_allclose(
      rescoring.expected_similarity(tf.constant(single), 2.5)[4, 5], 1.0,
      rtol=1e-5)


def test_peaks_are_sorted_moved_and_limited():
  votes, short = np.zeros([9, 12, 5]), np.zeros([9, 12, 5, 2])
  for number, (y, x, kind, value) in enumerate([
      (1, 2, 0, 0.5), (1, 3, 0, 0.4), (4, 6, 0, 0.3), (8, 11, 4, 0.9),
      (6, 1, 2, 0.04)]):
    votes[y, x, kind] = value
    short[y, x, kind] = 0.25 * number, -4.0

  def find(most):
    return peaks.find(
        *(tf.constant(a, tf.float32) for a in (votes, votes, short)),
        threshold=0.05, most=most)

  found = find(5)
  # The second is beside a higher one, the last one is below the threshold.
  np.testing.assert_allclose(found.scores, [0.9, 0.5, 0.3, 0, 0])
  np.testing.assert_array_equal(found.kinds[:3], [4, 0, 0])
  # Moved by the short offsets, by one pixel at the most.
  np.testing.assert_allclose(found.points[:3], [(8.75, 10), (1, 1), (4.5, 5)])
  np.testing.assert_allclose(find(2).scores, [0.9, 0.5])
