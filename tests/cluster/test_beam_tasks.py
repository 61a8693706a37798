"""Tasks on Beam's runners: all are done, whatever happens to a worker."""

import functools
import os
import pathlib
import time

import pytest

from axial_tf import errors
from axial_tf.cluster import beam_tasks

# A runner in this process, which prints nothing unless something is wrong.
_HERE = ['--runner=DirectRunner', '--direct_num_workers=1']


def _square(folder, number):
  """Squares a number; the one who meets 'trap' waits to be killed."""
  trap = pathlib.Path(folder) / 'trap'
  try:
    trap.rename(pathlib.Path(folder) / f'caught_{os.getpid()}')
  except FileNotFoundError:
    pass
  else:
    time.sleep(600)
  return number ** 2


def _refuse(task):
  if task == 2:
    raise errors.UserError('two is too many')


def _lack_memory(task):
  raise MemoryError(f'{task} bytes')


def _break(task):
  raise KeyError('a bug')


def test_results(tmp_path):
  tasks = {f'task{n}': n for n in range(5)}
  folder = tmp_path / 'tasks'
  (folder / 'old').mkdir(parents=True)
  assert beam_tasks.run(
      functools.partial(_square, str(tmp_path)), tasks, str(folder), _HERE,
      'task') == {f'task{n}': n ** 2 for n in range(5)}
  assert not folder.exists()


def test_errors(tmp_path):
  folder = str(tmp_path / 'tasks')
  with pytest.raises(errors.UserError, match='two is too many'):
    beam_tasks.run(_refuse, {str(n): n for n in range(4)}, folder, _HERE, '')
  with pytest.raises(errors.UserError, match='MemoryError: 7 bytes'):
    beam_tasks.run(_lack_memory, {'a': 7}, folder, _HERE, '')
  with pytest.raises(RuntimeError, match='(?s)on a worker.*_break.*a bug'):
    beam_tasks.run(_break, {'a': 1}, folder, _HERE, '')
  assert not os.path.exists(folder)
