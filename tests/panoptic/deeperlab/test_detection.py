"""Greedy detection and suppression against lists; pixels to instances."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.panoptic.deeperlab import assignment, detection, keypoints
from axial_tf.panoptic.deeperlab import peaks as peaks_lib


def _random_peaks(rng, count, used):
  scores = np.sort(rng.uniform(0.1, 1.0, count))[::-1]
  scores[used:] = 0.0
  return peaks_lib.Peaks(*(tf.constant(values) for values in (
      rng.uniform(0, 20, [count, 2]).astype(np.float32),
      rng.integers(5, size=count).astype(np.int32),
      scores.astype(np.float32))))


def _visit(peaks, points, radius):
  """The same in words: a queue, and a list of instances."""
  found = []
  for place, kind, score, instance in zip(
      peaks.points.numpy(), peaks.kinds.numpy(), peaks.scores.numpy(), points):
    if score > 0 and not any(
        np.square(other[kind] - place).sum() <= radius**2
        for other in found):
      found.append(instance)
  return found


@pytest.mark.parametrize('jit_compile', [False, True])
def test_detection_is_a_queue_of_keypoints(jit_compile):
  rng = np.random.default_rng(0)
  detect = tf.function(detection.detect, jit_compile=jit_compile)
  for _ in range(8):
    peaks = _random_peaks(rng, 60, rng.integers(60))
    points = rng.uniform(0, 20, [60, 5, 2]).astype(np.float32)
    points[np.arange(60), peaks.kinds] = peaks.points
    scores = tf.constant(rng.uniform(size=[21, 21, 5]), tf.float32)
    got = detect(peaks, tf.constant(points), scores, 5.0, 60)
    expected = _visit(peaks, points, 5.0)
    assert got.found == len(expected)
    np.testing.assert_allclose(
        sorted(got.keypoints[:got.found].numpy().tolist()),
        sorted(point.tolist() for point in expected), atol=1e-4)
    assert not np.any(got.scores[got.found:])
    assert (np.diff(got.scores.numpy()) <= 0).all()


def test_a_star_is_followed_from_a_corner_and_from_its_center():
  points = np.array([(2, 3), (2, 9), (8, 3), (8, 9), (5, 6)], np.float32)
  pixel = np.stack(np.mgrid[:12, :12], -1)[:, :, np.newaxis]
  middle = tf.constant(
      points[list(keypoints.EDGE_ENDS)] - pixel, tf.float32)
  # Each starts a little off; only its own keypoint remains so.
  starts = points + 0.25
  got = detection.follow(peaks_lib.Peaks(
      tf.constant(starts), tf.range(5), tf.ones(5)), middle,
      tf.zeros([12, 12, 5, 2]), 2)
  for kind in range(5):
    expected = points.copy()
    expected[kind] = starts[kind]
    np.testing.assert_allclose(got[kind], expected, atol=1e-5)


def test_the_score_is_the_mean_over_the_keypoints():
  peaks = peaks_lib.Peaks(
      tf.constant([[5.0, 5.0]]), tf.constant([2]), tf.constant([0.9]))
  scores = np.zeros([12, 12, 5], np.float32)
  scores[5, 5] = [0.1, 0.2, 0.0, 0.3, 0.4]
  got = detection.detect(
      peaks, tf.fill([1, 5, 2], 5.0), tf.constant(scores), 1.0, 3)
  np.testing.assert_allclose(got.scores[0], (0.9 + 0.1 + 0.2 + 0.3 + 0.4) / 5)


def _of_boxes(rows, scores):
  """Instances with these inclusive boxes."""
  y0, x0, y1, x1 = np.asarray(rows, np.float32).T
  points = np.stack([
      np.stack(pair, -1) for pair in (
          (y0, x0), (y0, x1), (y1, x0), (y1, x1),
          ((y0 + y1) / 2, (x0 + x1) / 2))], 1)
  return detection.Instances(
      tf.constant(points), tf.constant(scores, tf.float32),
      tf.constant(len(rows)))


def test_suppression_of_boxes_is_that_of_tensorflow():
  rng = np.random.default_rng(1)
  for _ in range(10):
    low = rng.integers(20, size=[40, 2])
    rows = np.concatenate([low, low + rng.integers(1, 12, [40, 2])], -1)
    scores = np.sort(rng.uniform(0.1, 1, 40))[::-1]
    instances = _of_boxes(rows, scores.copy())
    got = detection.suppress_boxes(instances, 0.5)
    boxes = detection.boxes(instances.keypoints)
    np.testing.assert_array_equal(boxes, rows + [0, 0, 1, 1])
    kept = tf.image.non_max_suppression(boxes, instances.scores, 40, 0.5)
    assert got.found == tf.size(kept)
    np.testing.assert_allclose(
        got.scores[:got.found], tf.gather(instances.scores, kept))
    np.testing.assert_array_equal(
        got.keypoints[:got.found], tf.gather(instances.keypoints, kept))


def test_boxes_of_one_pixel_have_an_area():
  iou = detection.box_overlap(detection.boxes(_of_boxes(
      [(3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 4)], [1, 1, 1]).keypoints))
  np.testing.assert_allclose(iou[0], [1, 1, 0.5])


@pytest.mark.parametrize('stride', [1, 4])
@pytest.mark.parametrize('size', [(1, 1), (30, 70), (129, 65)])
def test_pixels_go_to_the_instance_with_the_nearest_keypoints(stride, size):
  rng = np.random.default_rng(5)
  height, width = (-(-(n - 1) // stride) + 1 for n in size)
  long = rng.normal(0, 30, [height, width, 5, 2]).astype(np.float32)
  points = rng.uniform(0, 100, [7, 5, 2]).astype(np.float32)
  is_thing = rng.uniform(size=size) < 0.7
  got = assignment.assign_pixels(
      tf.constant(long), tf.constant(is_thing), tf.constant(points),
      tf.constant(6), stride).numpy()
  assert got.shape == size
  np.testing.assert_array_equal(got > 0, is_thing)
  place = np.zeros([*size, 5, 2], np.float32)
  for i, j in np.ndindex(*size):
    y, x = i / stride, j / stride
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    v, u = y - top, x - left
    place[i, j] = (
        (1 - v) * ((1 - u) * long[top, left] + u * long[top, right])
        + v * ((1 - u) * long[bottom, left] + u * long[bottom, right])
        + [i, j])
  distance = np.stack([
      np.square(place - point).sum((-2, -1)) for point in points[:6]])
  chosen = np.take_along_axis(
      distance, np.maximum(got - 1, 0)[np.newaxis], 0)[0]
  best = distance.min(0)
  np.testing.assert_allclose(chosen[is_thing], best[is_thing], rtol=1e-5)


@pytest.mark.parametrize('jit_compile', [False, True])
def test_without_instances_all_things_are_one(jit_compile):
  got = tf.function(assignment.assign_pixels, jit_compile=jit_compile)(
      tf.zeros([3, 3, 5, 2]), tf.constant(np.eye(9) > 0),
      tf.zeros([4, 5, 2]), tf.constant(0), 4)
  np.testing.assert_array_equal(got, np.eye(9))
