"""Several processes of one run, which talk over the loopback device."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
from typing import List

_ROOT = pathlib.Path(__file__).resolve().parents[1]


def hear_ctrl_c() -> None:
  """Runs in a child: commands in the background of a shell ignore Ctrl-C."""
  signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(count: int, *arguments: str) -> List[subprocess.Popen]:
  """Starts `axial_tf.train` with the same arguments on each worker.

  With a count of 1, it is no member of a cluster.
  """
  cluster = {'worker': [f'127.0.0.1:{port}' for port in _free_ports(count)]}
  processes = []
  for index in range(count):
    environment = {**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3'}
    if count > 1:
      environment['TF_CONFIG'] = json.dumps(
          {'cluster': cluster, 'task': {'type': 'worker', 'index': index}})
    processes.append(subprocess.Popen(
        [sys.executable, '-m', 'axial_tf.train', *arguments], cwd=_ROOT,
        env=environment, stderr=subprocess.PIPE, text=True))
  return processes


def finish(processes: List[subprocess.Popen], status: int = 0) -> List[str]:
  """Waits for all workers; returns what each one printed."""
  try:
    printed = [process.communicate(timeout=500)[1] for process in processes]
  finally:
    for process in processes:
      process.kill()
  for process, text in zip(processes, printed):
    assert process.returncode == status, text[-3000:]
    assert 'Traceback' not in text
  return printed


def _free_ports(count: int) -> List[int]:
  sockets = [socket.socket() for _ in range(count)]
  for one in sockets:
    one.bind(('127.0.0.1', 0))
  ports = [one.getsockname()[1] for one in sockets]
  for one in sockets:
    one.close()
  return ports
