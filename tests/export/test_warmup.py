"""Warm-up requests of a server, and its batching parameters."""

import io
import os
import sys

from google.protobuf import (
  descriptor_pb2,
  descriptor_pool,
  message_factory,
  text_format,
  wrappers_pb2,
)
import numpy as np
from PIL import Image
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from axial_tf import errors
from axial_tf.export import (
  batching_parameters,
  saved_model,
  serving_settings,
  warmup,
)
from tests import color_model
from tests.export import session


def _requests(version_dir):
  path = os.path.join(version_dir, warmup.FILE)
  return [
      prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
      for record in tf.data.TFRecordDataset(path).as_numpy_iterator()]


@pytest.mark.slow
def test_the_requests_run_in_the_servers_session(tmp_path):
  """Though the model takes fewer pixels than the usual pictures have."""
  batch_sizes, max_pixels = (1, 2, 4), 900
  version = saved_model.export_saved_model(
      color_model.inference(), str(tmp_path),
      settings=serving_settings.ServingSettings(
          max_pixels=max_pixels, batch_sizes=batch_sizes))
  served = session.ServedModel(version)
  requests = _requests(version)
  assert len(requests) == len(batch_sizes)
  for request, size in zip(requests, batch_sizes):
    assert request.model_spec.signature_name == 'serving_default'
    assert not request.model_spec.name
    inputs = {key: tf.make_ndarray(value)
              for key, value in request.inputs.items()}
    outputs = served('serving_default', **inputs)
    assert outputs['num_segments'].shape == (size,)
    assert (outputs['num_segments'] > 0).all()
    assert (outputs['height'] * outputs['width'] <= max_pixels).all()
  # JPEG and PNG of one size, so that both decoders are ready.
  assert len(np.unique(outputs['height'])) == 1


def test_pictures_of_both_types_have_a_usual_size(tmp_path):
  assert warmup.write(str(tmp_path), [3], max_pixels=50_000_000)
  request, = _requests(str(tmp_path))
  pictures = [Image.open(io.BytesIO(content)) for content in
              tf.make_ndarray(request.inputs['image_bytes'])]
  assert [picture.format for picture in pictures] == ['JPEG', 'PNG', 'JPEG']
  assert {picture.size for picture in pictures} == {(128, 96)}


def test_without_the_extra_the_export_continues(
    tmp_path, monkeypatch, no_saved_model):
  monkeypatch.setitem(
      sys.modules, 'tensorflow_serving.apis.prediction_log_pb2', None)
  version = saved_model.export_saved_model(
      color_model.inference(), str(tmp_path))
  assert not warmup.exists(version)
  assert os.path.exists(os.path.join(version, batching_parameters.FILE))


def _message():
  """BatchingParameters with the fields that TensorFlow Serving gives it."""
  file = descriptor_pb2.FileDescriptorProto(
      name='batching.proto', package='test', syntax='proto3',
      dependency=['google/protobuf/wrappers.proto'])
  message = file.message_type.add(name='BatchingParameters')
  kinds = descriptor_pb2.FieldDescriptorProto
  for number, name in enumerate((
      'max_batch_size', 'batch_timeout_micros', 'max_enqueued_batches',
      'num_batch_threads'), start=1):
    message.field.add(
        name=name, number=number, type=kinds.TYPE_MESSAGE,
        label=kinds.LABEL_OPTIONAL, type_name='.google.protobuf.Int64Value')
  message.field.add(name='allowed_batch_sizes', number=6,
                    type=kinds.TYPE_INT64, label=kinds.LABEL_REPEATED)
  message.field.add(name='pad_variable_length_inputs', number=7,
                    type=kinds.TYPE_BOOL, label=kinds.LABEL_OPTIONAL)
  pool = descriptor_pool.DescriptorPool()
  pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
  pool.Add(file)
  return message_factory.GetMessageClass(
      pool.FindMessageTypeByName('test.BatchingParameters'))()


@pytest.mark.parametrize('runs_at_once, allowed', [
    (True, [2, 8]), (False, [1, 2, 3, 4, 5, 6, 7, 8])])
def test_batching_parameters_are_what_the_server_parses(runs_at_once, allowed):
  parameters = text_format.Parse(
      batching_parameters.text([2, 8], runs_at_once), _message())
  assert list(parameters.allowed_batch_sizes) == allowed
  assert parameters.max_batch_size.value == allowed[-1]
  assert parameters.num_batch_threads.value >= 1
  assert parameters.max_enqueued_batches.value >= 1
  assert 0 < parameters.batch_timeout_micros.value < 100_000
  # Zeros at the border of an image would change the result.
  assert not parameters.pad_variable_length_inputs


@pytest.mark.parametrize('sizes', [(), (0, 1), (2, 1), (1, 1), (-1,), (1.5,)])
def test_batch_sizes_are_checked(sizes):
  with pytest.raises(errors.UserError, match='batch_sizes: expected'):
    serving_settings.ServingSettings(batch_sizes=sizes)
