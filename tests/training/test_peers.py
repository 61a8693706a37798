"""Workers wait for each other, say for whom, and end in time."""

import contextlib
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time

import pytest

from axial_tf import errors
from axial_tf.training import cluster as cluster_lib
from axial_tf.training import peers
from tests import worker_processes

_WAIT = '''
import sys
from axial_tf import cli, errors
from axial_tf.training import cluster, peers
addresses = tuple(sys.argv[1:])
names = tuple(f'worker {i}' for i in range(len(addresses)))
sys.argv = sys.argv[:1]
cli.run(lambda: peers.wait(cluster.Cluster(names, addresses, 0), 60), '')
'''


@pytest.fixture(autouse=True)
def short_intervals(monkeypatch):
  monkeypatch.setattr(peers, '_INTERVAL', 0.1)
  monkeypatch.setattr(peers, '_FIRST_NOTICE', 0.6)


def _addresses(count):
  with contextlib.ExitStack() as stack:
    sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
    for one in sockets:
      one.bind(('127.0.0.1', 0))
    return [f'127.0.0.1:{one.getsockname()[1]}' for one in sockets]


def _cluster(addresses, index):
  return cluster_lib.Cluster(
      tuple(f'worker {i}' for i in range(len(addresses))), tuple(addresses),
      index)


class _Worker(threading.Thread):
  """Waits in a thread; `ended` and `error` say how that went."""

  def __init__(self, addresses, index, timeout=30.0):
    super().__init__(daemon=True)
    self._cluster, self._timeout = _cluster(addresses, index), timeout
    self.ended = self.error = None
    self.start()

  def run(self):
    try:
      peers.wait(self._cluster, self._timeout)
      self.ended = time.monotonic()
    except errors.UserError as error:
      self.error = str(error)


def test_nobody_continues_before_the_last_has_arrived(capfd):
  addresses = _addresses(3)
  workers = [_Worker(addresses, 0), _Worker(addresses, 2)]
  time.sleep(1)
  assert all(worker.is_alive() for worker in workers)
  told = capfd.readouterr().err
  assert (f'waiting: 2 of 3 workers are here; missing: worker 1 '
          f'({addresses[1]}) (up to') in told
  workers.append(_Worker(addresses, 1))
  for worker in workers:
    worker.join(60)
    assert worker.ended, worker.error
  ends = [worker.ended for worker in workers]
  assert max(ends) - min(ends) < 10


def test_a_restarted_worker_is_waited_for():
  addresses = _addresses(3)
  first = _Worker(addresses, 0, timeout=60)
  gone = _Worker(addresses, 1, timeout=2)
  gone.join(20)
  assert 'worker 2 (' in gone.error and first.is_alive()
  again, last = _Worker(addresses, 1), _Worker(addresses, 2)
  for worker in (first, again, last):
    worker.join(60)
    assert worker.ended, worker.error


def test_the_missing_are_named_at_the_end():
  addresses = [*_addresses(2), 'no-such-host.invalid:1234']
  worker = _Worker(addresses, 0, timeout=1)
  worker.join(60)
  assert worker.error.startswith('1 of 3 workers are here; missing: worker 1 (')
  assert 'no-such-host.invalid is unknown' in worker.error
  assert 'RunSettings.worker_timeout' in worker.error


def test_another_program_at_the_address_is_not_a_worker():

  class Handler(socketserver.BaseRequestHandler):

    def handle(self):
      self.request.sendall(b'\0\0\x12\x04settings of HTTP/2')

  with socketserver.ThreadingTCPServer(('127.0.0.1', 0), Handler) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    addresses = [*_addresses(1), f'127.0.0.1:{server.server_address[1]}']
    worker = _Worker(addresses, 0, timeout=2)
    worker.join(60)
    server.shutdown()
  assert 'another program answers there' in worker.error


def test_different_clusters_are_refused_on_both_sides():
  addresses = _addresses(3)
  workers = [_Worker(addresses, 0), _Worker(addresses[:2], 1)]
  for worker in workers:
    worker.join(60)
    assert 'the same "cluster" on all workers' in worker.error


def test_a_port_in_use_is_named():
  with socket.create_server(('', 0)) as taken:
    addresses = [f'localhost:{taken.getsockname()[1]}', 'localhost:1']
    worker = _Worker(addresses, 0)
    worker.join(60)
  assert 'cannot listen at its port (Address already in use)' in worker.error


def test_a_worker_that_has_continued_is_known_by_its_answer(monkeypatch):
  """The other one starts TensorFlow before this one's last request."""
  addresses = _addresses(2)
  meeting = peers._Meeting(_cluster(addresses, 0))
  peer = meeting._peers[1]
  with socket.create_server(('127.0.0.1', int(
      addresses[1].rpartition(':')[2]))) as server:

    def answer():
      connection, _ = server.accept()
      with connection:
        connection.recv(10)
        connection.sendall(b'\0\0\x12\x04')

    for run, ready in (('', False), ('known', True)):
      peer.run = run
      threading.Thread(target=answer, daemon=True).start()
      meeting._ask(1, peer)
      assert peer.ready == ready


@pytest.mark.slow
@pytest.mark.parametrize('number, status', [
    (signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_end_the_wait(project_root, number, status):
  process = subprocess.Popen(
      [sys.executable, '-c', _WAIT, *_addresses(2)], cwd=project_root,
      stderr=subprocess.PIPE, text=True,
      preexec_fn=worker_processes.hear_ctrl_c,
      env={**os.environ, 'PYTHONPATH': str(project_root)})
  assert 'waiting: 1 of 2' in process.stderr.readline()
  process.send_signal(number)
  assert process.wait(30) == status
  assert 'Traceback' not in process.stderr.read()
