"""An experiment: one task, one optimizer, one run."""

import dataclasses

from axial_tf import settings as settings_lib
from axial_tf.tasks import registry
from axial_tf.training import optimizers, run_settings


@dataclasses.dataclass(frozen=True)
class Experiment:
  """Everything that the training binary is told.

  Attributes:
    task: what is learned.
    optimizer: how weights move.
    run: how long, how often, on what devices.
    gin_text: gin text that makes this experiment again, includes resolved;
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
