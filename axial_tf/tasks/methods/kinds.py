"""Lists the kinds of panoptic networks by their settings."""

from typing import Union

from axial_tf.models import panoptic_deeplab, panoptic_networks
from axial_tf.panoptic import losses, merging_settings, targets
from axial_tf.tasks.methods import method

LossSettings = Union[losses.LossSettings]

_KINDS = {
    panoptic_deeplab.PanopticDeepLabSettings: method.Method(
        losses.panoptic_losses,
        ('semantic_loss', 'center_loss', 'offset_loss'),
        losses.LossSettings, targets.TargetSettings,
        merging_settings.MergingSettings,
        lambda spec: spec.merging_settings()),
}


def of(settings: panoptic_networks.PanopticSettings) -> method.Method:
  """Returns the row of a network's settings."""
  return _KINDS[type(settings)]
