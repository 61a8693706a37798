"""Stands in for TensorFlow Serving in tests: its gRPC and REST, in a session.

  python -m tests.export.server_double demo=exports/demo/1 other=...

serves these versions on two free ports of this machine and prints them as one
JSON line when it is ready. axial_tf cannot be imported in it. A model name that
begins with busy_ stands for the model without it, but two of three requests
are UNAVAILABLE; slow_ answers after some seconds.
"""

import base64
from concurrent import futures
import http.server
import itertools
import json
import re
import sys
import threading
import time

import grpc
import tensorflow as tf
from tensorflow_serving.apis import (
  get_model_metadata_pb2,
  predict_pb2,
  prediction_service_pb2_grpc,
)

from tests.export import session

_DELAY = 3.0
_PATH = re.compile(
    r'/v1/models/(?P<model>[^/:]+)(/versions/(?P<version>\d+))?:predict')
_HTTP_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400, grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.UNAVAILABLE: 503}


class _Refused(Exception):

  def __init__(self, code: grpc.StatusCode, message: str):
    super().__init__(message)
    self.code = code


class _Models:
  """Handles requests of both protocols."""

  def __init__(self, folders):
    self._models = {
        name: session.ServedModel(folder) for name, folder in folders.items()}
    self._counts = {'grpc': itertools.count(), 'rest': itertools.count()}

  def find(self, name: str, version: int) -> session.ServedModel:
    model = self._models.get(re.sub('^(busy|slow)_', '', name))
    if model is None or version not in (0, 1):
      which = f'Specific({name}, {version})' if version else f'Latest({name})'
      raise _Refused(grpc.StatusCode.NOT_FOUND,
                     f'Servable not found for request: {which}')
    return model

  def predict(self, protocol, name, version, signature, inputs, wanted=()):
    model = self.find(name, version)
    if name.startswith('slow_'):
      time.sleep(_DELAY)
    if name.startswith('busy_') and next(self._counts[protocol]) % 3 < 2:
      raise _Refused(grpc.StatusCode.UNAVAILABLE, 'queue is full')
    if signature not in model.signatures:
      raise _Refused(
          grpc.StatusCode.INVALID_ARGUMENT,
          f'Serving signature name: "{signature}" not found in signature def')
    definition = model.signatures[signature]
    unknown = set(wanted) - set(definition.outputs)
    if unknown or set(inputs) != set(definition.inputs):
      raise _Refused(grpc.StatusCode.INVALID_ARGUMENT,
                     f'tensors: {sorted(unknown)}, {sorted(inputs)}')
    names = sorted(wanted or definition.outputs)
    try:
      return model.run(signature, inputs, names)
    except tf.errors.InvalidArgumentError as error:
      raise _Refused(
          grpc.StatusCode.INVALID_ARGUMENT, error.message) from error


class _Service(prediction_service_pb2_grpc.PredictionServiceServicer):

  def __init__(self, models: _Models):
    self._models = models

  def Predict(self, request, context):
    spec = request.model_spec
    try:
      outputs = self._models.predict(
          'grpc', spec.name, spec.version.value, spec.signature_name,
          {key: tf.make_ndarray(value)
           for key, value in request.inputs.items()}, request.output_filter)
    except _Refused as error:
      context.abort(error.code, str(error))
    response = predict_pb2.PredictResponse()
    for key, value in outputs.items():
      response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
    return response

  def GetModelMetadata(self, request, context):
    spec = request.model_spec
    try:
      model = self._models.find(spec.name, spec.version.value)
    except _Refused as error:
      context.abort(error.code, str(error))
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for name, definition in model.signatures.items():
      signatures.signature_def[name].CopyFrom(definition)
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.metadata['signature_def'].Pack(signatures)
    return response


def _json_value(name, value):
  if isinstance(value, bytes):
    if name.endswith('_bytes'):
      return {'b64': base64.b64encode(value).decode()}
    return value.decode()
  return value


def _json_rows(outputs):
  """The row format: an object for each instance."""
  columns = {name: value.tolist() for name, value in outputs.items()}
  for values in zip(*columns.values()):
    yield {
        name: [_json_value(name, entry) for entry in value]
              if isinstance(value, list) else _json_value(name, value)
        for name, value in zip(columns, values)}


class _Handler(http.server.BaseHTTPRequestHandler):
  models: _Models

  def do_POST(self):
    content = self.rfile.read(int(self.headers['Content-Length']))
    try:
      status, answer = 200, {'predictions': list(self._predict(content))}
    except _Refused as error:
      status, answer = _HTTP_STATUS[error.code], {'error': str(error)}
    body = json.dumps(answer).encode()
    self.send_response(status)
    self.send_header('Content-Type', 'application/json')
    self.send_header('Content-Length', str(len(body)))
    self.end_headers()
    self.wfile.write(body)

  def _predict(self, content):
    path = _PATH.fullmatch(self.path)
    if path is None:
      raise _Refused(grpc.StatusCode.NOT_FOUND, f'Malformed: {self.path}')
    request = json.loads(content)
    signature = request.get('signature_name', 'serving_default')
    files = [base64.b64decode(entry['b64'], validate=True)
             for entry in request['instances']]
    return _json_rows(self.models.predict(
        'rest', path['model'], int(path['version'] or 0), signature,
        {'image_bytes': files}))

  def log_message(self, *arguments):
    """Logs no requests."""


def main() -> None:
  models = _Models(dict(entry.split('=', 1) for entry in sys.argv[1:]))
  service = grpc.server(futures.ThreadPoolExecutor(16), options=[
      ('grpc.max_receive_message_length', -1),
      ('grpc.max_send_message_length', -1)])
  prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
      _Service(models), service)
  grpc_port = service.add_insecure_port('127.0.0.1:0')
  service.start()
  _Handler.models = models
  web = http.server.ThreadingHTTPServer(('127.0.0.1', 0), _Handler)
  threading.Thread(target=web.serve_forever, daemon=True).start()
  print(json.dumps({'grpc': f'127.0.0.1:{grpc_port}',
                    'rest': f'127.0.0.1:{web.server_port}'}), flush=True)
  # Whoever started it ends it by closing its input.
  sys.stdin.read()
  service.stop(None)
  web.shutdown()


if __name__ == '__main__':
  sys.modules['axial_tf'] = None  # Makes every import of it fail.
  main()
