"""The tasks by their settings."""

from typing import Optional, Union

from axial_tf.files import run_files
from axial_tf.tasks import classification, panoptic
from axial_tf.training import optimizers, run_settings

TaskSettings = Union[
    panoptic.PanopticTaskSettings, classification.ClassificationTaskSettings]
Task = Union[panoptic.PanopticTask, classification.ClassificationTask]

_TASKS = {
    panoptic.PanopticTaskSettings: panoptic.PanopticTask,
    classification.ClassificationTaskSettings:
        classification.ClassificationTask,
}
# The file in a run's folder that keeps the meaning of its labels.
_SPEC_FILES = {
    panoptic.PanopticTaskSettings: run_files.DATASET_SPEC,
    classification.ClassificationTaskSettings: run_files.CLASS_SPEC,
}


def build(settings: TaskSettings, run: run_settings.RunSettings,
          optimizer: optimizers.OptimizerSettings,
          logging_dir: Optional[str] = None) -> Task:
  """Returns the task that the settings are meant for.

  Raises:
    errors.UserError: its spec cannot be loaded.
  """
  return _TASKS[type(settings)](
      settings, run, optimizer, logging_dir=logging_dir)


def spec_file(settings: TaskSettings) -> str:
  """Returns the name of the file that keeps the spec of a run."""
  return _SPEC_FILES[type(settings)]
