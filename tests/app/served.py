"""Serves a page in a process of its own, as a person starts it."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
from typing import Iterator, NamedTuple

_ROOT = pathlib.Path(__file__).resolve().parents[2]


class Served(NamedTuple):
  """A page that is served.

  Attributes:
    address: its address.
    process: the process that serves it.
    folder: its current folder, its home, and where its temporary files go.
    log: its stderr.
  """

  address: str
  process: subprocess.Popen
  folder: pathlib.Path
  log: pathlib.Path

  def stop(self) -> int:
    """Ends the process as a shell does; returns its status."""
    self.process.send_signal(signal.SIGTERM)
    return self.process.wait(60)


@contextlib.contextmanager
def page(folder: pathlib.Path, model: pathlib.Path, *arguments: str
         ) -> Iterator[Served]:
  """Starts `axial_tf.app` with any free port; ends it at last.

  Args:
    folder: an empty folder.
    model: the model.
    *arguments: further arguments.
  """
  home = folder / 'home'
  home.mkdir()
  log = folder / 'log'
  environment = {
      **os.environ, 'HOME': str(home), 'TMPDIR': str(home),
      'PYTHONPATH': str(_ROOT), 'PYTHONDONTWRITEBYTECODE': '1'}
  for name in ('XDG_CACHE_HOME', 'XDG_CONFIG_HOME'):
    environment.pop(name, None)
  with log.open('w') as errors, subprocess.Popen(
      [sys.executable, '-m', 'axial_tf.app', f'--model={model}', '--port=0',
       *arguments], cwd=home, env=environment, stdout=subprocess.PIPE,
      stderr=errors, text=True) as process:
    try:
      line = process.stdout.readline()  # Comes when the page is served.
      found = re.search(r'is shown at (http://\S+) until Ctrl-C', line)
      assert found, log.read_text()[-2000:]
      yield Served(found[1], process, home, log)
    finally:
      process.kill()
