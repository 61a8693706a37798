"""Worker processes keep the order, and none dies unnoticed."""

import os
import signal
import subprocess
import sys
import time

import pytest

from axial_tf import errors
from data_prep.engine import workers


def _square(number):
  if number < 0:
    os.kill(os.getpid(), signal.SIGKILL)
  time.sleep(0.002 * (number % 5))
  return number**2


@pytest.mark.slow
def test_two_keep_the_order_read_little_ahead_and_end_by_an_error():
  taken, found = [], []

  def numbers():
    for i in (*range(200), -1, *range(50)):
      taken.append(i)
      yield i

  results = workers.ordered_map(_square, numbers(), 2)
  assert next(results) == 0
  assert len(taken) < 100
  with pytest.raises(errors.UserError, match='ended unexpectedly'):
    found.extend(results)
  # The results at hand when a process died may be lost.
  assert found == [i**2 for i in range(1, len(found) + 1)]
  assert len(found) > 150


def test_one_process_is_lazy():
  results = workers.ordered_map(_square, iter([3, -1]), 1)
  assert next(results) == 9


def _squared_by(number):
  return number**2, os.getpid()


@pytest.mark.slow
@pytest.mark.parametrize('seconds, here', [(1000, 5), (0, 1)])
def test_others_take_only_what_takes_long(monkeypatch, seconds, here):
  monkeypatch.setattr(workers, '_TRIAL', 0.0)
  monkeypatch.setattr(workers, '_WORTH', seconds)
  monkeypatch.setattr(os, 'sched_getaffinity', lambda _: {0, 1})
  squares, processes = zip(*workers.quickest_map(_squared_by, range(5), 5))
  assert squares == (0, 1, 4, 9, 16)
  assert [x == os.getpid() for x in processes] == [i < here for i in range(5)]


_PARENT = '''
import time
from data_prep.engine import workers
if __name__ == '__main__':
  results = workers.ordered_map(time.sleep, [0] * 2 + [1000] * 9, 2)
  next(results)
  import multiprocessing
  for child in multiprocessing.active_children():
    print(child.pid, flush=True)
  print('ready', flush=True)
  next(results), next(results)
'''


@pytest.mark.slow
def test_processes_end_with_a_killed_parent(tmp_path, project_root):
  script = tmp_path / 'parent.py'
  script.write_text(_PARENT)
  with subprocess.Popen(
      [sys.executable, str(script)], stdout=subprocess.PIPE, text=True,
      env={**os.environ, 'PYTHONPATH': str(project_root)}) as parent:
    lines = []
    while 'ready' not in lines:
      lines.append(parent.stdout.readline().strip())
      assert parent.poll() is None
    parent.kill()
  children = [int(line) for line in lines[:-1]]
  assert len(children) == 2
  deadline = time.monotonic() + 30
  while any(_is_running(child) for child in children):
    assert time.monotonic() < deadline
    time.sleep(0.05)


def _is_running(pid):
  try:
    with open(f'/proc/{pid}/stat', encoding='utf-8') as file:
      return file.read().rsplit(')', 1)[1].split()[0] != 'Z'
  except (FileNotFoundError, ProcessLookupError):
    return False
