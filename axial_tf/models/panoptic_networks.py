"""Builds all kinds of panoptic networks behind one interface.

Their settings have `backbone`, `padding` and `heads_stride`; they have `pad`,
`multiply_adds` and the `call` of `panoptic_deeplab.PanopticDeepLab`, with
'semantic_logits' and other heads.
"""

from typing import Union

from axial_tf.keras2 import keras
from axial_tf.models import deeperlab, panoptic_deeplab, ssap

PanopticSettings = Union[
    panoptic_deeplab.PanopticDeepLabSettings, deeperlab.DeeperLabSettings,
    ssap.SSAPSettings]

_NETWORKS = {
    panoptic_deeplab.PanopticDeepLabSettings: panoptic_deeplab.PanopticDeepLab,
    deeperlab.DeeperLabSettings: deeperlab.DeeperLab,
    ssap.SSAPSettings: ssap.SSAP,
}
SETTINGS = tuple(_NETWORKS)


def build(settings: PanopticSettings, num_classes: int) -> keras.Model:
  """Returns the network of these settings, without variables."""
  return _NETWORKS[type(settings)](settings, num_classes)
