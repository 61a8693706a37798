"""Rules that both tasks share: warm-up, averages, intervals."""

from typing import List, Optional

from axial_tf.planning import schedule as schedule_lib
from axial_tf.planning import symmetry
from axial_tf.planning.choices import Choice

# Cohen's d (see `symmetry`): digits have 1.3, things of street scenes 0.4.
MIRROR_BELOW = 0.5
# Share of the steps: long enough for the first averages, short enough to learn.
_WARMUP_SHARE = 0.05
# Batch norm's statistics average over this share of a run.
_AVERAGED_SHARE = 0.05


def steps(schedule: schedule_lib.Schedule, step_seconds: float) -> Choice:
  return Choice('TRAIN_STEPS', schedule.steps, f'{step_seconds:.3g} s a step',
                f'what the time allows; {schedule.passes:.3g} passes over the '
                f'training images')


def warmup(count: int) -> Choice:
  """A twentieth of a run, at most 1000 steps."""
  return Choice('WARMUP_STEPS', max(1, min(1000, int(_WARMUP_SHARE * count))),
                f'{count} steps', 'a twentieth of the run')


def norm_momentum(count: int) -> List[Choice]:
  """Averages must not lag behind in a short run."""
  momentum = min(0.99, max(0.9, 1 - 1 / max(_AVERAGED_SHARE * count, 1)))
  return [
      Choice('variant_settings.norm', '@BatchNormSettings()',
             f'{count} steps', 'settings of batch norms, for the next line'),
      Choice('BatchNormSettings.momentum', round(momentum, 3),
             f'{count} steps', 'averages over a twentieth of the run')]


def intervals(schedule: schedule_lib.Schedule) -> List[Choice]:
  """The last validation comes after the last step."""
  interval = -(-schedule.steps // schedule.validations)
  return [
      Choice('RunSettings.validation_interval', interval,
             f'{schedule.validations} validations', 'a tenth of the time'),
      Choice('RunSettings.checkpoint_interval', max(1, -(-interval // 2)),
             f'{schedule.steps} steps', 'a stopped run loses little'),
      Choice('RunSettings.steps_per_loop',
             max(1, min(100, schedule.steps // 20)),
             f'{schedule.steps} steps', 'a line of progress now and then')]


def mirrored(looks: symmetry.Symmetry, settings: str) -> Choice:
  """Mirrors images unless what they show says otherwise.

  Args:
    looks: symmetry of things or of the images of a class.
    settings: name of the settings of the augmentation.
  """
  found = looks.mirrored
  good = found is None or found < MIRROR_BELOW
  return Choice(
      f'{settings}.horizontal_flip', good, difference(found, 'mirrored'),
      'mirrored images look like images' if good else
      'mirrored ones look different, as letters and digits do')


def difference(found: Optional[float], name: str) -> str:
  """Returns a difference of `symmetry` in words."""
  return (f'too few to compare with {name} ones' if found is None
          else f'{name} ones differ by {found:.2g}')
