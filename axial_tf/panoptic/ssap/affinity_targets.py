"""Computes the training targets of affinities from the label alone.

A map of stride s sees every s-th pixel of the label, from the first one on. An
affinity is 1 if two pixels have the same panoptic label, else 0: also on stuff,
whose affinities are never decoded but keep the net from guessing there (ours).
Pairs with a pixel outside the image, of void or of a crowd have no target.
"""

from typing import Dict, Sequence, Tuple

import tensorflow as tf

from axial_tf.panoptic import label_ids, shapes
from axial_tf.panoptic.ssap import windows


def affinity_targets(
    panoptic: tf.Tensor, *, window: int, thing_ids: Sequence[int],
    label_divisor: int, ignore_label: int) -> Dict[str, tf.Tensor]:
  """Compares each pixel of a label map with those in its window.

  Args:
    panoptic: int32 [batch, height, width], see `label_ids`; for a coarser
      level, the result of `sampled`.
    window: side of the window, odd.
    thing_ids: train ids of the countable classes.
    label_divisor: see `label_ids`.
    ignore_label: train id of void.

  Returns:
    affinity: bool [batch, height, width, window * window], in the order of
      `windows`.
    valid: bool of this shape, whether there is a target. A pixel has none for
      itself.
    object: bool [batch, height, width], whether the pixel is of an instance.
  """
  category = panoptic // label_divisor
  is_thing = label_ids.member_mask(category, thing_ids)
  is_counted = tf.not_equal(panoptic % label_divisor, 0)
  is_valid = tf.not_equal(category, ignore_label) & (~is_thing | is_counted)
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
      'object': is_valid & is_thing,
  }


def sampled(labels: tf.Tensor, stride: int, size: Tuple[int, int],
            fill: int) -> tf.Tensor:
  """Returns every stride-th pixel of [batch, height, width].

  Args:
    labels: labels at the size of the images.
    stride: pixels of the labels between two of the result.
    size: height and width of the result, at least those of the samples: it is
      that of a map of padded images.
    fill: label of the padding.
  """
  samples = labels[:, ::stride, ::stride]
  margins = [[0, n - m] for n, m in zip(size, shapes.sizes(samples)[1:])]
  return tf.pad(samples, [[0, 0], *margins], constant_values=fill)
