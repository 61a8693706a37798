"""Tables of relative position embeddings r_{p-o}."""

import tensorflow as tf

# Offsets up to this span have rows of their own; longer ones share the
# outermost row.
MAX_SPAN = 255
TABLE_ROWS = 2 * MAX_SPAN - 1


def embeddings(table: tf.Tensor, query_positions: tf.Tensor,
               key_positions: tf.Tensor) -> tf.Tensor:
  """Returns r_{p-o} for all pairs: the table's row of each key - query offset.

  Args:
    table: [509, d]; row 254 belongs to offset 0.
    query_positions: o, int32 [l].
    key_positions: p, int32 [m].

  Returns:
    [l, m, d].
  """
  offsets = key_positions[None, :] - query_positions[:, None]
  rows = tf.clip_by_value(offsets + MAX_SPAN - 1, 0, TABLE_ROWS - 1)
  # A slice in between makes the gradient of the table a dense tensor.
  return tf.gather(table[:TABLE_ROWS], rows)
