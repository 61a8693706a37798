"""The losses of SSAP, per sample.

L = L_semantic + sum over levels of their cross entropies and of the weighted
squared errors of affinities, which are sigmoids. That the error is squared, and
how the many affinities of 1 are balanced, is unconfirmed; the settings have all
numbers.
"""

from typing import Dict

import tensorflow as tf

from axial_tf.panoptic import losses as losses_lib
from axial_tf.panoptic import shapes
from axial_tf.panoptic.ssap import affinity_targets, windows
from axial_tf.panoptic.ssap.affinity_settings import AffinityLossSettings

_FINEST = windows.STRIDES[-1]
_DEFAULTS = AffinityLossSettings()


def ssap_losses(
    outputs: Dict[str, tf.Tensor],
    targets: Dict[str, tf.Tensor],
    *,
    ignore_label: int,
    panoptic: tf.Tensor,
    settings: AffinityLossSettings = _DEFAULTS,
    logits_stride: int = _FINEST,
) -> Dict[str, tf.Tensor]:
  """Computes the weighted losses of each sample in float32.

  Which easy pixels are left out follows from the label, so that a resumed run
  repeats it.

  Args:
    outputs: `semantic_logits_S` [batch, h, w, classes] and `affinity_logits_S`
      [batch, h, w, window * window] for each stride S of `windows.STRIDES`, of
      static size, as `models.ssap.SSAP` returns them; any float type.
    targets: results of `targets.expand`.
    ignore_label: train id that the cross entropies skip.
    panoptic: int32 [batch, height, width], the label, see `label_ids`.
    settings: see `AffinityLossSettings`.
    logits_stride: pixels of the label between two of the finest logits.

  Returns:
    float32 `[batch]` under `semantic_loss`, `coarse_semantic_loss` and
    `affinity_loss`, each with its factors applied, and their sum under
    `total_loss`.
  """
  semantic = losses_lib.mean_of_hardest(
      losses_lib.weighted_cross_entropy(
          outputs[f'semantic_logits_{_FINEST}'], targets['semantic'],
          targets['semantic_weight'], ignore_label, logits_stride),
      settings.semantic_top_k)
  coarse, affinity = [], []
  for stride, weight in zip(windows.STRIDES, settings.level_weights):
    logits = outputs[f'semantic_logits_{stride}']
    size = shapes.sizes(logits)[1:3]

    def sampled(maps, fill=0, stride=stride, size=size):
      return affinity_targets.sampled(maps, stride, size, fill)

    if stride != _FINEST:
      coarse.append(losses_lib.mean_of_nonzero(
          losses_lib.weighted_cross_entropy(
              logits, sampled(targets['semantic'], ignore_label),
              sampled(targets['semantic_weight']), ignore_label)))
    logits = outputs[f'affinity_logits_{stride}']
    affinity.append(weight * affinity_loss(
        logits, affinity_targets.affinity_targets(
            sampled(panoptic), sampled(targets['is_counted'], False),
            windows.side(logits.shape[-1])),
        sampled(targets['is_instance'], False), settings,
        seed=tf.stack([tf.reduce_sum(panoptic), stride])))
  losses = {
      'semantic_loss': settings.semantic_weight * semantic,
      'coarse_semantic_loss': (
          settings.coarse_semantic_weight * tf.add_n(coarse)),
      'affinity_loss': settings.affinity_weight * tf.add_n(affinity),
  }
  return {**losses, 'total_loss': tf.add_n(list(losses.values()))}


def affinity_loss(
    logits: tf.Tensor, targets: Dict[str, tf.Tensor], is_object: tf.Tensor,
    settings: AffinityLossSettings, seed: tf.Tensor) -> tf.Tensor:
  """Mean squared error of the affinities of one level.

  Args:
    logits: [batch, h, w, window * window] of any float type.
    targets: results of `affinity_targets.affinity_targets`.
    is_object: bool [batch, h, w], pixels of things.
    settings: `easy_drop_rate` and `object_weight`.
    seed: int32 [2], the seed of the random choice of easy pixels.

  Returns:
    float32 [batch]; 0 without any valid affinity.
  """
  kept = targets['valid'] & is_kept(
      targets, settings.easy_drop_rate, seed)[..., tf.newaxis]
  kept = tf.cast(kept, tf.float32)
  error = tf.math.squared_difference(
      tf.sigmoid(tf.cast(logits, tf.float32)),
      tf.cast(targets['affinity'], tf.float32))
  factor = tf.where(is_object, settings.object_weight, 1.0)
  total = tf.reduce_sum(error * kept * factor[..., tf.newaxis], [1, 2, 3])
  return total / tf.maximum(tf.reduce_sum(kept, [1, 2, 3]), 1.0)


def is_kept(targets: Dict[str, tf.Tensor], rate: float, seed: tf.Tensor
            ) -> tf.Tensor:
  """Drops some of the pixels whose valid affinities are all 1.

  Returns:
    bool [batch, h, w].
  """
  is_easy = tf.reduce_all(targets['affinity'] | ~targets['valid'], -1)
  chance = tf.random.stateless_uniform(tf.shape(is_easy), seed)
  return ~is_easy | (chance >= rate)
