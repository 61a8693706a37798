"""Decodes the signature `heads` of a served SSAP, without TensorFlow.

The server's own segments come from a partition that stops at stride 8, see
docs/ssap.md; this one is that of the trained model.

  outputs = the answer of `heads` to an image
  content = the export's model.json
  panoptic_map = affinity_maps.decode(outputs, content)
"""

from typing import Any, Mapping

import numpy as np

from axial_tf import settings as settings_lib
from axial_tf.panoptic.ssap import cascade_settings, decoding
from axial_tf.specs import dataset_spec


def decode(outputs: Mapping[str, Any], content: Mapping[str, Any],
           row: int = 0) -> np.ndarray:
  """Returns the panoptic map of an image.

  Args:
    outputs: outputs of `heads`, arrays or nested lists with a batch axis.
    content: content of model.json.
    row: index of the image in the batch.

  Returns:
    int32 [height, width], at the size of the image that was sent.

  Raises:
    errors.UserError: the model is not an SSAP.
  """
  spec = dataset_spec.DatasetSpec.from_json(
      content.get('dataset_spec', {}), source='model.json')
  settings = settings_lib.from_dict(
      cascade_settings.CascadeSettings, content.get('merging'), 'merging')
  probabilities = np.asarray(outputs['semantic_probabilities'][row])
  return decoding.decode(
      {name: np.asarray(outputs[name][row], np.float32)
       for name in decoding.HEADS},
      probabilities.argmax(-1).astype(np.int32),
      classes=probabilities.shape[-1], thing_ids=spec.thing_ids,
      label_divisor=spec.label_divisor, void_label=spec.void_label,
      settings=settings)
