"""Lists the kinds of training targets by their settings."""

from typing import Dict, Union

import tensorflow as tf

from axial_tf.panoptic import targets
from axial_tf.panoptic.deeperlab import targets as keypoint_targets
from axial_tf.panoptic.ssap import targets as affinity_targets
from axial_tf.specs import dataset_spec

TargetSettings = Union[
    targets.TargetSettings, keypoint_targets.KeypointTargetSettings,
    affinity_targets.AffinityTargetSettings]

_KINDS = {
    targets.TargetSettings: targets,
    keypoint_targets.KeypointTargetSettings: keypoint_targets,
    affinity_targets.AffinityTargetSettings: affinity_targets,
}


def of(settings: TargetSettings):
  """Returns the module with `compact` and `expand` for these settings."""
  return _KINDS[type(settings)]


def heads(panoptic: tf.Tensor, spec: dataset_spec.DatasetSpec,
          settings: TargetSettings) -> Dict[str, tf.Tensor]:
  """Returns heads that know the label, where targets do not equal heads.

  Args:
    panoptic: int32 [batch, height, width], the label.
    spec: the categories.
    settings: settings of the targets.
  """
  if not isinstance(settings, affinity_targets.AffinityTargetSettings):
    return {}
  return affinity_targets.heads(
      panoptic, thing_ids=spec.thing_ids, label_divisor=spec.label_divisor,
      ignore_label=spec.ignore_label)
