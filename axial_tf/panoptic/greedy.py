"""Keeps candidates greedily, the best first, without visiting them in turn."""

import tensorflow as tf


def keep(drops: tf.Tensor) -> tf.Tensor:
  """Keeps each candidate that no kept one before it drops.

  A candidate is final once all before it are. Each pass applies the rule to all
  candidates at once, so their number is that of the longest chain of candidates
  that drop one another, not that of the candidates.

  Args:
    drops: bool [..., n, n], whether the first candidate drops the second, in
      the order in which they are visited; only what lies above the diagonal
      counts.

  Returns:
    bool [..., n].
  """
  rank = tf.range(tf.shape(drops)[-1])
  drops &= rank[:, tf.newaxis] < rank

  def apply_rule(is_kept, _):
    kept = ~tf.reduce_any(drops & is_kept[..., tf.newaxis], -2)
    return kept, tf.reduce_any(kept != is_kept)

  is_kept, _ = tf.while_loop(
      lambda _, is_changing: is_changing, apply_rule,
      (tf.ones_like(drops[..., 0, :]), True))
  return is_kept
