"""Sends image files to TensorFlow Serving and receives results, by gRPC.

Needs tensorflow-serving-api, from the extra 'serving'.
"""

import time
from typing import Any, Dict, List, Optional, Sequence

import grpc
import tensorflow as tf
from tensorflow_serving.apis import (
  get_model_metadata_pb2,
  predict_pb2,
  prediction_service_pb2_grpc,
)

from axial_tf.client import proxies, server_calls

# Results of large images exceed gRPC's default limit of 4 MB.
_UNLIMITED = -1
# The same as panoptic_png_bytes, at many times the size.
_NOT_FETCHED = 'panoptic_map'


class GrpcTransport:
  """A transport to one model on one server. May be used by several threads."""

  def __init__(self, server: str, model: str, version: Optional[int],
               signature: str):
    """Connects when it is first used.

    Args:
      server: host:port.
      model: name of the model on the server.
      version: version of the model; None for the newest.
      signature: name of a signature that takes `image_bytes`.
    """
    self._proxy = proxies.of_grpc(server)
    self._channel = grpc.insecure_channel(server, options=[
        ('grpc.enable_http_proxy', int(self._proxy is not None)),
        ('grpc.max_send_message_length', _UNLIMITED),
        ('grpc.max_receive_message_length', _UNLIMITED)])
    self._stub = prediction_service_pb2_grpc.PredictionServiceStub(
        self._channel)
    self._model = model
    self._version = version
    self._signature = signature
    self._outputs: Optional[List[str]] = None

  def predict(self, files: Sequence[bytes], timeout: float
              ) -> List[Dict[str, Any]]:
    """Returns each file's outputs by name, without the batch axis.

    Args:
      files: contents of image files.
      timeout: limit in seconds.

    Raises:
      server_calls.ServerError: there is no answer.
    """
    end = time.monotonic() + timeout
    if self._outputs is None:
      self._outputs = self._find_outputs(timeout)
    request = predict_pb2.PredictRequest(output_filter=self._outputs)
    self._address(request)
    request.model_spec.signature_name = self._signature
    request.inputs['image_bytes'].CopyFrom(
        tf.make_tensor_proto(list(files), tf.string, [len(files)]))
    response = self._call(
        self._stub.Predict, request, max(end - time.monotonic(), 1e-3))
    outputs = {
        key: tf.make_ndarray(value) for key, value in response.outputs.items()}
    return [{key: value[row] for key, value in outputs.items()}
            for row in range(len(files))]

  def close(self) -> None:
    self._channel.close()

  def _find_outputs(self, timeout: float) -> List[str]:
    request = get_model_metadata_pb2.GetModelMetadataRequest(
        metadata_field=['signature_def'])
    self._address(request)
    response = self._call(self._stub.GetModelMetadata, request, timeout)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata['signature_def'].Unpack(signatures)
    found = signatures.signature_def[self._signature].outputs
    return sorted(set(found) - {_NOT_FETCHED})

  def _address(self, request) -> None:
    request.model_spec.name = self._model
    if self._version is not None:
      request.model_spec.version.value = self._version

  def _call(self, method, request, timeout: float):
    try:
      return method(request, timeout=timeout)
    except grpc.RpcError as error:
      raise server_calls.ServerError(
          error.code().name, error.details() or '', self._proxy) from error
