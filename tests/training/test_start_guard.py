"""A start that hangs while holding the GIL is ended from outside."""

import signal
import subprocess
import sys
import textwrap

from tests import worker_processes

# PyDLL functions keep the GIL, as TensorFlow does while it connects.
_HANG = textwrap.dedent('''
    import ctypes, sys
    from axial_tf.training import start_guard
    with start_guard.limited(float(sys.argv[1]), 'nobody came'):
      print('begun', flush=True)
      while int(sys.argv[2]):
        ctypes.PyDLL(None).sleep(60)
    print('over', flush=True)
    ''')


def _start(project_root, seconds, hangs):
  process = subprocess.Popen(
      [sys.executable, '-c', _HANG, str(seconds), str(int(hangs))],
      cwd=project_root, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
      text=True, preexec_fn=worker_processes.hear_ctrl_c)
  assert process.stdout.readline() == 'begun\n'
  return process


def test_it_is_ended_after_the_timeout(project_root):
  process = _start(project_root, 0.5, hangs=True)
  assert process.communicate(timeout=60) == ('', 'error: nobody came\n')
  assert process.returncode == -signal.SIGKILL


def test_ctrl_c_ends_it_at_once(project_root):
  process = _start(project_root, 60, hangs=True)
  process.send_signal(signal.SIGINT)
  assert process.communicate(timeout=60) == ('', '')
  assert process.returncode == -signal.SIGKILL


def test_one_that_succeeds_continues(project_root):
  process = _start(project_root, 120, hangs=False)
  assert process.communicate(timeout=60) == ('over\n', '')
  assert process.returncode == 0
