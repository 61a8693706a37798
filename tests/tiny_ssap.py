"""An SSAP that is small enough to be traced in seconds."""

import tensorflow as tf

from axial_tf.inference import panoptic as panoptic_inference
from axial_tf.models import settings_by_name, ssap
from axial_tf.panoptic.ssap import cascade_settings
from tests import color_model
from tests.layers import harness

SETTINGS = ssap.SSAPSettings(
    backbone=settings_by_name.variant_settings(
        'resnet101', width_multiplier=0.125, blocks=(1, 1, 1, 1)),
    decoder_channels=8, branch_channels=8, window=3)


def inference(**merging) -> panoptic_inference.PanopticInference:
  """Returns a network of random weights, which has many small segments.

  Args:
    **merging: fields of CascadeSettings.
  """
  model = ssap.SSAP(SETTINGS, color_model.SPEC.num_classes)
  model(tf.zeros([1, 65, 65, 3]))
  harness.randomize(model)
  return panoptic_inference.PanopticInference(
      model, color_model.SPEC, cascade_settings.CascadeSettings(
          **{'stuff_area_limit': 0, **merging}))
