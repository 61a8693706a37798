"""Refines offsets by what other offsets say where they point to.

An offset of a hundred pixels is off by more than one of ten. So where a long
offset arrives, the short one, which knows the keypoint from nearby, is added:

  L_k(x) <- x' + S_k(x') - x  with  x' = x + L_k(x)

(PersonLab, section 3.1.2 there; DeeperLab refines its offsets "by itself and/or
each other as in PersonLab", and its order and number of steps are unconfirmed.)
"""

from typing import Sequence

import tensorflow as tf

from axial_tf.panoptic import shapes
from axial_tf.panoptic.deeperlab import keypoints, sampling


def refine(start: tf.Tensor, offset: tf.Tensor, by: tf.Tensor, steps: int
           ) -> tf.Tensor:
  """Adds to each offset, `steps` times, the other one where it points to.

  Args:
    start: float32 [..., n, 2], (y, x) from where offsets count, in pixels of
      the map `by`.
    offset: float32 [..., n, 2], to n keypoints.
    by: float32 [height, width, n, 2], offsets to the same n keypoints.
    steps: number of times.

  Returns:
    float32 [..., n, 2].
  """
  for _ in range(steps):
    offset += sampling.sample(by, start + offset)
  return offset


def refine_long(long_offset: tf.Tensor, short_offset: tf.Tensor,
                by_long: int, by_short: int) -> tf.Tensor:
  """Refines long offsets by themselves, then by the short ones.

  Args:
    long_offset: float32 [height, width, 5, 2], in pixels of this map.
    short_offset: float32 of this shape.
    by_long: number of steps by the long offsets as they were before; in
      PersonLab 2.
    by_short: number of steps by the short offsets.
  """
  height, width = shapes.sizes(long_offset)[:2]
  pixel = sampling.coordinates(height, width)[:, :, tf.newaxis]
  refined = refine(pixel, long_offset, long_offset, by_long)
  return refine(pixel, refined, short_offset, by_short)


def follow_edges(start: tf.Tensor, edges: Sequence[int],
                 middle_offset: tf.Tensor, short_offset: tf.Tensor,
                 by_short: int) -> tf.Tensor:
  """Finds where edges from one point lead, refined by short offsets.

  Args:
    start: float32 [points, 2], (y, x) in pixels of the maps.
    edges: numbers of the edges to follow, see `keypoints.EDGES`.
    middle_offset: float32 [height, width, 8, 2], in pixels of this map.
    short_offset: float32 [height, width, 5, 2].
    by_short: number of steps.

  Returns:
    float32 [points, edges, 2], (y, x).
  """
  starts = tf.repeat(start[:, tf.newaxis], len(edges), axis=1)
  offset = sampling.sample(
      tf.gather(middle_offset, list(edges), axis=2), starts)
  ends = [keypoints.EDGE_ENDS[edge] for edge in edges]
  return starts + refine(
      starts, offset, tf.gather(short_offset, ends, axis=2), by_short)
