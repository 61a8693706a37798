"""Sends images to a running TensorFlow Serving.

  client = Client('localhost:8500', 'demo', model_json='exports/demo/1')
  for segment in client('street.jpg').segments:
    print(segment.name, segment.score, segment.box)

`python -m axial_tf.client` does the same on the command line.
"""

import functools
import os
import re
from typing import List, Optional, Sequence

from axial_tf import errors, optional_imports
from axial_tf.client import answers, sent_files, server_calls

_SIGNATURE = 'serving_default'
# An export's message about a bad image of a batch.
_BAD_ELEMENT = re.compile(r'image_bytes\[(\d+)\] ([^\]]+)')
_PORTS = 'usually 8500 for gRPC, 8501 for REST'


class BadImageError(errors.UserError):
  """An image that cannot be sent or is rejected; others may be fine."""


class Client:
  """A client of one model on one server. May be used by several threads."""

  def __init__(self, server: str, model: str, *, protocol: str = 'grpc',
               version: Optional[int] = None,
               model_json: Optional[str] = None, batch_size: int = 4,
               timeout: float = 60.0, retries: int = 5):
    """Connects when it is first used.

    Args:
      server: host:port; for REST also a URL with https://.
      model: name of the model on the server.
      protocol: 'grpc' (needs the extra 'serving') or 'rest'.
      version: version of the model; None for the newest.
      model_json: model.json of the export, or its version's folder; gives
        segments names and colors.
      batch_size: maximal number of images in one request; the server's
        max_batch_size must not be smaller.
      timeout: seconds for a request, with all its retries.
      retries: number of retries of a request that did not reach a server, or
        reached it when it was overloaded.

    Raises:
      errors.UserError: an argument is wrong, the model.json cannot be read, or
        the extra is missing.
    """
    for name, value, least in (('batch_size', batch_size, 1),
                               ('retries', retries, 0)):
      if value < least:
        raise errors.UserError(
            f'{name}: expected a number >= {least}, got {value}')
    if not timeout > 0:
      raise errors.UserError(
          f'timeout: expected seconds above 0, got {timeout}')
    self._spec = None if model_json is None else answers.read_spec(model_json)
    self._transport = _transport_class(protocol)(
        server, model, version, _SIGNATURE)
    self._server = server
    self._model = model if version is None else f'{model}, version {version}'
    self._batch_size = batch_size
    self._timeout = timeout
    self._retries = retries

  def __enter__(self) -> 'Client':
    return self

  def __exit__(self, *exception) -> None:
    self.close()

  def close(self) -> None:
    """Closes the connection."""
    self._transport.close()

  def __call__(self, image: sent_files.ImageLike) -> answers.Answer:
    """Sends one image; see `batch`.

    Raises:
      BadImageError: also for one that the model marks as bad.
      errors.UserError: as in `batch`.
    """
    answer, = self.batch([image])
    if answer is None:
      raise BadImageError(
          f'{_name(image, 0)}: the server does not accept it; expected a '
          f'JPEG or PNG file that is not too large')
    return answer

  def batch(self, images: Sequence[sent_files.ImageLike]
            ) -> List[Optional[answers.Answer]]:
    """Sends images, which may differ in size.

    Args:
      images: each the name or the content of an image file, a uint8 array
        [height, width, 3] (RGB) or [height, width] (grey), or a Pillow image.

    Returns:
      For each image its `results.PanopticResult`, or its most probable
      `results.ClassProbability`s if the model is a classifier. None for an
      image that a model marks as bad (exported with --on_error=mark).

    Raises:
      BadImageError: one of the images, named in the message, cannot be read or
        is rejected by the server.
      errors.UserError: the server cannot be reached, has no such model, is too
        slow or fails.
    """
    found = []
    for start in range(0, len(images), self._batch_size):
      part = images[start:start + self._batch_size]
      try:
        files = [sent_files.content(image) for image in part]
      except errors.UserError as error:
        raise BadImageError(str(error)) from error
      names = [_name(image, start + place) for place, image in enumerate(part)]
      found += [answers.from_outputs(outputs, self._spec, file)
                for outputs, file in zip(self._predict(files, names), files)]
    return found

  def _predict(self, files: Sequence[bytes], names: Sequence[str]):
    try:
      return server_calls.with_retries(
          functools.partial(self._transport.predict, files),
          self._timeout, self._retries)
    except server_calls.ServerError as error:
      raise self._user_error(error, names) from error

  def _user_error(self, error: server_calls.ServerError, names: Sequence[str]
                  ) -> errors.UserError:
    said = error.message or 'no reason given'
    if error.proxy:
      said += (f'; this went through the proxy {error.proxy}, add the server '
               f'to no_proxy to bypass it')
    if error.code == server_calls.UNAVAILABLE:
      return errors.UserError(
          f'{self._server}: cannot be reached, or is overloaded ({said}); '
          f'is the server running, and is this its port ({_PORTS})?')
    if error.code == server_calls.NOT_FOUND:
      return errors.UserError(
          f'{self._server}: has no model {self._model} ({said}); check the '
          f'name, or wait until it is loaded')
    if error.code == server_calls.DEADLINE_EXCEEDED:
      return errors.UserError(
          f'{self._server}: no answer within {self._timeout:g} seconds '
          f'({said}); allow more, or send fewer or smaller images at a time')
    bad = _BAD_ELEMENT.search(error.message)
    if bad and int(bad.group(1)) < len(names):
      return BadImageError(
          f'{names[int(bad.group(1))]}: {bad.group(2)} (says '
          f'{self._server}); leave it out')
    return errors.UserError(
        f'{self._server}: {error.code} ({said}); expected a model that '
        f'axial_tf.export wrote, and batches that the server allows')


def _transport_class(protocol: str):
  # Imported when needed: REST works without TensorFlow and the extra.
  if protocol == 'rest':
    from axial_tf.client import rest_transport
    return rest_transport.RestTransport
  if protocol != 'grpc':
    raise errors.UserError(
        f'protocol: expected grpc or rest, got {protocol!r}')
  for module in ('grpc', 'tensorflow_serving.apis.predict_pb2'):
    optional_imports.load(module, 'serving', 'gRPC (unlike REST)')
  from axial_tf.client import grpc_transport
  return grpc_transport.GrpcTransport


def _name(image, place: int) -> str:
  """Returns the name of an image for errors."""
  if isinstance(image, (str, os.PathLike)):
    return os.fspath(image)
  return f'images[{place}]'
