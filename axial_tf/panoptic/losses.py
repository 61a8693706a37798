"""The three losses of Panoptic-DeepLab, per sample.

L = L_semantic + 200 L_center + 0.01 L_offset: bootstrapped cross entropy over
the hardest pixels, squared error of the center heatmap, absolute error of the
offsets (Panoptic-DeepLab, section 3; DeeperLab for the bootstrapping).
"""

import dataclasses
from typing import Dict, Optional

import tensorflow as tf

from axial_tf import settings as settings_lib
from axial_tf.panoptic import cross_entropy, instance_borders


@dataclasses.dataclass(frozen=True)
class LossSettings:
  """Weights of the losses.

  Attributes:
    semantic_weight: factor of the bootstrapped cross entropy.
    center_weight: factor of the squared error of the heatmap.
    offset_weight: factor of the absolute error of the offsets.
    semantic_top_k: fraction of all pixels of an image, those with the largest
      weighted cross entropy, that the semantic loss averages.
    boundary_weight: factor of the cross entropy and of the absolute error of
      the offsets on pixels up to two pixels away from the border between two
      instances or between an instance and stuff. Of two touching instances of
      one class only the offsets tell which is which. The means are not divided
      by it. 1 is the paper's.
  """
  semantic_weight: float = 1.0
  center_weight: float = 200.0
  offset_weight: float = 0.01
  semantic_top_k: float = 0.2
  boundary_weight: float = 1.0

  def __post_init__(self):
    settings_lib.check_types(self)
    for name in ('semantic_weight', 'center_weight', 'offset_weight',
                 'boundary_weight'):
      settings_lib.require(
          0.0 <= getattr(self, name) < float('inf'), self, name,
          'a finite number >= 0')
    settings_lib.require(
        0.0 < self.semantic_top_k <= 1.0, self, 'semantic_top_k',
        'a fraction above 0 and up to 1')


def panoptic_losses(
    outputs: Dict[str, tf.Tensor],
    targets: Dict[str, tf.Tensor],
    *,
    ignore_label: int,
    settings: LossSettings = LossSettings(),
    logits_stride: int = 1,
    panoptic: Optional[tf.Tensor] = None,
) -> Dict[str, tf.Tensor]:
  """Computes the weighted losses of each sample in float32.

  A NaN in the outputs stays visible as a NaN in the loss.

  Args:
    outputs: `semantic_logits` [batch, height, width, classes],
      `center_heatmap` [batch, height, width] and `offset`
      [batch, height, width, 2], (y, x) in pixels; any float type.
    targets: batched results of `targets.panoptic_targets`.
    ignore_label: train id that the semantic loss skips; may be outside of
      0 ... classes - 1.
    settings: see `LossSettings`.
    logits_stride: pixels of the targets between two semantic logits, which
      are then of a smaller map, [batch, h, w, classes].
    panoptic: int32 [batch, height, width], the label; only a `boundary_weight`
      other than 1 needs it.

  Returns:
    float32 `[batch]` under `semantic_loss`, `center_loss`, `offset_loss`, each
    with its factor applied, and their sum under `total_loss`.
  """
  boundary = 1.0
  if settings.boundary_weight != 1.0:
    boundary = tf.where(
        instance_borders.near_borders(
            panoptic, targets['offset_weight'] > 0.0,
            targets['center_weight'] > 0.0), settings.boundary_weight, 1.0)
  semantic = mean_of_hardest(
      weighted_cross_entropy(
          outputs['semantic_logits'], targets['semantic'],
          targets['semantic_weight'] * boundary, ignore_label, logits_stride),
      settings.semantic_top_k)
  center_error = tf.math.squared_difference(
      tf.cast(outputs['center_heatmap'], tf.float32),
      targets['center_heatmap'])
  center = mean_of_nonzero(center_error * targets['center_weight'])
  offset_error = tf.reduce_mean(
      tf.abs(tf.cast(outputs['offset'], tf.float32) - targets['offset']), -1)
  offset = mean_of_nonzero(
      offset_error * targets['offset_weight'] * boundary)
  losses = {
      'semantic_loss': settings.semantic_weight * semantic,
      'center_loss': settings.center_weight * center,
      'offset_loss': settings.offset_weight * offset,
  }
  return {**losses, 'total_loss': tf.add_n(list(losses.values()))}


def weighted_cross_entropy(
    logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor,
    ignore_label: int, logits_stride: int = 1) -> tf.Tensor:
  """float32 [batch, height, width]; 0 on pixels with `ignore_label`."""
  is_valid = tf.not_equal(labels, ignore_label)
  labels = tf.where(is_valid, labels, 0)
  if logits_stride == 1:
    values = cross_entropy.cross_entropy(tf.cast(logits, tf.float32), labels)
  else:
    values = cross_entropy.enlarged_cross_entropy(
        logits, labels, logits_stride)
  return values * weights * tf.cast(is_valid, tf.float32)


def mean_of_nonzero(losses: tf.Tensor) -> tf.Tensor:
  """Mean over the non-zero entries of each sample; 0 if there are none."""
  losses = tf.reshape(losses, [tf.shape(losses)[0], -1])
  count = tf.math.count_nonzero(losses, axis=-1, dtype=tf.float32)
  return tf.reduce_sum(losses, -1) / tf.maximum(count, 1.0)


def mean_of_hardest(losses: tf.Tensor, top_k: float) -> tf.Tensor:
  """Mean over the non-zero entries among the largest ones of each sample.

  Args:
    losses: float32 `[batch, ...]`, >= 0.
    top_k: fraction of a sample's entries, zeros included, to average over.

  Returns:
    float32 `[batch]`. Where several entries tie at the k-th place, they share
    the remaining places, also in the gradient.
  """
  losses = tf.reshape(losses, [tf.shape(losses)[0], -1])
  if top_k == 1.0:
    return mean_of_nonzero(losses)
  size = tf.cast(tf.shape(losses)[1], tf.float32)
  k = tf.maximum(tf.cast(tf.round(top_k * size), tf.int32), 1)
  threshold = _kth_largest(tf.stop_gradient(losses), k)[:, tf.newaxis]

  is_above = tf.cast(losses > threshold, tf.float32)
  is_tied = tf.cast(tf.equal(losses, threshold), tf.float32)
  places_left = tf.cast(k, tf.float32) - tf.reduce_sum(is_above, 1)
  share = tf.math.divide_no_nan(places_left, tf.reduce_sum(is_tied, 1))
  chosen = is_above + is_tied * share[:, tf.newaxis]
  count = tf.reduce_sum(chosen * tf.cast(losses > 0.0, tf.float32), 1)
  # A product, not a selection, so that a NaN anywhere reaches the result.
  return tf.reduce_sum(chosen * losses, 1) / tf.maximum(count, 1.0)


def _kth_largest(values: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
  """Exact k-th largest entry of each row of float32 [rows, n], all >= 0.

  The bit patterns of non-negative floats are ordered like the floats, so the
  answer is built bit by bit from the top: 31 passes that count. With k a fifth
  of n, `tf.math.top_k` takes two to seven times as long on CPU.
  """
  bits = tf.bitcast(values, tf.int32)

  def try_bit(position, found):
    candidate = found + tf.bitwise.left_shift(1, position)
    count = tf.math.count_nonzero(
        bits >= candidate[:, tf.newaxis], axis=1, dtype=tf.int32)
    return position - 1, tf.where(count >= k, candidate, found)

  _, found = tf.while_loop(
      lambda position, _: position >= 0, try_bit,
      (30, tf.zeros_like(bits[:, 0])), maximum_iterations=31)
  return tf.bitcast(found, tf.float32)
