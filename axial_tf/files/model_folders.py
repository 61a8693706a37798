"""Determines what the folder of a model holds: a training run or an export.

  <model_dir>/config.gin, checkpoints, ...    a training run
  <export_dir>/<version>/saved_model.pb, ...  exported versions, as TensorFlow
                                              Serving reads them

Imports nothing heavy: command-line tools use it before TensorFlow loads.
"""

import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from axial_tf import errors
from axial_tf.files import json_files, paths

# Files of a training run: the gin text that rebuilds the model; every value in
# use, for people (only the chief writes it); a JSON line for each validation;
# the merging and the views that axial_tf.tune chose.
CONFIG = 'config.gin'
OPERATIVE_CONFIG = 'operative_config.gin'
METRICS = 'metrics.jsonl'
TUNING = 'tuning.json'
# Files of an exported version.
MODEL_JSON = 'model.json'
MODEL_CARD = 'model_card.md'
SAVED_MODEL = 'saved_model.pb'


class Task(NamedTuple):
  """A type of model.

  Attributes:
    title: name of the task.
    spec: key in model.json of the spec, which gives the labels their meaning.
    user: class of axial_tf that runs such a model, for errors.
  """

  title: str
  spec: str
  user: str

  @property
  def spec_file(self) -> str:
    """Name of the file in a run that holds the spec."""
    return f'{self.spec}.json'


PANOPTIC = Task('panoptic segmentation', 'dataset_spec', 'axial_tf.Predictor')
CLASSIFICATION = Task(
    'classification', 'class_spec', 'axial_tf.ImageClassifier')
TASKS = (PANOPTIC, CLASSIFICATION)


class ModelFolder(NamedTuple):
  """A folder with one model.

  Attributes:
    path: path of the run or of the exported version.
    is_export: whether it is an export.
    task: task of the model; None if its spec is missing or damaged.
  """

  path: str
  is_export: bool
  task: Optional[Task]

  def require(self, task: Task) -> None:
    """Raises a UserError for a model of another task."""
    if self.task not in (task, None):
      raise errors.UserError(
          f'{self.path}: expected a model of {task.title}, got one of '
          f'{self.task.title}, which {self.task.user} can use')


def find(path: str) -> ModelFolder:
  """Returns the model in a folder.

  Args:
    path: path of a training run, of an export (the highest version is taken)
      or of one version in it; local or remote.

  Raises:
    errors.UserError: there is none, or a remote one cannot be reached.
  """
  path = os.fspath(path)
  paths.require_reachable(path)
  if not paths.isdir(path):
    found = 'is a file' if paths.exists(path) else 'no such folder'
    raise errors.UserError(
        f'{path}: {found}; expected the folder of an export or a training '
        f'run\'s model_dir')
  existing = versions(path)
  if existing and not is_saved_model(path):
    path = os.path.join(path, str(existing[-1]))
  if is_saved_model(path):
    return ModelFolder(path, True, _task_of_export(path))
  if not paths.exists(os.path.join(path, CONFIG)):
    raise errors.UserError(
        f'{path}: holds no model; expected an export (<version>/{SAVED_MODEL}) '
        f'or a training run\'s model_dir ({CONFIG} and checkpoints)')
  return ModelFolder(path, False, next(
      (task for task in TASKS
       if paths.exists(os.path.join(path, task.spec_file))), None))


def is_saved_model(path: str) -> bool:
  """Whether a folder holds a SavedModel."""
  return paths.exists(os.path.join(path, SAVED_MODEL))


def versions(export_dir: str) -> List[int]:
  """Returns the exported versions, ascending; none if there is no folder."""
  export_dir = os.fspath(export_dir)
  if not paths.isdir(export_dir):
    return []
  return sorted(
      int(name) for name in paths.listdir(export_dir) if name.isdecimal()
      and is_saved_model(os.path.join(export_dir, name)))


def read_model_json(version_dir: str) -> Dict[str, Any]:
  """Returns the content of an exported version's model.json.

  Raises:
    errors.UserError: the file is missing or damaged.
  """
  return json_files.read(
      os.path.join(version_dir, MODEL_JSON),
      'the model.json that axial_tf.export writes', 'export the model again')


def task_of(content: Mapping[str, Any]) -> Optional[Task]:
  """Returns the task of a model.json's content; None if it names none."""
  return next((task for task in TASKS if task.spec in content), None)


def _task_of_export(path: str) -> Optional[Task]:
  try:
    return task_of(read_model_json(path))
  except (errors.UserError, TypeError):
    return None  # Loading the model reports what is wrong with it.
