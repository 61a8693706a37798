"""Lists the peaks of the keypoints' maps, the best first."""

from typing import NamedTuple

import tensorflow as tf

from axial_tf.panoptic import shapes
from axial_tf.panoptic.deeperlab import keypoints


class Peaks(NamedTuple):
  """Keypoints in descending order of their scores; unused slots have 0.

  Attributes:
    points: float32 [n, 2], (y, x) in pixels of the map.
    kinds: int32 [n], which keypoint each is.
    scores: float32 [n].
  """

  points: tf.Tensor
  kinds: tf.Tensor
  scores: tf.Tensor


def find(votes: tf.Tensor, scores: tf.Tensor, short_offset: tf.Tensor,
         threshold: float, most: int) -> Peaks:
  """Finds pixels with more votes than their eight neighbors.

  The short offset of a peak moves it to a place between pixels, by one pixel at
  the most (as published code for PersonLab does; for DeeperLab unconfirmed).

  Args:
    votes: float32 [height, width, 5].
    scores: float32 [height, width, 5]; peaks up to `threshold` are left out.
    short_offset: float32 [height, width, 5, 2], in pixels of this map.
    threshold: score, at least 0.
    most: number of peaks to keep, those with the highest scores.
  """
  height, width, count = shapes.sizes(votes)
  highest = tf.nn.max_pool2d(votes[tf.newaxis], 3, 1, 'SAME')[0]
  is_peak = tf.equal(votes, highest) & (votes > 0.0) & (scores > threshold)
  values = tf.reshape(
      tf.where(is_peak, scores, 0.0), [height * width * count])
  found, place = tf.math.top_k(
      values, shapes.smaller(height * width * count, most))
  kinds = place % keypoints.COUNT
  pixel = place // keypoints.COUNT
  point = tf.cast(tf.stack([pixel // width, pixel % width], -1), tf.float32)
  move = tf.gather(
      tf.reshape(short_offset, [height * width * count, 2]), place)
  return Peaks(point + tf.clip_by_value(move, -1.0, 1.0), kinds, found)
