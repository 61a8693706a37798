"""Computes the targets of the classes, which all networks have in common."""

import dataclasses
import math
from typing import Dict

import tensorflow as tf

from axial_tf import settings as settings_lib
from axial_tf.panoptic import instance_maps


@dataclasses.dataclass(frozen=True)
class SemanticTargetSettings:
  """How labels become targets of the classes.

  Attributes:
    small_instance_area: instances with fewer visible pixels count as small.
    small_instance_weight: weight of small instances in the semantic loss.
    treat_crowd_as_ignore: whether crowds (things with instance 0) are ignored
      by the semantic loss, too; instances never learn from crowds.
  """
  small_instance_area: int = 4096
  small_instance_weight: float = 3.0
  treat_crowd_as_ignore: bool = True

  def __post_init__(self):
    settings_lib.check_types(self)
    settings_lib.require(
        self.small_instance_area >= 0, self, 'small_instance_area', '>= 0')
    settings_lib.require(
        0.0 <= self.small_instance_weight < math.inf, self,
        'small_instance_weight', 'a finite number >= 0')


def semantic_targets(
    panoptic: tf.Tensor, kind: tf.Tensor, *, label_divisor: int,
    ignore_label: int, settings: SemanticTargetSettings
) -> Dict[str, tf.Tensor]:
  """Returns the classes and their weights.

  Args:
    panoptic: int32 `[..., height, width]`, see `label_ids`.
    kind: kinds of the pixels, of this shape, see `instance_maps`.
    label_divisor: see `label_ids`.
    ignore_label: train id of void.
    settings: see `SemanticTargetSettings`.

  Returns:
    semantic: int32 train ids; ignored pixels hold `ignore_label`.
    semantic_weight: float32, `small_instance_weight` on small instances, 1
      elsewhere (the loss itself skips the pixels with `ignore_label`).
  """
  semantic = panoptic // label_divisor
  if settings.treat_crowd_as_ignore:
    semantic = tf.where(
        tf.equal(kind, instance_maps.CROWD), ignore_label, semantic)
  return {
      'semantic': semantic,
      'semantic_weight': tf.where(
          tf.equal(kind, instance_maps.SMALL_INSTANCE),
          settings.small_instance_weight, 1.0),
  }
