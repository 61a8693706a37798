"""Computes the training targets of affinities from the label alone.

A map of stride s sees every s-th pixel of the label, from the first one on. An
affinity is 1 if two pixels have the same panoptic label, else 0: also on stuff,
whose affinities are never decoded but keep the net from guessing there (ours).
Pairs with a pixel outside the image, of void or of a crowd have no target.
"""

from typing import Dict, Tuple

import tensorflow as tf

from axial_tf.panoptic import shapes
from axial_tf.panoptic.ssap import windows


def affinity_targets(panoptic: tf.Tensor, is_valid: tf.Tensor, window: int
                     ) -> Dict[str, tf.Tensor]:
  """Compares each pixel of a label map with those in its window.

  Args:
    panoptic: int32 [batch, height, width], see `label_ids`; for a coarser
      level, the result of `sampled`.
    is_valid: bool of this shape, pixels of neither void nor a crowd.
    window: side of the window, odd.

  Returns:
    affinity: bool [batch, height, width, window * window], in the order of
      `windows`.
    valid: bool of this shape, whether there is a target. A pixel has none for
      itself.
  """
  # No label is negative.
  label = tf.where(is_valid, panoptic, -1)
  height, width = shapes.sizes(label)[1:]
  reach = window // 2
  margin = [reach, reach]
  padded = tf.pad(label, [[0, 0], margin, margin], constant_values=-1)
  neighbors = tf.stack([
      padded[:, reach + dy:reach + dy + height, reach + dx:reach + dx + width]
      for dy, dx in windows.offsets(window)], -1)
  label = label[..., tf.newaxis]
  others = [offset != (0, 0) for offset in windows.offsets(window)]
  return {
      'affinity': tf.equal(neighbors, label),
      'valid': (neighbors >= 0) & (label >= 0) & tf.constant(others),
  }


def sampled(labels: tf.Tensor, stride: int, size: Tuple[int, int],
            fill=0) -> tf.Tensor:
  """Returns every stride-th pixel of [batch, height, width].

  Args:
    labels: maps at the size of the images.
    stride: pixels of the labels between two of the result.
    size: height and width of the result, at least those of the samples: it is
      that of a map of padded images.
    fill: value of the padding.
  """
  samples = labels[:, ::stride, ::stride]
  margins = [[0, n - m] for n, m in zip(size, shapes.sizes(samples)[1:])]
  return tf.pad(samples, [[0, 0], *margins], constant_values=fill)
