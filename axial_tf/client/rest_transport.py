"""Sends image files to TensorFlow Serving and receives results, by REST.

Needs only Python. Each panoptic map is sent twice, as numbers in JSON and as a
PNG, because REST cannot select outputs; gRPC messages are many times smaller.
"""

import base64
import http.client
import json
import socket
from typing import Any, Dict, List, Optional, Sequence
import urllib.error
import urllib.parse
import urllib.request

from axial_tf.client import proxies, server_calls

# gRPC status codes by the HTTP codes that TensorFlow Serving maps them to.
_CODES = {
    400: server_calls.INVALID_ARGUMENT, 404: server_calls.NOT_FOUND,
    429: 'RESOURCE_EXHAUSTED', 501: 'UNIMPLEMENTED',
    503: server_calls.UNAVAILABLE, 504: server_calls.DEADLINE_EXCEEDED}


class RestTransport:
  """A transport to one model on one server. May be used by several threads."""

  def __init__(self, server: str, model: str, version: Optional[int],
               signature: str):
    """Stores the address of the server.

    Args:
      server: host:port, or a URL that begins with http:// or https://.
      model: name of the model on the server.
      version: version of the model; None for the newest.
      signature: name of a signature that takes `image_bytes`.
    """
    base = server if '://' in server else f'http://{server}'
    of_version = '' if version is None else f'/versions/{version}'
    name = urllib.parse.quote(model, safe='')
    self._url = f'{base.rstrip("/")}/v1/models/{name}{of_version}:predict'
    self._signature = signature
    self._proxy = proxies.of_rest(self._url)
    handlers = [] if self._proxy else [urllib.request.ProxyHandler({})]
    self._opener = urllib.request.build_opener(*handlers)

  def predict(self, files: Sequence[bytes], timeout: float
              ) -> List[Dict[str, Any]]:
    """Returns each file's outputs by name, without the batch axis.

    Args:
      files: contents of image files.
      timeout: limit in seconds.

    Raises:
      server_calls.ServerError: there is no answer.
    """
    body = json.dumps({
        'signature_name': self._signature,
        'instances': [{'b64': base64.b64encode(content).decode('ascii')}
                      for content in files]})
    answer = self._post(body.encode('ascii'), timeout)
    try:
      rows = json.loads(answer)['predictions']
      return [{key: _decoded(value) for key, value in row.items()}
              for row in rows]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
      raise server_calls.ServerError(
          'INTERNAL', 'the answer is not TensorFlow Serving JSON') from error

  def close(self) -> None:
    """Does nothing: each request has a separate connection."""

  def _post(self, body: bytes, timeout: float) -> bytes:
    request = urllib.request.Request(
        self._url, body, {'Content-Type': 'application/json'})
    try:
      with self._opener.open(request, timeout=timeout) as response:
        return response.read()
    except urllib.error.HTTPError as error:
      raise server_calls.ServerError(
          _CODES.get(error.code, 'UNKNOWN'), _message(error),
          self._proxy) from error
    except urllib.error.URLError as error:
      raise self._connection_error(error.reason) from error
    except http.client.HTTPException as error:
      raise server_calls.ServerError(
          server_calls.UNAVAILABLE, 'the answer is not HTTP', self._proxy
      ) from error
    except OSError as error:
      raise self._connection_error(error) from error

  def _connection_error(self, reason) -> server_calls.ServerError:
    is_late = isinstance(reason, (socket.timeout, TimeoutError))
    return server_calls.ServerError(
        server_calls.DEADLINE_EXCEEDED if is_late
        else server_calls.UNAVAILABLE, str(reason), self._proxy)


def _decoded(value):
  """Decodes the base64 of outputs whose names end in _bytes."""
  if isinstance(value, dict):
    return base64.b64decode(value['b64'])
  return value


def _message(error: urllib.error.HTTPError) -> str:
  content = error.read().decode('utf-8', 'replace')
  try:
    return str(json.loads(content)['error'])
  except (ValueError, KeyError, TypeError):
    return f'HTTP {error.code} {content[:200]}'

