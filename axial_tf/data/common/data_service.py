"""Has a tf.data service make the batches of a pipeline."""

import socket
import time
from typing import Any

import tensorflow as tf

from axial_tf import errors
from axial_tf import settings as settings_lib

# A dispatcher that is just starting is waited for.
_PATIENCE_SECONDS = 30
_CONNECTION_SECONDS = 5


def check(settings: Any) -> None:
  """Checks the field `data_service` of a pipeline's settings.

  Raises:
    errors.UserError: it is not an address.
  """
  scheme, _, place = (settings.data_service or '').partition('://')
  settings_lib.require(
      settings.data_service is None or bool(scheme) and _is_place(place),
      settings, 'data_service',
      'None or an address such as grpc://localhost:5050')


def distribute(dataset: tf.data.Dataset, address: str) -> tf.data.Dataset:
  """Returns the elements of a dataset, made by the workers of a service.

  They divide the records among themselves, so that the order depends on them.

  Raises:
    errors.UserError: nothing listens at the address.
  """
  require(address.partition('://')[2], 'data_service')
  service = tf.data.experimental.service
  return dataset.apply(
      service.distribute(service.ShardingPolicy.DYNAMIC, address))


def require(place: str, name: str, patience: float = _PATIENCE_SECONDS
            ) -> None:
  """Waits until a dispatcher can be reached.

  TensorFlow itself would wait for an hour without a word.

  Args:
    place: its host:port.
    name: name of the flag or setting that gives it.
    patience: seconds to wait.

  Raises:
    errors.UserError: it is no such place, or nothing listens there.
  """
  if not _is_place(place):
    raise errors.UserError(
        f'{name}: expected host:port of the dispatcher, got {place!r}')
  host, _, port = place.rpartition(':')
  deadline = time.monotonic() + patience
  while True:
    try:
      socket.create_connection(
          (host.strip('[]'), int(port)), _CONNECTION_SECONDS).close()
      return
    except OSError as error:
      if time.monotonic() > deadline:
        raise errors.UserError(
            f'{name}: no dispatcher answers at {place} '
            f'({error.strerror or error}); start it with python -m '
            f'axial_tf.data_service --port={port}') from error
    time.sleep(0.5)


def _is_place(text: str) -> bool:
  host, _, port = text.rpartition(':')
  return bool(host) and port.isdigit() and 0 < int(port) < 1 << 16
