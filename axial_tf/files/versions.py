"""The folders that TensorFlow Serving reads: <export_dir>/<version>/."""

import os
from typing import Any, Dict, List

import tensorflow as tf

from axial_tf.files import json_files, paths

MODEL_JSON = 'model.json'
MODEL_CARD = 'model_card.md'
SAVED_MODEL = 'saved_model.pb'


def is_saved_model(path: str) -> bool:
  """Whether `path` is the folder of one SavedModel."""
  return tf.io.gfile.exists(os.path.join(path, SAVED_MODEL))


def versions(export_dir: str) -> List[int]:
  """Returns the exported versions, ascending; none if there is no folder."""
  if not tf.io.gfile.isdir(export_dir):
    return []
  names = (name.rstrip('/') for name in paths.listdir(export_dir))
  return sorted(
      int(name) for name in names if name.isdecimal()
      and is_saved_model(os.path.join(export_dir, name)))


def read_model_json(version_dir: str) -> Dict[str, Any]:
  """Returns what the export has noted about the model.

  Raises:
    errors.UserError: the file is missing or damaged.
  """
  return json_files.read(
      os.path.join(version_dir, MODEL_JSON),
      'the model.json that axial_tf.export writes', 'export the model again')
