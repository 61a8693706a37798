"""Scores keypoints by how well their votes agree: Expected-OKS.

  s_k(y) = p_k(y) sum_{x in D(y)} h_k(x) exp(-|x - y|^2 / (2 s^2)) / sum h_k(x)

The expected similarity (OKS) of the keypoint to where it may truly be, if the
votes in the disk around it say how likely each place is (PersonLab). The scale
of the similarity depends on the size of the instance in PersonLab; when
DeeperLab needs it, instances are not known yet. A fixed s of half the radius is
ours.
"""

import numpy as np
import tensorflow as tf


def expected_similarity(votes: tf.Tensor, radius: float) -> tf.Tensor:
  """Mean similarity over the votes in the disk around each pixel.

  Args:
    votes: float32 [height, width, n], at least 0.
    radius: radius of the disks in pixels of this map.

  Returns:
    float32 [height, width, n] in 0..1; 0 where a disk has no votes.
  """
  reach = int(radius)
  y, x = np.mgrid[-reach:reach + 1, -reach:reach + 1]
  squares = (y**2 + x**2).astype(np.float32)
  disk = (squares <= radius**2).astype(np.float32)
  similarity = disk * np.exp(-squares / (2 * (max(radius, 1.0) / 2)**2))
  count = votes.shape[-1]
  # [height, width, maps, results of each]
  kernels = np.tile(
      np.stack([similarity, disk], -1)[:, :, np.newaxis], [1, 1, count, 1])
  sums = tf.nn.depthwise_conv2d(
      votes[tf.newaxis], tf.constant(kernels, tf.float32), [1, 1, 1, 1],
      'SAME')[0]
  return tf.math.divide_no_nan(sums[..., ::2], sums[..., 1::2])
