"""Builds model.json, the machine-readable description of an export."""

import dataclasses
from typing import Any, Dict, Union

from axial_tf import version as version_lib
from axial_tf.export import serving_settings
from axial_tf.inference import classification as classifier_inference
from axial_tf.inference import panoptic as panoptic_inference

Inference = Union[
    panoptic_inference.PanopticInference,
    classifier_inference.ClassifierInference]

_PIXELS = 'uint8 RGB, any size, upright; files are turned by their EXIF data'


def content(inference: Inference, about: Dict[str, Any],
            settings: serving_settings.ServingSettings) -> Dict[str, Any]:
  """Returns the content of model.json except for the model's origin.

  Args:
    inference: the exported model.
    about: result of `panoptic` or `classification`.
    settings: settings of the served model.
  """
  return {
      'axial_tf_version': version_lib.__version__,
      inference.task.spec: inference.spec.to_json(),
      **about,
      'serving': dataclasses.asdict(settings),
  }


def panoptic(inference: panoptic_inference.PanopticInference
             ) -> Dict[str, Any]:
  """Returns the rules for images, and the merging settings."""
  return {
      'input_rules': {
          'pixels': _PIXELS,
          'max_long_side': inference.max_long_side,
          'enlarge': inference.enlarge,
          'scales': inference.multi_scale.scales,
          'flip': inference.multi_scale.flip,
      },
      'merging': dataclasses.asdict(inference.merging),
  }


def classification(inference: classifier_inference.ClassifierInference
                   ) -> Dict[str, Any]:
  """Returns the rules for images."""
  return {
      'input_rules': {
          'pixels': _PIXELS,
          'image_size': inference.image_size,
          'short_side': inference.short_side,
      },
  }
