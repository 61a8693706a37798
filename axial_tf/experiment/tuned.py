"""Keeps the merging and the views that `axial_tf.tune` chose for a run.

They stand in a file of the run, and replace what its gin files configure in
`--mode=eval`, predictions and exports. Validations while it trains ignore them:
the scores of a curve are to differ by the weights alone. If merging or views
are no longer those of the search's start, a user has changed them, and they
stay.
"""

import dataclasses
import json
import os
from typing import Optional, Tuple

import tensorflow as tf

from axial_tf import errors
from axial_tf import settings as settings_lib
from axial_tf.experiment import experiment
from axial_tf.files import atomic_files, json_files, model_folders, paths
from axial_tf.inference import multi_scale as multi_scale_lib
from axial_tf.inference.decoding import kinds
from axial_tf.specs import specs
from axial_tf.tasks import panoptic, registry


@dataclasses.dataclass(frozen=True)
class Choice:
  """What turns a network into segments.

  Attributes:
    merging: settings of the merging.
    multi_scale: views of an image.
  """

  merging: kinds.MergingSettings
  multi_scale: multi_scale_lib.MultiScaleSettings

  def __post_init__(self):
    settings_lib.check_types(self)

  @classmethod
  def of(cls, settings: panoptic.PanopticTaskSettings, spec: specs.Spec
         ) -> 'Choice':
    """Returns what a task's settings configure."""
    return cls(panoptic.merging_settings(settings, spec),
               settings.multi_scale)


@dataclasses.dataclass(frozen=True)
class Scores:
  """PQ as fractions.

  Attributes:
    configured: PQ before.
    tuned: PQ after, on the images of the search.
    cross_fitted: PQ of each half of them with what the other half chose.
  """

  configured: float
  tuned: float
  cross_fitted: float

  def __post_init__(self):
    settings_lib.check_types(self)


@dataclasses.dataclass(frozen=True)
class Tuning:
  """Content of a run's tuning.json.

  Attributes:
    checkpoint: name of the checkpoint.
    validation_pattern: pattern of the records.
    images: number of images.
    configured: what was configured when the search began.
    tuned: what it chose.
    halves: what it chose on each half of the images.
    pq: PQ before and after.
  """

  checkpoint: str
  validation_pattern: str
  images: int
  configured: Choice
  tuned: Choice
  halves: Tuple[Choice, ...]
  pq: Scores

  def __post_init__(self):
    settings_lib.check_types(self)

  def replace(self, settings: panoptic.PanopticTaskSettings, spec: specs.Spec
              ) -> panoptic.PanopticTaskSettings:
    """Returns settings with what was tuned and not changed since."""
    now = Choice.of(settings, spec)
    fields = [field.name for field in dataclasses.fields(Choice)
              if getattr(now, field.name) == getattr(
                  self.configured, field.name)]
    return dataclasses.replace(
        settings, **{name: getattr(self.tuned, name) for name in fields})

  def describe(self, used: Choice, checkpoint: str,
               pattern: Optional[str] = None) -> str:
    """Returns a line about the origin of the settings in use.

    Args:
      used: settings in use.
      checkpoint: path of the checkpoint in use.
      pattern: pattern of the records of an evaluation.
    """
    name = os.path.basename(checkpoint)
    images = (f'{self.images} of these images'
              if pattern == self.validation_pattern
              else f'{self.images} images of {self.validation_pattern}')
    line = (f'merging: tuned on {images}; cross-fitted PQ '
            f'{100 * self.pq.cross_fitted:.2f} (before: '
            f'{100 * self.pq.configured:.2f})')
    others = [field.name for field in dataclasses.fields(Choice)
              if getattr(used, field.name) != getattr(self.tuned, field.name)]
    if others:
      line += (f'; not used: its {" and ".join(others)}, which '
               f'{"was" if len(others) == 1 else "were"} set otherwise since')
    if name != self.checkpoint:
      line += (f'; these figures are of {self.checkpoint} and not of {name}, '
               f'for which axial_tf.tune has not been run')
    return line


def path(model_dir: str) -> str:
  """Returns the path of a run's file."""
  return os.path.join(model_dir, model_folders.TUNING)


def load(model_dir: str) -> Optional[Tuning]:
  """Returns what was tuned for a run; None if nothing was.

  Raises:
    errors.UserError: the file is damaged.
  """
  file = path(model_dir)
  if not paths.exists(file):
    return None
  advice = 'run axial_tf.tune again, with --reset to remove the file'
  content = json_files.read(file, 'what axial_tf.tune writes', advice)
  try:
    return settings_lib.from_dict(Tuning, content)
  except errors.UserError as error:
    raise errors.UserError(f'{file}: {error}; {advice}') from error


def save(model_dir: str, tuning: Tuning) -> None:
  """Writes the file of a run.

  Raises:
    errors.UserError: it cannot be written.
  """
  text = json.dumps(dataclasses.asdict(tuning), indent=1) + '\n'
  atomic_files.write(path(model_dir), text.encode())


def reset(model_dir: str) -> bool:
  """Removes the file of a run; returns whether there was one."""
  file = path(model_dir)
  if not paths.exists(file):
    return False
  tf.io.gfile.remove(file)
  return True


def apply(settings: registry.TaskSettings, spec: specs.Spec, model_dir: str
          ) -> registry.TaskSettings:
  """Returns a task's settings with what was tuned for the run, if anything.

  Raises:
    errors.UserError: the run's file is damaged.
  """
  if not isinstance(settings, panoptic.PanopticTaskSettings):
    return settings
  tuning = load(model_dir)
  return settings if tuning is None else tuning.replace(settings, spec)


def apply_to_run(settings: experiment.Experiment, model_dir: str
                 ) -> experiment.Experiment:
  """Does the same for all settings of a run."""
  if not isinstance(settings.task, panoptic.PanopticTaskSettings) or (
      load(model_dir) is None):
    return settings
  spec = registry.of(settings.task).load_spec(settings.task)
  return dataclasses.replace(
      settings, task=apply(settings.task, spec, model_dir))


def description(
    model_dir: str, used: Choice, checkpoint: str,
    pattern: Optional[str] = None) -> Optional[str]:
  """Returns `Tuning.describe` of a run; None if nothing was tuned.

  Raises:
    errors.UserError: the run's file is damaged.
  """
  tuning = load(model_dir)
  return None if tuning is None else tuning.describe(
      used, checkpoint, pattern)
