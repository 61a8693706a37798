"""Whether a folder holds a classifier, told before TensorFlow loads."""

import os
from typing import Optional

from axial_tf import errors
from axial_tf.files import json_files, run_files

_MODEL_JSON = 'model.json'


def is_classifier(path: str) -> bool:
  """Whether a folder is a classifier's training run, export, or version."""
  return run_files.is_classifier(path) or 'class_spec' in _description(path)


def _description(path: str):
  """Returns what an export, or one of its versions, tells; else nothing."""
  version = _newest_version(path)
  for folder in (path, *([os.path.join(path, version)] if version else [])):
    try:
      return json_files.read(os.path.join(folder, _MODEL_JSON))
    except errors.UserError:
      pass  # Whoever loads the model says what is wrong with it.
  return {}


def _newest_version(path: str) -> Optional[str]:
  if not os.path.isdir(path):
    return None
  return max((name for name in os.listdir(path) if name.isdecimal()),
             key=int, default=None)
