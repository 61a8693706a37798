"""Counts and sums per bin, the one reduction behind instances and segments.

`DenseBincount` keeps one partial histogram per thread and is two to five times
faster on CPU than `tf.math.unsorted_segment_sum`. Unlike `tf.math.bincount`,
whose size depends on the data, it has a static size, which XLA needs.
"""

from typing import Optional

import tensorflow as tf


def histogram(
    index: tf.Tensor, size, weights: Optional[tf.Tensor] = None) -> tf.Tensor:
  """Sums `weights` (or counts) over the elements that share an index.

  Args:
    index: int32 of any shape; elements outside 0 ... size - 1 are dropped.
    size: number of bins; a Python int under XLA.
    weights: weights of the shape of `index`, int32, int64, float32 or float64.

  Returns:
    [size], int32 for counts, else of the type of the weights.
  """
  index = tf.reshape(index, [-1])
  overflow = tf.where((index >= 0) & (index < size), index, size)
  weights = (tf.zeros([0], tf.int32) if weights is None
             else tf.reshape(weights, [-1]))
  bins = tf.raw_ops.DenseBincount(
      input=overflow, size=size + 1, weights=weights)
  return bins[:-1]
