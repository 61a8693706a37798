"""Reads the answers of a served model about an image."""

import os
from typing import Any, Mapping, Optional, Tuple, Union

from axial_tf import errors
from axial_tf.panoptic import label_png
from axial_tf.prediction import results
from axial_tf.specs import dataset_spec

Answer = Union[results.PanopticResult, Tuple[results.ClassProbability, ...]]


def read_spec(path: str) -> Optional[dataset_spec.DatasetSpec]:
  """Returns the categories of a model.json; None for a classifier's.

  Args:
    path: path of the file, or of the version's folder.

  Raises:
    errors.UserError: it cannot be read.
  """
  from axial_tf.files import model_folders

  if os.path.basename(path) == model_folders.MODEL_JSON:
    path = os.path.dirname(path) or '.'
  content = model_folders.read_model_json(path)
  if model_folders.task_of(content) is model_folders.CLASSIFICATION:
    return None
  return dataset_spec.DatasetSpec.from_json(
      content.get('dataset_spec', {}), source=path)


def from_outputs(
    outputs: Mapping[str, Any],
    spec: Optional[dataset_spec.DatasetSpec] = None,
    image: Optional[bytes] = None) -> Optional[Answer]:
  """Returns the outputs of `serving_default` for one image as an answer.

  Args:
    outputs: arrays, lists or numbers by name, without a batch axis.
    spec: result of `read_spec`.
    image: content of the file that was sent.

  Returns:
    None for an image that the model has marked as bad.

  Raises:
    errors.UserError: they are not from an export of axial_tf, or have
      categories that the spec lacks.
  """
  try:
    if 'panoptic_png_bytes' not in outputs:
      return _classes(outputs)
    if outputs['num_segments'] < 0:
      return None
    return results.PanopticResult.from_table(
        label_png.decode(outputs['panoptic_png_bytes'], 'the answer'), outputs,
        spec, image)
  except KeyError as error:
    raise errors.UserError(
        f'the answer lacks {error}: expected a model that axial_tf.export '
        f'wrote, got the outputs {", ".join(sorted(outputs)) or "none"}'
    ) from error


def _classes(outputs) -> Optional[Tuple[results.ClassProbability, ...]]:
  found = tuple(
      results.ClassProbability(int(label), None, _text(name), float(score))
      for label, name, score in zip(
          outputs['classes'], outputs['class_names'], outputs['scores']))
  return None if found and found[0].label < 0 else found


def _text(name: Union[str, bytes]) -> str:
  return name.decode('utf-8') if isinstance(name, bytes) else name
