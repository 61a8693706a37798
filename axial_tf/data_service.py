"""Serves training data: machines without accelerators decode and augment it.

Examples:
  One dispatcher, then workers on as many machines as are needed:

  python -m axial_tf.data_service --port=5050
  python -m axial_tf.data_service --dispatcher=first-machine:5050

  and the training, on the machines with accelerators:

  python -m axial_tf.train --gin_file=experiment.gin --model_dir=runs/mine \\
    --gin_params="PanopticDataSettings.data_service = 'grpc://first-machine:5050'"

  (ClassificationDataSettings for a classifier.)

Workers read the records themselves, so they need them under the same path. A
worker that is lost is replaced by the others and by new ones; what it was
making is lost with it. The dispatcher has to stay, unless --work_dir keeps its
state; started again with the same port and folder, it resumes.

The programs run until they are stopped (Ctrl-C, or kill).
"""

import os
import socket
import time

from absl import flags

from axial_tf import cli, errors
from axial_tf.files import paths

FLAGS = flags.FLAGS


def _define_flags() -> None:
  flags.DEFINE_integer(
      'port', 0, 'port to listen on; of a worker, 0 takes any free one.',
      lower_bound=0, upper_bound=65535)
  flags.DEFINE_string(
      'dispatcher', None, 'host:port of the dispatcher; makes this a worker.')
  flags.DEFINE_string(
      'address', None, 'host or host:port under which the trainers reach this '
      'worker; default: the name of this machine.')
  cli.define_path(
      'work_dir', None, 'folder for the state of the dispatcher.')


def main() -> None:
  import tensorflow as tf

  tf.config.set_visible_devices([], 'GPU')  # Which belong to the training.
  try:
    if FLAGS.dispatcher is None:
      cli.refuse(
          ('address',), ' belongs to a worker; add --dispatcher=host:port')
      server = _dispatcher()
    else:
      cli.refuse(('work_dir',), ' belongs to a dispatcher; leave it out')
      server = _worker()
  except tf.errors.OpError as error:
    raise errors.UserError(
        f'the server cannot start ({errors.first_line(error)}); check '
        f'--port, --address and --work_dir') from error
  while server is not None:
    time.sleep(3600)


def _dispatcher():
  """Returns a running dispatcher."""
  import tensorflow as tf

  if not FLAGS.port:
    raise errors.UserError(
        '--port is required: the port of the dispatcher, which its workers and '
        'the training name (or --dispatcher=host:port for a worker)')
  service = tf.data.experimental.service
  if FLAGS.work_dir is not None:
    paths.require_reachable(FLAGS.work_dir)
    tf.io.gfile.makedirs(FLAGS.work_dir)
  _require_free(FLAGS.port)
  server = service.DispatchServer(service.DispatcherConfig(
      port=FLAGS.port, work_dir=FLAGS.work_dir,
      fault_tolerant_mode=FLAGS.work_dir is not None))
  print(f'dispatcher at grpc://{socket.gethostname()}:{FLAGS.port}',
        flush=True)
  return server


def _worker():
  """Returns a running worker."""
  import tensorflow as tf

  from axial_tf.data.common import data_service

  service = tf.data.experimental.service
  data_service.require(FLAGS.dispatcher, '--dispatcher')
  address = FLAGS.address or socket.gethostname()
  if ':' not in address:
    address += ':%port%'  # Replaced by the server.
  _require_free(FLAGS.port)
  server = service.WorkerServer(service.WorkerConfig(
      dispatcher_address=FLAGS.dispatcher, worker_address=address,
      port=FLAGS.port))
  print(f'worker of grpc://{FLAGS.dispatcher} with {os.cpu_count()} cores',
        flush=True)
  return server


def _require_free(port: int) -> None:
  """Raises a UserError if this machine already listens on a port."""
  with socket.socket() as attempt:
    attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
      attempt.bind(('', port))
    except OSError as error:
      raise errors.UserError(
          f'--port: cannot listen on {port} ({error.strerror}); give '
          f'another') from error


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__)
