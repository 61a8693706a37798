"""Lists the tasks that models are trained for, one row each."""

import dataclasses
from typing import Callable, Optional, Union

import tensorflow as tf

from axial_tf.files import model_folders
from axial_tf.keras2 import keras
from axial_tf.specs import specs
from axial_tf.tasks import classification, panoptic
from axial_tf.training import optimizers, run_settings

TaskSettings = Union[
    panoptic.PanopticTaskSettings, classification.ClassificationTaskSettings]
Task = Union[panoptic.PanopticTask, classification.ClassificationTask]


@dataclasses.dataclass(frozen=True)
class Row:
  """The parts of a task.

  Attributes:
    task: its name in folders of models.
    settings: class of the settings.
    trained: class of the Model Garden task.
    load_spec: (settings) -> meaning of the labels.
    build_model: (settings, spec) -> network, with variables created.
    build_inference: (settings, spec, network) -> inference of images.
  """

  task: model_folders.Task
  settings: type
  trained: Callable[..., Task]
  load_spec: Callable[..., specs.Spec]
  build_model: Callable[..., keras.Model]
  build_inference: Callable[..., tf.Module]


ROWS = (
    Row(model_folders.PANOPTIC, panoptic.PanopticTaskSettings,
        panoptic.PanopticTask, panoptic.load_spec, panoptic.build_model,
        panoptic.build_inference),
    Row(model_folders.CLASSIFICATION, classification.ClassificationTaskSettings,
        classification.ClassificationTask, classification.load_spec,
        classification.build_model, classification.build_inference),
)
_BY_SETTINGS = {row.settings: row for row in ROWS}


def of(settings: TaskSettings) -> Row:
  """Returns the row of a task's settings."""
  return _BY_SETTINGS[type(settings)]


def build(settings: TaskSettings, run: run_settings.RunSettings,
          optimizer: optimizers.OptimizerSettings,
          logging_dir: Optional[str] = None) -> Task:
  """Returns the task that the settings belong to.

  Raises:
    errors.UserError: its spec cannot be loaded.
  """
  return of(settings).trained(
      settings, run, optimizer, logging_dir=logging_dir)
