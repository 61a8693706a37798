"""Defines an experiment: one task, one optimizer, one run."""

import dataclasses

from axial_tf import settings as settings_lib
from axial_tf.tasks import registry
from axial_tf.training import optimizers, run_settings


@dataclasses.dataclass(frozen=True)
class Experiment:
  """All settings of the training command.

  Attributes:
    task: settings of the data and the network.
    optimizer: settings of the optimizer.
    run: settings of the run, such as its length and devices.
    gin_text: gin text that recreates this experiment, includes resolved;
      empty for one that was not parsed.
    operative_text: the values in use, defaults included, as gin text.
  """

  task: registry.TaskSettings
  optimizer: optimizers.OptimizerSettings = optimizers.OptimizerSettings()
  run: run_settings.RunSettings = run_settings.RunSettings()
  gin_text: str = dataclasses.field(default='', compare=False, repr=False)
  operative_text: str = dataclasses.field(
      default='', compare=False, repr=False)

  def __post_init__(self):
    settings_lib.check_types(self)
