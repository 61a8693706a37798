"""Refines offsets by what other offsets say where they point to.

An offset of a hundred pixels is off by more than one of ten. So where a long
offset arrives, the short one, which knows the keypoint from nearby, is added:

  L_k(x) <- x' + S_k(x') - x  with  x' = x + L_k(x)

(PersonLab, section 3.1.2 there; DeeperLab refines its offsets "by itself and/or
each other as in PersonLab", and its order and number of steps are unconfirmed.)
"""

import tensorflow as tf

from axial_tf.panoptic import shapes
from axial_tf.panoptic.deeperlab import keypoints, sampling


def refine(offset: tf.Tensor, by: tf.Tensor, steps: int) -> tf.Tensor:
  """Adds to each offset, `steps` times, the other one where it points to.

  Args:
    offset: float32 [height, width, n, 2], (y, x) in pixels of this map.
    by: float32 of this shape, offsets to the same n keypoints.
    steps: number of times.

  Returns:
    float32 [height, width, n, 2].
  """
  height, width = shapes.sizes(offset)[:2]
  pixel = sampling.coordinates(height, width)[:, :, tf.newaxis]
  for _ in range(steps):
    offset += sampling.sample(by, pixel + offset)
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
  refined = refine(long_offset, long_offset, by_long)
  return refine(refined, short_offset, by_short)


def refine_middle(middle_offset: tf.Tensor, short_offset: tf.Tensor,
                  by_short: int) -> tf.Tensor:
  """Refines offsets along edges by the short ones of the edges' ends.

  Args:
    middle_offset: float32 [height, width, 8, 2], in pixels of this map.
    short_offset: float32 [height, width, 5, 2].
    by_short: number of steps.
  """
  return refine(
      middle_offset, tf.gather(short_offset, keypoints.EDGE_ENDS, axis=2),
      by_short)
