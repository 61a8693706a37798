"""Lowers the affinities of pixels that are likely to differ in class.

a' = a exp(-D(s_p, s_q)), where D is the Jensen-Shannon divergence of the two
pixels' class probabilities, in nats: 0 if they are equal and ln 2 if they
exclude each other, so that a' <= 1/2 there and the edge's weight <= 0. That
the paper has this very formula is unconfirmed.
"""

import tensorflow as tf

_SMALLEST = 1e-30


def refined(affinity: tf.Tensor, divergence_of_pair: tf.Tensor) -> tf.Tensor:
  """Refines affinities [...] by the divergences [...] of their pixels."""
  return affinity * tf.exp(-divergence_of_pair)


def divergence(first: tf.Tensor, second: tf.Tensor, entropy_first: tf.Tensor,
               entropy_second: tf.Tensor) -> tf.Tensor:
  """Computes the Jensen-Shannon divergence of pairs of distributions.

  It is the entropy of the mean, minus the mean of the entropies.

  Args:
    first: float32 [..., classes], probabilities.
    second: float32 of this shape.
    entropy_first: float32 [...], the `entropy` of `first`.
    entropy_second: float32 [...], that of `second`.

  Returns:
    float32 [...] in 0..ln 2.
  """
  return tf.maximum(
      entropy((first + second) / 2) - (entropy_first + entropy_second) / 2,
      0.0)


def entropy(probabilities: tf.Tensor) -> tf.Tensor:
  """Returns the entropy over the last axis, in nats."""
  return -tf.reduce_sum(
      probabilities * tf.math.log(tf.maximum(probabilities, _SMALLEST)), -1)
