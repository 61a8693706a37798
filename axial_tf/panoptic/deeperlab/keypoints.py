"""Names and orders the keypoints, and mirrors maps of them.

Offsets hold (y, x) of one keypoint, or edge, after the other in their channels.
Edges are those of a star: from the center to each corner, then back.
"""

from typing import Dict

import tensorflow as tf

NAMES = ('top_left', 'top_right', 'bottom_left', 'bottom_right', 'center')
COUNT = len(NAMES)
CORNERS = 4
CENTER = 4
# Directed edges (from, to): first those from the center, then those to it.
EDGES = tuple((CENTER, corner) for corner in range(CORNERS)) + tuple(
    (corner, CENTER) for corner in range(CORNERS))
EDGE_STARTS, EDGE_ENDS = (tuple(ends) for ends in zip(*EDGES))
# The keypoint, and the edge, that each is in the mirrored image.
FLIPPED = (1, 0, 3, 2, 4)
FLIPPED_EDGES = tuple(
    EDGES.index((FLIPPED[start], FLIPPED[end])) for start, end in EDGES)


def grouped(offset: tf.Tensor) -> tf.Tensor:
  """[..., 2 n] -> [..., n, 2], (y, x) of each keypoint or edge."""
  shape = tf.concat([tf.shape(offset)[:-1], [offset.shape[-1] // 2, 2]], 0)
  result = tf.reshape(offset, shape)
  return tf.ensure_shape(
      result, [*offset.shape[:-1], offset.shape[-1] // 2, 2])


def flat(offset: tf.Tensor) -> tf.Tensor:
  """[..., n, 2] -> [..., 2 n], the inverse of `grouped`."""
  channels = 2 * offset.shape[-2]
  shape = tf.concat([tf.shape(offset)[:-2], [channels]], 0)
  return tf.ensure_shape(
      tf.reshape(offset, shape), [*offset.shape[:-2], channels])


def mirrored(heads: Dict[str, tf.Tensor]) -> Dict[str, tf.Tensor]:
  """Returns what the heads of the mirrored image should be.

  Args:
    heads: maps [batch, height, width, channels] by name: heatmaps or logits of
      the keypoints under 'keypoint_...', 'long_offset', 'short_offset' and
      'middle_offset'; all others are only mirrored.
  """
  return {name: swapped(name, tf.reverse(head, [2]))
          for name, head in heads.items()}


def swapped(name: str, head: tf.Tensor) -> tf.Tensor:
  """Swaps left and right in the channels of a head, see `mirrored`."""
  if name.startswith('keypoint_'):
    return tf.gather(head, FLIPPED, axis=-1)
  if not name.endswith('_offset'):
    return head
  order = FLIPPED_EDGES if name == 'middle_offset' else FLIPPED
  return flat(tf.gather(grouped(head), order, axis=-2)
              * tf.constant([1.0, -1.0]))
