"""Divides a budget of time into start, training steps and validations."""

import dataclasses
import math
from typing import Any, Callable, Sequence, Tuple

from axial_tf import errors

# Share of the budget that is kept for checkpoints, pictures and a machine that
# is now and then slower than when it was timed.
RESERVE = 0.05
# Share of the budget that validations may take: enough for one score that can
# be relied upon, not so much that the network learns less.
VALIDATION_SHARE = 0.1
# More scores show how learning goes, but cost as much each.
MOST_VALIDATIONS = 5
# Seconds to load the program, open the data and save the first checkpoint.
PROGRAM_SECONDS = 15.0


@dataclasses.dataclass(frozen=True)
class Timing:
  """Seconds that were measured on the machine.

  Attributes:
    first: to build everything and trace the first step.
    step: a training step.
    image: a validation image, in one view.
  """

  first: float
  step: float
  image: float

  def times(self, cost: float) -> 'Timing':
    """Returns the timing of a network of `cost` times the multiply-adds."""
    return Timing(self.first, self.step * cost, self.image * cost)


@dataclasses.dataclass(frozen=True)
class Schedule:
  """Steps and validations that fit a budget.

  Attributes:
    steps: training steps.
    passes: passes over the training images.
    validations: number of validations, the last one after the last step.
    train_seconds: time of the steps.
    total_seconds: time of everything.
  """

  steps: int
  passes: float
  validations: int
  train_seconds: float
  total_seconds: float

  def predicted(self) -> str:
    """Returns the times as a sentence."""
    return (f'Predicted: {self.train_seconds / 60:.1f} minutes of training '
            f'steps, {self.total_seconds / 60:.1f} with start and validations.')


def fit(minutes: float, timing: Timing, batch: int, num_train: int,
        validation_seconds: float, phases: int = 1) -> Schedule:
  """Returns the schedule that uses the budget, with 0 steps if none fits.

  Args:
    minutes: the budget.
    timing: times of this network on this machine.
    batch: images a step.
    num_train: training images.
    validation_seconds: time of one validation.
    phases: number of times that the training step is traced.
  """
  budget = 60 * minutes * (1 - RESERVE)
  allowed = 60 * minutes * VALIDATION_SHARE
  validations = max(1, min(
      MOST_VALIDATIONS, int(allowed / max(validation_seconds, 1e-6))))
  fixed = _start(timing, phases) + validations * validation_seconds
  steps = max(0, int((budget - fixed) / timing.step))
  return Schedule(
      steps, steps * batch / num_train, validations, steps * timing.step,
      fixed + steps * timing.step)


def _start(timing: Timing, phases: int) -> float:
  """Returns the seconds that are neither steps nor validations."""
  return PROGRAM_SECONDS + phases * timing.first


def require_a_pass(schedule: Schedule, minutes: float, timing: Timing,
                   batch: int, num_train: int, validation_seconds: float,
                   phases: int = 1) -> None:
  """Raises a UserError if not every training image is seen once."""
  if schedule.passes >= 1:
    return
  start = _start(timing, phases)
  one_pass = math.ceil(num_train / batch) * timing.step
  needed = (start + validation_seconds + one_pass) / (1 - RESERVE)
  raise errors.UserError(
      f'--minutes: expected at least {math.ceil(needed / 60)} for one pass '
      f'over the {num_train} training images ({timing.step:.2g} s a step of '
      f'{batch} images, {start:.0f} s to start and to trace, '
      f'{validation_seconds:.0f} s for a validation), got {minutes:g}; give '
      f'more, or convert fewer images')


@dataclasses.dataclass(frozen=True)
class Chosen:
  """A network of a ladder, with its time.

  Attributes:
    place: its place in the ladder, from the smallest.
    rung: the network.
    timing: its times on this machine.
    schedule: its steps and validations.
    enough: whether these train it enough.
    least_passes: number of passes over the images that it needs.
  """

  place: int
  rung: Any
  timing: Timing
  schedule: Schedule
  enough: bool
  least_passes: float

  @property
  def reason(self) -> str:
    """Why it was chosen."""
    if not self.enough:
      return 'the smallest; the time is too short even for it'
    return (f'number {self.place + 1} from below, the largest whose '
            f'{self.rung.least_steps} steps and {self.least_passes} passes fit')


def choose(ladder: Sequence, reference: Any, time: Callable[[Any], Timing],
           fit_timing: Callable[[Timing], Schedule], least_passes: float
           ) -> Chosen:
  """Chooses the largest network of a ladder that is trained enough.

  Args:
    ladder: networks from the smallest to the largest, with their `cost`, in
      multiply-adds of the reference, and the `least_steps` they need.
    reference: the one that is timed first.
    time: times a network on this machine.
    fit_timing: returns the schedule of a network of this timing.
    least_passes: number of passes over the images that all of them need.

  Returns:
    The largest network that is trained enough, or else the smallest; its own
    time is measured.
  """
  timing = time(reference)
  place, enough = _largest(
      ladder, lambda cost: fit_timing(timing.times(cost)), least_passes)
  if ladder[place] != reference:
    timing = time(ladder[place])
  return Chosen(place, ladder[place], timing, fit_timing(timing), enough,
                least_passes)


def _largest(ladder, schedule_of, least_passes) -> Tuple[int, bool]:
  for place in reversed(range(len(ladder))):
    schedule = schedule_of(ladder[place].cost)
    if (schedule.steps >= ladder[place].least_steps
        and schedule.passes >= least_passes):
      return place, True
  return 0, False


def too_short(found: Schedule, rung, least_passes: float) -> str:
  """Returns a note for a budget that is too small even for this network."""
  return (f'the budget is too small for the {rung.least_steps} steps and '
          f'{least_passes} passes of even the smallest network: {found.steps} '
          f'steps, {found.passes:.1f} passes')
