"""The spec of each task: what the labels of its data mean."""

from typing import Any, Union

from axial_tf.files import model_folders
from axial_tf.specs import class_spec, dataset_spec

Spec = Union[dataset_spec.DatasetSpec, class_spec.ClassSpec]

OF_TASK = {
    model_folders.PANOPTIC: dataset_spec.DatasetSpec,
    model_folders.CLASSIFICATION: class_spec.ClassSpec,
}


def from_json(content: Any, source: str) -> Spec:
  """Builds a spec of either task from parsed JSON.

  Args:
    content: spec, or the content of a dataset_info.json.
    source: name of the file, for errors.

  Raises:
    errors.UserError: it is not valid.
  """
  content = class_spec.of_dataset_info(content)
  is_of_classes = isinstance(content, dict) and 'classes' in content
  kind = class_spec.ClassSpec if is_of_classes else dataset_spec.DatasetSpec
  return kind.from_json(content, source=source)
