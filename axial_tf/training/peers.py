"""Waits until all workers of a run are reachable, before TensorFlow does.

TensorFlow's own wait prints nothing, never times out and ignores signals. Here,
each worker listens at its address and polls the others, at short intervals,
whether they are up and whether they have seen all others. It continues when
all have. A worker that has continued no longer answers here, but as a
TensorFlow server.
"""

import dataclasses
import json
import socket
import socketserver
import sys
import threading
import time
from typing import Dict, List, Optional
import uuid

from axial_tf import errors
from axial_tf.training import cluster as cluster_lib

# Seconds: between two rounds of polling, to wait for an answer, before the
# first line about missing workers and between two such lines.
_INTERVAL = 0.5
_ANSWER = 5.0
_FIRST_NOTICE = 3.0
_NOTICE = 30.0
_LARGEST_MESSAGE = 1 << 20


@dataclasses.dataclass
class _Peer:
  """The known state of another worker.

  Attributes:
    run: random text of its process; '' before it first answered.
    is_here: whether it answered the last poll.
    ready: whether it has met all others.
    problem: reason why it does not answer, if known.
  """

  run: str = ''
  is_here: bool = False
  ready: bool = False
  problem: str = ''


def wait(cluster: cluster_lib.Cluster, timeout: float) -> None:
  """Returns when all workers are up, at about the same time on all of them.

  Args:
    cluster: all workers and the index of this one.
    timeout: seconds to wait for the others.

  Raises:
    errors.UserError: this worker's port cannot be used, another worker has
      another TF_CONFIG, or some are missing after `timeout`.
  """
  if len(cluster.addresses) > 1:
    _Meeting(cluster).hold(timeout)


class _Meeting:
  """One worker's part in the wait."""

  def __init__(self, cluster: cluster_lib.Cluster):
    self._cluster = cluster
    self._run = uuid.uuid4().hex
    self._peers: Dict[int, _Peer] = {
        index: _Peer() for index in range(len(cluster.addresses))
        if index != cluster.index}
    self._start = time.monotonic()
    self._last_notice = self._start
    self._said = ''
    self._conflict = ''

  def hold(self, timeout: float) -> None:
    with _listen(self._cluster, self._reply) as server:
      thread = threading.Thread(target=server.serve_forever, daemon=True)
      thread.start()
      try:
        while not self._is_over():
          if time.monotonic() - self._start > timeout:
            raise errors.UserError(
                f'{self._absent()} after {timeout:g} s '
                f'(RunSettings.worker_timeout); start all workers, check that '
                f'they can reach each other, and rerun the same command')
          self._notify(timeout)
          time.sleep(_INTERVAL)
          self._ask_all()
        # Workers that poll once more learn that this one has met all others.
        time.sleep(2 * _INTERVAL)
      finally:
        server.shutdown()

  def _message(self) -> bytes:
    return json.dumps({
        'run': self._run, 'index': self._cluster.index,
        'cluster': self._cluster.addresses,
        'ready': all(peer.run for peer in self._peers.values()),
    }).encode() + b'\n'

  def _is_over(self) -> bool:
    return all(peer.ready for peer in self._peers.values())

  def _ask_all(self) -> None:
    """Polls all others at once; an unreachable one does not delay the rest."""
    threads = [threading.Thread(target=self._ask, args=item, daemon=True)
               for item in self._peers.items()]
    for thread in threads:
      thread.start()
    for thread in threads:
      thread.join()
    if self._conflict:
      raise errors.UserError(f'{cluster_lib.VARIABLE}: {self._conflict}')

  def _ask(self, index: int, peer: _Peer) -> None:
    host, _, port = self._cluster.addresses[index].rpartition(':')
    peer.is_here, peer.problem = False, ''
    try:
      with socket.create_connection(
          (host.strip('[]'), int(port)), _ANSWER) as connection:
        answer = _exchange(connection, self._message())
    except socket.gaierror:
      peer.problem = f'{host} is unknown'
    except OSError:
      pass
    else:
      if answer is not None:
        self._compare(answer, self._cluster.addresses[index])
        if answer['index'] == index:
          peer.run, peer.is_here = answer['run'], True
          peer.ready = answer['ready']
      elif peer.run:
        # It continued because all were ready; now TensorFlow answers for it.
        peer.ready = peer.is_here = True
      else:
        peer.problem = 'another program answers there, perhaps an earlier run'

  def _reply(self, question: Optional[dict], host: str) -> bytes:
    if question is not None:
      self._compare(question, host)
    return self._message()

  def _compare(self, message: dict, sender: str) -> None:
    """Records a conflict if another worker has a different cluster."""
    if message['cluster'] != list(self._cluster.addresses):
      self._conflict = (
          f'expected the same "cluster" on all workers, got '
          f'{", ".join(self._cluster.addresses)} here and '
          f'{", ".join(map(str, message["cluster"]))} from {sender}')
    elif message['index'] == self._cluster.index and (
        message['run'] != self._run):
      self._conflict = (
          f'expected one process for each worker, got another '
          f'{self._cluster.names[self._cluster.index]} at {sender}')

  def _absent(self) -> str:
    missing: List[str] = []
    for index, peer in self._peers.items():
      if not peer.is_here:
        missing.append(self._cluster.describe(index) + (
            f': {peer.problem}' if peer.problem else ''))
    if not missing:
      return 'some workers have not met all others'
    present = len(self._cluster.addresses) - len(missing)
    return (f'{present} of {len(self._cluster.addresses)} workers are here; '
            f'missing: {", ".join(missing)}')

  def _notify(self, timeout: float) -> None:
    now, absent = time.monotonic(), self._absent()
    since = now - self._last_notice
    if since < _FIRST_NOTICE or since < _NOTICE and absent == self._said:
      return
    left = self._start + timeout - now
    print(f'waiting: {absent} (up to {left:.0f} s more)',
          file=sys.stderr, flush=True)
    self._said, self._last_notice = absent, now


def _listen(cluster: cluster_lib.Cluster, reply):
  """Returns a server that answers with reply(question, host of the sender).
  """

  class Handler(socketserver.BaseRequestHandler):

    def handle(self):
      try:
        self.request.settimeout(_ANSWER)
        with self.request.makefile('rb') as stream:
          question = _parse(stream.readline(_LARGEST_MESSAGE))
        self.request.sendall(reply(question, self.client_address[0]))
      except OSError:
        pass  # The other process has ended.

  class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    address_family = (
        socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET)

    def server_bind(self):
      if self.address_family == socket.AF_INET6:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
      super().server_bind()

  try:
    return Server(('', cluster.port), Handler)
  except OSError as error:
    raise errors.UserError(
        f'{cluster_lib.VARIABLE}: {cluster.describe(cluster.index)} cannot '
        f'listen at its port ({error.strerror}); end the program that uses it '
        f'(an earlier run, or a worker with the same index), or give another '
        f'port') from error


def _exchange(connection: socket.socket, message: bytes) -> Optional[dict]:
  """Sends a message and returns the answer; None if not from a worker."""
  try:
    connection.sendall(message)
    with connection.makefile('rb') as stream:
      return _parse(stream.readline(_LARGEST_MESSAGE))
  except ConnectionError:
    return None


def _parse(line: bytes) -> Optional[dict]:
  """Returns the message of a worker; None if it is from another program."""
  try:
    message = json.loads(line)
    message['run'], message['index'], message['ready']
    list(message['cluster'])
  except (ValueError, LookupError, TypeError):
    return None
  return message
