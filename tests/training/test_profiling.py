"""Profiles begin and end with the requested steps."""

import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.training import profiling, run_settings


def _steps(profiler, first, last):
  counter = tf.Variable(0)
  for step in range(first, last + 1):
    profiler.before(step)
    counter.assign_add(1)
    profiler.after(step, counter)


@pytest.mark.parametrize('first', [1, 4])
def test_a_profile_of_some_steps(tmp_path, capsys, first):
  """Also of a run that continues among them."""
  _steps(profiling.StepProfiler(str(tmp_path), 3, 5), first, 8)
  profiles = list((tmp_path / 'plugins' / 'profile').iterdir())
  assert len(profiles) == 1 and list(profiles[0].iterdir())
  assert str(tmp_path) in capsys.readouterr().err


def test_past_steps_leave_no_profile(tmp_path):
  _steps(profiling.StepProfiler(str(tmp_path), 3, 5), 6, 8)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('wrong', [
    dict(profile_steps=(0, 2)), dict(profile_steps=(3, 2)),
    dict(profile_steps=(3,)), dict(profile_steps=(1, 2), strategy='tpu')])
def test_wrong_steps_are_refused(wrong):
  with pytest.raises(errors.UserError, match='profile_steps'):
    run_settings.RunSettings(**wrong)
