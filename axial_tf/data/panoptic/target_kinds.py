"""Lists the kinds of training targets by their settings."""

from typing import Union

from axial_tf.panoptic import targets
from axial_tf.panoptic.deeperlab import targets as keypoint_targets

TargetSettings = Union[
    targets.TargetSettings, keypoint_targets.KeypointTargetSettings]

_KINDS = {
    targets.TargetSettings: targets,
    keypoint_targets.KeypointTargetSettings: keypoint_targets,
}


def of(settings: TargetSettings):
  """Returns the module with `compact` and `expand` for these settings."""
  return _KINDS[type(settings)]
