"""The five losses of DeeperLab, per sample.

Bootstrapped cross entropy of the classes over the hardest 15 % of an image's
pixels, in which small instances weigh 3 times as much; sigmoid cross entropy of
the keypoint heatmaps; absolute errors of long, short and middle offsets, each
on its pixels only (DeeperLab, section 3.3).

The weights between them are not known: PersonLab's are the defaults, as is its
division of offsets by the radius.
"""

import dataclasses
import math
from typing import Dict, Optional

import tensorflow as tf

from axial_tf import settings as settings_lib
from axial_tf.panoptic import losses
from axial_tf.panoptic.deeperlab import keypoints

_OFFSETS = ('long', 'short', 'middle')


@dataclasses.dataclass(frozen=True)
class DeeperLabLossSettings:
  """Weights of the losses.

  Attributes:
    semantic_weight: factor of the bootstrapped cross entropy (PersonLab's).
    heatmap_weight: factor of the keypoints' cross entropy (PersonLab's).
    long_weight: factor of the long offsets' error (PersonLab's).
    short_weight: factor of the short offsets' error (PersonLab's).
    middle_weight: factor of the error of offsets along edges (PersonLab's).
    semantic_top_k: fraction of all pixels of an image, those with the largest
      weighted cross entropy, that the semantic loss averages; the paper's.
    offset_unit: pixels by which errors of offsets are divided: PersonLab's
      radius of the disks is one of the targets here.
  """
  semantic_weight: float = 2.0
  heatmap_weight: float = 4.0
  long_weight: float = 0.125
  short_weight: float = 1.0
  middle_weight: float = 0.25
  semantic_top_k: float = 0.15
  offset_unit: float = 25.0

  def __post_init__(self):
    settings_lib.check_types(self)
    for name in ('semantic', 'heatmap', *_OFFSETS):
      field = f'{name}_weight'
      settings_lib.require(
          0.0 <= getattr(self, field) < math.inf, self, field,
          'a finite number >= 0')
    settings_lib.require(
        0.0 < self.semantic_top_k <= 1.0, self, 'semantic_top_k',
        'a fraction above 0 and up to 1')
    settings_lib.require(
        0.0 < self.offset_unit < math.inf, self, 'offset_unit',
        'a number of pixels above 0')


def deeperlab_losses(
    outputs: Dict[str, tf.Tensor],
    targets: Dict[str, tf.Tensor],
    *,
    ignore_label: int,
    settings: DeeperLabLossSettings = DeeperLabLossSettings(),
    logits_stride: int = 1,
    panoptic: Optional[tf.Tensor] = None,
) -> Dict[str, tf.Tensor]:
  """Computes the weighted losses of each sample in float32.

  A NaN in the outputs stays visible as a NaN in the loss.

  Args:
    outputs: 'semantic_logits', see `losses.panoptic_losses`; 'keypoint_logits'
      [batch, h, w, 5], and 'long_offset' [..., 10], 'short_offset' [..., 10]
      and 'middle_offset' [..., 16] of this size, (y, x) in pixels of the
      image; any float type. Rows and columns beyond the targets are padding.
    targets: results of `targets.expand`.
    ignore_label: train id that the semantic loss skips.
    settings: see `DeeperLabLossSettings`.
    logits_stride: pixels of the targets between two semantic logits.
    panoptic: the label, which is not needed here.

  Returns:
    float32 `[batch]` under `semantic_loss`, `heatmap_loss`, `long_loss`,
    `short_loss` and `middle_loss`, each with its factor applied, and their sum
    under `total_loss`.
  """
  del panoptic  # Other networks' losses weigh its borders.
  semantic = losses.mean_of_hardest(
      losses.weighted_cross_entropy(
          outputs['semantic_logits'], targets['semantic'],
          targets['semantic_weight'], ignore_label, logits_stride),
      settings.semantic_top_k)
  values = {
      'semantic_loss': settings.semantic_weight * semantic,
      'heatmap_loss': settings.heatmap_weight * _heatmap_loss(
          outputs['keypoint_logits'], targets)}
  for name in _OFFSETS:
    values[f'{name}_loss'] = (
        getattr(settings, f'{name}_weight') / settings.offset_unit
        * offset_error(
            outputs[f'{name}_offset'], targets[f'{name}_offset'],
            targets[f'{name}_weight']))
  return {**values, 'total_loss': tf.add_n(list(values.values()))}


def _heatmap_loss(logits: tf.Tensor, targets: Dict[str, tf.Tensor]
                  ) -> tf.Tensor:
  """Mean sigmoid cross entropy [batch] over pixels that are not ignored."""
  truth = targets['keypoint_heatmap']
  weight = targets['keypoint_weight'][..., tf.newaxis]
  entropy = tf.nn.sigmoid_cross_entropy_with_logits(
      truth, cut(logits, truth)) * weight
  count = keypoints.COUNT * tf.reduce_sum(weight, [1, 2, 3])
  return tf.reduce_sum(entropy, [1, 2, 3]) / tf.maximum(count, 1.0)


def offset_error(offset: tf.Tensor, truth: tf.Tensor, weight: tf.Tensor
                 ) -> tf.Tensor:
  """Mean absolute error |dy| + |dx| of each keypoint, averaged over them.

  The mean of a keypoint, or edge, is over its own pixels. (Published code for
  PersonLab averages in different ways, of which this is one.)

  Args:
    offset: [batch, h', w', 2 n] of any float type, at least of the size of the
      truth.
    truth: float32 [batch, h, w, 2 n].
    weight: float32 [batch, h, w, n], 1 on pixels that count, else 0.

  Returns:
    float32 [batch], 0 for a keypoint without pixels.
  """
  error = tf.reduce_sum(
      tf.abs(keypoints.grouped(cut(offset, truth) - truth)), -1)
  count = tf.reduce_sum(weight, [1, 2])
  mean = tf.reduce_sum(error * weight, [1, 2]) / tf.maximum(count, 1.0)
  return tf.reduce_mean(mean, -1)


def cut(head: tf.Tensor, truth: tf.Tensor) -> tf.Tensor:
  """The part of a head, in float32, for which there is truth."""
  height, width = (
      tf.shape(truth)[axis] if truth.shape[axis] is None else truth.shape[axis]
      for axis in (1, 2))
  return tf.cast(head[:, :height, :width], tf.float32)
