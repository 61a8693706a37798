"""Groups keypoints into instances: greedy detection, then box suppression.

Keypoints are visited from the best score down. One that lies near the keypoint
of its kind of an instance that was already found belongs to that one; any other
starts a new instance, whose remaining keypoints lie where the offsets along the
edges of the star lead. The score of an instance is the mean of those of its
keypoints. Instances whose boxes overlap a better one's are then dropped.
"""

from typing import NamedTuple

import tensorflow as tf

from axial_tf.panoptic import greedy, shapes
from axial_tf.panoptic.deeperlab import keypoints, refinement, sampling
from axial_tf.panoptic.deeperlab import peaks as peaks_lib


class Instances(NamedTuple):
  """Instances in descending order of their scores; unused slots have 0.

  Attributes:
    keypoints: float32 [n, 5, 2], (y, x).
    scores: float32 [n].
    found: int32 [], number of slots in use.
  """

  keypoints: tf.Tensor
  scores: tf.Tensor
  found: tf.Tensor


def detect(peaks: peaks_lib.Peaks, points: tf.Tensor, score_map: tf.Tensor,
           radius: float, most: int) -> Instances:
  """Starts instances from peaks.

  Args:
    peaks: see `peaks.find`.
    points: float32 [n, 5, 2], see `follow`.
    score_map: float32 [height, width, 5], scores of keypoints at any place.
    radius: up to this distance, in pixels of this map, a peak belongs to an
      instance with a keypoint of its kind.
    most: number of instances kept, those with the highest scores.
  """
  scores = sampling.sample(score_map[..., tf.newaxis], points)[..., 0]
  is_own = tf.equal(
      peaks.kinds[:, tf.newaxis], tf.range(keypoints.COUNT))
  scores = tf.reduce_mean(
      tf.where(is_own, peaks.scores[:, tf.newaxis], scores), -1)

  is_used = peaks.scores > 0.0
  # [second, first]: from the keypoint of the first of the second one's kind. To
  # gather rows, an axis at a time, takes half as long as columns of pairs.
  distance = tf.add_n([
      tf.math.squared_difference(
          tf.gather(tf.transpose(points[..., axis]), peaks.kinds),
          peaks.points[:, axis, tf.newaxis]) for axis in (0, 1)])
  drops = tf.transpose(distance <= radius**2)
  is_kept = greedy.keep(is_used[:, tf.newaxis] & drops) & is_used
  return _best(points, tf.where(is_kept, scores, 0.0), most)


def follow(peaks: peaks_lib.Peaks, middle_offset: tf.Tensor,
           short_offset: tf.Tensor, by_short: int) -> tf.Tensor:
  """Finds the other keypoints of the instances of peaks.

  A corner leads to the center and from there to the other corners; a keypoint
  that started an instance stays where it is.

  Args:
    peaks: see `peaks.find`.
    middle_offset: float32 [height, width, 8, 2], in pixels of this map.
    short_offset: see `refinement.follow_edges`.
    by_short: number of steps by which short offsets refine those of edges.

  Returns:
    float32 [n, 5, 2], (y, x).
  """
  corners = keypoints.CORNERS

  def ends(start, edges):
    return refinement.follow_edges(
        start, edges, middle_offset, short_offset, by_short)

  centers = tf.gather(
      ends(peaks.points, range(corners, 2 * corners)),
      tf.minimum(peaks.kinds, corners - 1), batch_dims=1)
  is_center = tf.equal(peaks.kinds, keypoints.CENTER)[:, tf.newaxis]
  center = tf.where(is_center, peaks.points, centers)
  found = tf.concat(
      [ends(center, range(corners)), center[:, tf.newaxis]], 1)
  is_own = tf.equal(
      peaks.kinds[:, tf.newaxis], tf.range(keypoints.COUNT))
  return tf.where(
      is_own[..., tf.newaxis], peaks.points[:, tf.newaxis], found)


def suppress_boxes(instances: Instances, threshold: float) -> Instances:
  """Drops instances whose box has a larger IoU with that of a better one.

  Args:
    instances: what `detect` returned, in pixels of the image.
    threshold: IoU that two boxes may have.
  """
  iou = box_overlap(boxes(instances.keypoints))
  is_used = instances.scores > 0.0
  is_kept = greedy.keep(
      is_used[:, tf.newaxis] & (iou > threshold)) & is_used
  return _best(
      instances.keypoints, tf.where(is_kept, instances.scores, 0.0),
      shapes.sizes(instances.scores)[0])


def boxes(points: tf.Tensor) -> tf.Tensor:
  """Boxes of instances: each side is the mean of its two corners.

  Args:
    points: float32 [n, 5, 2], (y, x) of keypoints in pixels.

  Returns:
    float32 [n, 4]: (ymin, xmin, ymax, xmax), maxima exclusive: the corners are
    the outermost pixels.
  """
  top_left, top_right, bottom_left, bottom_right, _ = tf.unstack(
      points, axis=1)
  return tf.stack([
      top_left[:, 0] + top_right[:, 0], top_left[:, 1] + bottom_left[:, 1],
      bottom_left[:, 0] + bottom_right[:, 0] + 2.0,
      top_right[:, 1] + bottom_right[:, 1] + 2.0], -1) / 2.0


def box_overlap(rows: tf.Tensor) -> tf.Tensor:
  """IoU float32 [n, n] of each two boxes [n, 4]; 0 for boxes without area."""
  low, high = rows[:, :2], rows[:, 2:]
  area = tf.reduce_prod(tf.nn.relu(high - low), -1)
  shared = tf.reduce_prod(tf.nn.relu(
      tf.minimum(high[:, tf.newaxis], high)
      - tf.maximum(low[:, tf.newaxis], low)), -1)
  return tf.math.divide_no_nan(
      shared, area[:, tf.newaxis] + area - shared)


def _best(points, scores, most: int) -> Instances:
  """Sorts by score, and clears the slots of instances without one."""
  slots = shapes.sizes(scores)[0]
  scores, order = tf.math.top_k(scores, shapes.smaller(slots, most))
  is_used = scores > 0.0
  points = tf.where(
      is_used[:, tf.newaxis, tf.newaxis], tf.gather(points, order), 0.0)
  return Instances(
      points, scores, tf.math.count_nonzero(is_used, dtype=tf.int32))
