"""Runs the project's commands in this process, as `python -m` runs them.

A separate process needs seconds to load TensorFlow. Tests of signals, of the
environment and of imports still start one.
"""

import contextlib
import io
import os
import runpy
import subprocess
import sys
from typing import Optional
from unittest import mock

from absl import app, flags
from absl.testing import flagsaver

from axial_tf import cli
from axial_tf.keras2 import keras


def run(module: str, *arguments, cwd: Optional[os.PathLike] = None
        ) -> subprocess.CompletedProcess:
  """Runs a command.

  Args:
    module: name of the command, such as 'axial_tf.train'.
    *arguments: its arguments.
    cwd: folder to run it in.

  Returns:
    The status and the output of Python code; TensorFlow's own lines are not
    among it.
  """
  out, err = io.StringIO(), io.StringIO()
  argv, folder, environment = sys.argv, os.getcwd(), dict(os.environ)
  policy = keras.mixed_precision.global_policy()
  status = 0
  try:
    sys.argv = [module, *map(str, arguments)]
    if cwd is not None:
      os.chdir(cwd)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), (
        _own_flags()), mock.patch.object(cli, 'end_at_once'):
      runpy.run_module(module, run_name='__main__', alter_sys=True)
  except SystemExit as stop:
    status = stop.code or 0
  finally:
    keras.mixed_precision.set_global_policy(policy)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = argv
  return subprocess.CompletedProcess(
      [module, *arguments], status, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _own_flags():
  """Sets flags of benchmarks aside: commands define the same names."""
  defined = flags.FLAGS
  modules = {name: defined.find_module_defining_flag(name) for name in defined}
  others = {name: defined[name] for name, module in modules.items()
            if module.startswith('benchmarks')}
  for name in others:
    delattr(defined, name)
  app.define_help_flags()  # absl does so once in a process.
  try:
    with flagsaver.flagsaver():  # Forgets the flags that are added.
      yield
  finally:
    for name, flag in others.items():
      defined[name] = flag
      defined.register_flag_by_module(modules[name], flag)


def succeeds(module: str, *arguments) -> subprocess.CompletedProcess:
  """Runs a command that ends well."""
  done = run(module, *arguments)
  assert done.returncode == 0, done.stderr[-3000:]
  return done


def refused(module: str, *arguments) -> str:
  """Runs a command on a user's mistake; returns its one line."""
  done = run(module, *arguments)
  assert done.returncode == 1, done.stderr[-3000:]
  lines = [line for line in done.stderr.splitlines()
           if line.startswith('error: ')]
  assert len(lines) == 1, done.stderr[-3000:]
  return lines[0]
