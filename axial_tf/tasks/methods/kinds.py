"""Lists the kinds of panoptic networks by their settings."""

from typing import Union

from axial_tf.models import (
  deeperlab,
  panoptic_deeplab,
  panoptic_networks,
  ssap,
)
from axial_tf.panoptic import losses, merging_settings, targets
from axial_tf.panoptic.deeperlab import decoding_settings
from axial_tf.panoptic.deeperlab import losses as deeperlab_losses
from axial_tf.panoptic.deeperlab import targets as keypoint_targets
from axial_tf.panoptic.ssap import affinity_settings, cascade_settings
from axial_tf.panoptic.ssap import losses as ssap_losses
from axial_tf.panoptic.ssap import targets as affinity_targets
from axial_tf.tasks.methods import method

LossSettings = Union[
    losses.LossSettings, deeperlab_losses.DeeperLabLossSettings,
    affinity_settings.AffinityLossSettings]

_KINDS = {
    panoptic_deeplab.PanopticDeepLabSettings: method.Method(
        losses.panoptic_losses,
        ('semantic_loss', 'center_loss', 'offset_loss'),
        losses.LossSettings, targets.TargetSettings,
        merging_settings.MergingSettings,
        lambda spec: spec.merging_settings()),
    deeperlab.DeeperLabSettings: method.Method(
        deeperlab_losses.deeperlab_losses,
        ('semantic_loss', 'heatmap_loss', 'long_loss', 'short_loss',
         'middle_loss'),
        deeperlab_losses.DeeperLabLossSettings,
        keypoint_targets.KeypointTargetSettings,
        decoding_settings.DeeperLabDecodingSettings,
        lambda spec: decoding_settings.DeeperLabDecodingSettings()),
    ssap.SSAPSettings: method.Method(
        ssap_losses.ssap_losses,
        ('semantic_loss', 'coarse_semantic_loss', 'affinity_loss'),
        affinity_settings.AffinityLossSettings,
        affinity_targets.AffinityTargetSettings,
        cascade_settings.CascadeSettings,
        lambda spec: cascade_settings.CascadeSettings(
            stuff_area_limit=spec.merging_settings().stuff_area_limit)),
}


def of(settings: panoptic_networks.PanopticSettings) -> method.Method:
  """Returns the row of a network's settings."""
  return _KINDS[type(settings)]
