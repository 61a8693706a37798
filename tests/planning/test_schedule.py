import dataclasses

import pytest

from axial_tf import errors
from axial_tf.planning import schedule


def test_everything_fits_the_budget():
  timing = schedule.Timing(20.0, 1.0, 0.1)
  for minutes in (2, 20, 600):
    found = schedule.fit(minutes, timing, 8, 400, 5.0)
    assert found.total_seconds <= 60 * minutes * (1 - schedule.RESERVE)
    assert found.total_seconds > 60 * minutes * (1 - schedule.RESERVE) - 1
    assert found.passes == found.steps * 8 / 400
    assert found.validations == min(5, int(6 * minutes / 5))
  assert schedule.fit(20, timing, 8, 400, 500.0).validations == 1


def test_less_than_a_pass_is_refused_with_what_would_do():
  timing = schedule.Timing(20.0, 2.0, 0.1)

  def require(minutes):
    schedule.require_a_pass(
        schedule.fit(minutes, timing, 8, 800, 5.0), minutes, timing, 8, 800,
        5.0)

  with pytest.raises(errors.UserError, match=r'at least 5 for one pass.*got 2'):
    require(2)
  require(5)


@dataclasses.dataclass(frozen=True)
class _Rung:
  cost: float
  least_steps: int


def test_the_largest_network_with_enough_steps_is_chosen():
  ladder = (_Rung(0.5, 300), _Rung(1.0, 400), _Rung(4.0, 800))
  timing = schedule.Timing(0.0, 1.0, 0.0)

  def choose(minutes, passes=5.0):
    found = schedule.choose(
        ladder, ladder[1], lambda rung: timing.times(rung.cost),
        lambda timing: schedule.fit(minutes, timing, 8, 400, 0.0), passes)
    assert found.rung == ladder[found.place]
    assert found.timing.step == found.rung.cost
    return found.place, found.enough

  assert choose(60) == (2, True)
  assert choose(30) == (1, True)
  assert choose(5) == (0, True)
  assert choose(2) == (0, False)
  assert choose(60, passes=20.0) == (1, True)
