"""Describes an exported model to programs: model.json."""

import dataclasses
import functools
from typing import Any, Dict, Union

from axial_tf import version as version_lib
from axial_tf.export import serving_settings
from axial_tf.inference import classification as classifier_inference
from axial_tf.inference import panoptic as panoptic_inference

Inference = Union[
    panoptic_inference.PanopticInference,
    classifier_inference.ClassifierInference]

_PIXELS = 'uint8 RGB, any size, upright; files are turned by their EXIF data'


@functools.singledispatch
def _of_model(inference) -> Dict[str, Any]:
  raise TypeError(f'no model that can be exported: {type(inference)}')


@_of_model.register
def _(inference: panoptic_inference.PanopticInference) -> Dict[str, Any]:
  return {
      'dataset_spec': inference.spec.to_json(),
      'input_rules': {
          'pixels': _PIXELS,
          'max_long_side': inference.max_long_side,
          'enlarge': inference.enlarge,
          'scales': inference.multi_scale.scales,
          'flip': inference.multi_scale.flip,
      },
      'merging': dataclasses.asdict(inference.merging),
  }


@_of_model.register
def _(inference: classifier_inference.ClassifierInference) -> Dict[str, Any]:
  return {
      'class_spec': inference.spec.to_json(),
      'input_rules': {
          'pixels': _PIXELS,
          'image_size': inference.image_size,
          'short_side': inference.short_side,
      },
  }


def describe(inference: Inference, settings: serving_settings.ServingSettings
             ) -> Dict[str, Any]:
  """Returns the content of model.json, but for where the model comes from."""
  return {
      'axial_tf_version': version_lib.__version__,
      **_of_model(inference),
      'serving': dataclasses.asdict(settings),
  }
