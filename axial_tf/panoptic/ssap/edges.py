"""Turns the maps of a level into the weights of edges between its pixels."""

from typing import Dict, Sequence, Tuple

import tensorflow as tf

from axial_tf.panoptic import label_ids, shapes
from axial_tf.panoptic.ssap import affinity_refinement, windows

# Affinities this close to 0 or 1 count as such: weights are in -11.5..11.5.
_LEAST = 1e-5


def edge_weights(affinity: tf.Tensor, semantic: tf.Tensor, *, window: int,
                 refine: bool = True) -> tf.Tensor:
  """Computes log(a / (1 - a)) of each pair of pixels in a window.

  The affinity a of a pair is the mean of the two predictions for it, refined by
  the classes of both pixels.

  Args:
    affinity: float32 [batch, h, w, window * window], probabilities.
    semantic: float32 [batch, h, w, classes], class probabilities.
    window: side of the window.
    refine: whether to refine affinities, see `affinity_refinement`.

  Returns:
    float32 [batch, h, w, (window * window - 1) / 2]: the weight of the edge
    from each pixel to that at each of `windows.forward_offsets`; 0 where that
    is outside the map.
  """
  last = windows.channels(window) - 1
  middle = last // 2
  inside = tf.ones_like(affinity[..., :1])
  entropy = affinity_refinement.entropy(semantic)
  weights = []
  for number, offset in enumerate(windows.forward_offsets(window), 1):
    forward = affinity[..., middle + number]
    back = affinity[..., last - middle - number:][..., :1]
    pair = (forward + shifted(back, *offset)[..., 0]) / 2
    if refine:
      divergence = affinity_refinement.divergence(
          semantic, shifted(semantic, *offset), entropy,
          shifted(entropy[..., tf.newaxis], *offset)[..., 0])
      pair = affinity_refinement.refined(pair, divergence)
    pair = tf.clip_by_value(pair, _LEAST, 1 - _LEAST)
    weights.append(tf.math.log(pair / (1 - pair))
                   * shifted(inside, *offset)[..., 0])
  return tf.stack(weights, -1)


def level_maps(
    affinity: tf.Tensor, semantic: tf.Tensor, *, stride: int,
    size: Tuple, thing_ids: Sequence[int], window: int, refine: bool = True
) -> Dict[str, tf.Tensor]:
  """Returns what the partition of a level needs to know.

  Args:
    affinity: see `edge_weights`.
    semantic: see `edge_weights`.
    stride: stride of these maps.
    size: height and width of the image, whose padding holds no things; ints or
      int32 [].
    thing_ids: train ids of the countable classes.
    window: side of the window.
    refine: whether to refine affinities.

  Returns:
    weights: see `edge_weights`.
    is_thing: bool [batch, h, w], whether the most probable class is countable.
  """
  height, width = shapes.sizes(semantic)[1:3]
  inside = tf.logical_and(
      (stride * tf.range(height) < size[0])[:, tf.newaxis],
      stride * tf.range(width) < size[1])
  category = tf.argmax(semantic, -1, output_type=tf.int32)
  return {
      'weights': edge_weights(
          affinity, semantic, window=window, refine=refine),
      'is_thing': label_ids.member_mask(category, thing_ids) & inside,
  }


def shifted(maps: tf.Tensor, dy: int, dx: int) -> tf.Tensor:
  """Returns maps [batch, h, w, c] whose pixel (y, x) is (y + dy, x + dx).

  Those outside the maps are 0.
  """
  height, width = shapes.sizes(maps)[1:3]
  margins = [[max(-n, 0), max(n, 0)] for n in (dy, dx)]
  padded = tf.pad(maps, [[0, 0], *margins, [0, 0]])
  top, left = (margin[1] for margin in margins)
  return padded[:, top:top + height, left:left + width]
