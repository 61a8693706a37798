"""A Dask cluster on this machine: a scheduler and workers, as processes."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time
from typing import Any, Callable, Iterator

import distributed

_ROOT = pathlib.Path(__file__).parents[2]
_SECONDS = 180


def wait_for(found: Callable[[], Any]) -> Any:
  """Calls a function until its result is true; returns that."""
  deadline = time.monotonic() + _SECONDS
  while True:
    result = found()
    if result:
      return result
    assert time.monotonic() < deadline, 'waited in vain'
    time.sleep(0.05)


class Cluster:
  """A scheduler and workers of one thread each, as processes.

  Attributes:
    arguments: options of Beam that run a pipeline here.
  """

  def __init__(self, folder: pathlib.Path, num_workers: int):
    """Starts the processes; their files lie in `folder`."""
    self._processes = []
    self._folder = folder
    self._file = folder / 'scheduler.json'
    self._start('scheduler', '--host=127.0.0.1', '--port=0')
    wait_for(self._file.exists)
    for _ in range(num_workers):
      self._start_worker()
    self._address = json.loads(self._file.read_text())['address']
    self.arguments = [
        f'--dask_client_address={self._address}', '--runner=DaskRunner']

  def kill(self, pid: int) -> None:
    """Ends a worker as a crash of its machine would, and starts another."""
    worker = next(w for w in self._processes if w.pid == pid)
    worker.kill()
    worker.wait()
    self._start_worker()

  def kill_a_busy_one(self) -> None:
    """Does so with a worker that has unfinished tasks."""
    with distributed.Client(self._address) as client:
      pids = client.run(os.getpid)
      busy = wait_for(lambda: next(
          (w for w, tasks in client.processing().items() if tasks), None))
      self.kill(pids[busy])

  def close(self) -> None:
    """Ends all processes."""
    for process in self._processes:
      process.kill()
      process.wait()

  def _start_worker(self) -> None:
    # Without a nanny, which would do so by itself.
    self._start('worker', '--no-nanny', '--nthreads=1',
                f'--local-directory={self._folder}')

  def _start(self, *command: str) -> None:
    path = os.pathsep.join([str(_ROOT), os.environ.get('PYTHONPATH', '')])
    with (self._folder / 'log').open('a') as log:
      self._processes.append(subprocess.Popen(
          [sys.executable, '-m', 'dask', *command, '--no-dashboard',
           f'--scheduler-file={self._file}'],
          cwd=_ROOT, stdout=log, stderr=log,
          env={**os.environ, 'PYTHONPATH': path, 'CUDA_VISIBLE_DEVICES': '-1'}))


@contextlib.contextmanager
def started(folder: pathlib.Path, num_workers: int) -> Iterator[Cluster]:
  """Starts a cluster whose files lie in a folder, and ends it."""
  cluster = Cluster(folder, num_workers)
  try:
    yield cluster
  finally:
    cluster.close()
