"""Plans an experiment for a folder of records and a budget of time."""

from typing import Optional

from axial_tf.planning import (
  choices,
  class_facts,
  class_plan,
  machine,
  panoptic_facts,
  panoptic_plan,
  record_folder,
)


def plan(records: str, minutes: float, computer: machine.Machine,
         train_split: Optional[str] = None,
         validation_split: Optional[str] = None) -> choices.Plan:
  """Measures the data and chooses all settings.

  Args:
    records: folder that data_prep.convert has written.
    minutes: time for training with validations.
    computer: the machine that trains, see `machine.find`.
    train_split: name of the training split; None finds it by its name.
    validation_split: the same for validation.

  Raises:
    errors.UserError: the records are not fit for training, or the time is too
      short for one pass over them.
  """
  folder = record_folder.find(records, train_split, validation_split)
  task, facts = ((panoptic_plan, panoptic_facts) if folder.is_panoptic
                 else (class_plan, class_facts))
  return task.plan(folder, facts.measure(folder), minutes, computer)
