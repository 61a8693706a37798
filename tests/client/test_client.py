"""The client against a server in another process, by gRPC and by REST."""

import concurrent.futures
import io
import json
import os
import socket
import subprocess
import sys

import grpc
import numpy as np
from PIL import Image
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
  get_model_metadata_pb2,
  predict_pb2,
  prediction_service_pb2_grpc,
)

from axial_tf import errors
from axial_tf.client import answers, client, grpc_transport
from axial_tf.export import saved_model, serving_settings
from tests import color_model, tiny_classes, tools
from tests.export import session, tiny_classifier

_PROTOCOLS = pytest.mark.parametrize('protocol', ['grpc', 'rest'])


@pytest.fixture(scope='module')
def versions(tmp_path_factory):
  """Folders of a panoptic model and of a classifier that marks bad files."""
  folder = tmp_path_factory.mktemp('exports')
  return {
      'colors': saved_model.export_saved_model(
          color_model.inference(max_long_side=40), str(folder / 'colors')),
      'classes': saved_model.export_saved_model(
          tiny_classifier.inference(), str(folder / 'classes'),
          settings=serving_settings.ServingSettings(on_error='mark', top=2)),
  }


@pytest.fixture(scope='module')
def addresses(versions, project_root):
  process = subprocess.Popen(
      [sys.executable, '-m', 'tests.export.server_double',
       *(f'{name}={folder}' for name, folder in versions.items())],
      cwd=project_root, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
      env={**os.environ, 'PYTHONPATH': str(project_root)})
  try:
    yield json.loads(process.stdout.readline())
  finally:
    process.stdin.close()
    process.wait(30)


@pytest.fixture
def ask(addresses, protocol):
  """Makes a client of a model."""
  made = []

  def make(model='colors', **options):
    made.append(client.Client(
        addresses[protocol], model, protocol=protocol, **options))
    return made[-1]

  yield make
  for each in made:
    each.close()


def _file(image, kind='PNG', **options) -> bytes:
  buffer = io.BytesIO()
  Image.fromarray(image).save(buffer, format=kind, **options)
  return buffer.getvalue()


def _direct(version):
  """Returns a function that asks the model in this process."""
  served = session.ServedModel(version)

  def ask_directly(image):
    outputs = served('serving_default', image_bytes=[_file(image)])
    return answers.from_outputs(
        {key: value[0] for key, value in outputs.items()})

  return ask_directly


def _require_equal(answer, expected):
  assert answer.panoptic_map.dtype == np.int32
  np.testing.assert_array_equal(answer.panoptic_map, expected.panoptic_map)
  assert len(answer.segments) == len(expected.segments)
  for found, right in zip(answer.segments, expected.segments):
    assert found.score == pytest.approx(right.score, rel=1e-6)
    assert (found.id, found.label, found.area, found.box) == (
        right.id, right.label, right.area, right.box)


@_PROTOCOLS
def test_names_files_and_arrays_of_different_sizes(
    ask, versions, tmp_path, protocol):
  scene, panoptic = color_model.scene()
  large, large_map = color_model.scene(scale=2)
  path = tmp_path / 'scene.png'
  path.write_bytes(_file(scene))
  found = ask(model_json=versions['colors'], batch_size=2).batch(
      [str(path), large, _file(scene, 'BMP'), path, Image.fromarray(large)])
  for answer, expected in zip(
      found, (panoptic, large_map, panoptic, panoptic, large_map)):
    np.testing.assert_array_equal(answer.panoptic_map, expected)
  segments = found[0].segments
  assert [segment.name for segment in segments] == [
      'ground', 'sky', 'ball', 'ball']
  assert [segment.is_thing for segment in segments] == [
      False, False, True, True]
  assert segments[2].color == (220, 60, 40)
  assert segments[1].box == (0, 0, 6, 40)
  assert found[0].picture.shape == scene.shape
  assert np.asarray(Image.open(io.BytesIO(found[1].panoptic_png))).shape == (
      large.shape)
  assert ask().batch([]) == []


_ASK_BY_REST = """
import sys
import numpy as np
from axial_tf.client import client
with client.Client(sys.argv[1], 'colors', protocol='rest',
                   model_json=sys.argv[2]) as ask:
  answer = ask(np.zeros([8, 9, 3], np.uint8))
print(answer.panoptic_map.shape, len(answer.segments),
      'tensorflow' in sys.modules)
"""


def test_rest_needs_no_tensorflow(addresses, versions, project_root):
  done = subprocess.run(
      [sys.executable, '-c', _ASK_BY_REST, addresses['rest'],
       versions['colors']],
      capture_output=True, text=True, check=False, cwd=project_root)
  assert done.stdout == '(8, 9) 1 False\n', done.stderr


def test_the_earlier_name_is_the_same():
  from axial_tf.serving import client as earlier

  assert earlier.Client is client.Client
  usage = tools.succeeds('axial_tf.serving.client', '--help').stdout
  assert '--model_json' in usage and '--output_dir' in usage


@_PROTOCOLS
def test_without_the_model_json_segments_have_no_names(ask, protocol):
  scene, panoptic = color_model.scene()
  answer = ask()(scene)
  np.testing.assert_array_equal(answer.panoptic_map, panoptic)
  assert {segment.name for segment in answer.segments} == {None}
  assert {segment.label for segment in answer.segments} == {0, 1, 2}
  with pytest.raises(errors.UserError, match='model.json'):
    _ = answer.picture


@_PROTOCOLS
def test_classes_and_images_that_are_marked(ask, versions, protocol):
  pictures = [tiny_classes.png(label, label, side=20 + 7 * label)
              for label in range(3)]
  classify = ask('classes', model_json=versions['classes'])
  found = classify.batch([*pictures[:2], b'?', pictures[2]])
  assert found[2] is None
  served = session.ServedModel(versions['classes'])(
      'serving_default', image_bytes=pictures)
  for row, answer in enumerate([found[0], found[1], found[3]]):
    assert [entry.name for entry in answer] == [
        name.decode() for name in served['class_names'][row]]
    np.testing.assert_allclose(
        [entry.score for entry in answer], served['scores'][row], rtol=1e-6)
  with pytest.raises(client.BadImageError, match=r'images\[0\]'):
    classify(b'?')


@_PROTOCOLS
def test_eight_clients_lose_no_answer(ask, versions, protocol):
  """Mixed sizes and bad requests; the answers are those of the model."""
  scenes = [color_model.scene(24 + 5 * index, 40 + 8 * (index % 3),
                              1 + index % 2)[0] for index in range(6)]
  direct = _direct(versions['colors'])
  expected = [direct(scene) for scene in scenes]
  shared = ask()

  def run(number):
    own = shared if number % 2 else ask()
    count = 0
    for turn in range(6):
      chosen = [(number + turn + step) % len(scenes) for step in range(3)]
      images = [scenes[index] for index in chosen]
      if turn == 3:
        with pytest.raises(client.BadImageError, match=(
            r'^images\[1\]: is not a readable JPEG')):
          own.batch([images[0], b'no image', images[1]])
      for answer, index in zip(own.batch(images), chosen):
        _require_equal(answer, expected[index])
        count += 1
    return count

  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    assert sum(pool.map(run, range(8))) == 8 * 6 * 3


@_PROTOCOLS
def test_a_bad_file_is_named_in_any_part(ask, tmp_path, protocol):
  scene, panoptic = color_model.scene()
  broken = tmp_path / 'broken.jpg'
  broken.write_bytes(_file(scene, 'JPEG')[:300])
  asked = ask(batch_size=2)
  with pytest.raises(client.BadImageError, match='broken.jpg: is not a read'):
    asked.batch([scene, scene, scene, broken])
  with pytest.raises(client.BadImageError, match='nowhere.png: cannot be read'):
    asked(tmp_path / 'nowhere.png')
  np.testing.assert_array_equal(asked(scene).panoptic_map, panoptic)


@_PROTOCOLS
def test_a_busy_server_is_retried(ask, protocol):
  scene, panoptic = color_model.scene()
  asked = ask('busy_colors')
  for _ in range(3):
    np.testing.assert_array_equal(asked(scene).panoptic_map, panoptic)
  with pytest.raises(errors.UserError, match='overloaded .queue is full'):
    ask('busy_colors', retries=0)(scene)


@_PROTOCOLS
def test_a_slow_server_times_out(ask, protocol):
  with pytest.raises(errors.UserError, match='no answer within 0.5 seconds'):
    ask('slow_colors', timeout=0.5)(color_model.scene()[0])


@_PROTOCOLS
@pytest.mark.parametrize('model, version', [
    ('nothing', None), ('colors', 7), ('nothing', 1)])
def test_a_missing_model(ask, model, version, protocol):
  with pytest.raises(errors.UserError, match=(
      f'has no model {model}.*Servable not found')):
    ask(model, version=version)(color_model.scene()[0])
  assert ask('colors', version=1)(color_model.scene()[0]).segments


@_PROTOCOLS
def test_an_unreachable_server(protocol):
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    address = f'127.0.0.1:{free.getsockname()[1]}'
    with client.Client(address, 'colors', protocol=protocol, retries=1
                       ) as asked, pytest.raises(
        errors.UserError, match=f'{address}: cannot be reached.*8501'):
      asked(color_model.scene()[0])


@pytest.mark.parametrize('protocol, other', [
    ('grpc', 'rest'), ('rest', 'grpc')])
def test_the_port_of_the_other_protocol(addresses, protocol, other):
  with client.Client(
      addresses[other], 'colors', protocol=protocol, retries=0, timeout=9
  ) as asked, pytest.raises(
      errors.UserError, match='cannot be reached.* is this its port') as caught:
    asked(color_model.scene()[0])
  assert str(caught.value).isprintable()


@_PROTOCOLS
def test_files_of_more_than_four_megabytes(ask, protocol):
  noise = np.random.default_rng(0).integers(0, 256, [1300, 1300, 3], np.uint8)
  sent = _file(noise)
  assert len(sent) > 5e6
  assert ask()(sent).panoptic_map.shape == (1300, 1300)


class _Large(prediction_service_pb2_grpc.PredictionServiceServicer):
  """Answers with more than the 4 MB that gRPC accepts by default."""

  def GetModelMetadata(self, request, context):
    signatures = get_model_metadata_pb2.SignatureDefMap()
    signatures.signature_def['serving_default'].outputs['large'].name = 'x:0'
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.metadata['signature_def'].Pack(signatures)
    return response

  def Predict(self, request, context):
    response = predict_pb2.PredictResponse()
    response.outputs['large'].CopyFrom(
        tf.make_tensor_proto(np.zeros([1, 6_000_000], np.uint8)))
    return response


def test_answers_of_more_than_four_megabytes():
  server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
  prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
      _Large(), server)
  port = server.add_insecure_port('127.0.0.1:0')
  server.start()
  address = f'127.0.0.1:{port}'
  transport = grpc_transport.GrpcTransport(
      address, 'large', None, 'serving_default')
  row, = transport.predict([b'x'], 30)
  assert row['large'].shape == (6_000_000,)
  with client.Client(address, 'large') as asked, pytest.raises(
      errors.UserError, match='lacks .classes.: expected a model that axial'):
    asked(b'x')
  transport.close()
  server.stop(None)


@pytest.mark.parametrize('options, part', [
    (dict(protocol='soap'), 'protocol: expected grpc or rest'),
    (dict(batch_size=0), 'batch_size: expected a number >= 1, got 0'),
    (dict(retries=-1), 'retries: expected a number >= 0, got -1'),
    (dict(timeout=0), 'timeout: expected seconds above 0, got 0'),
    (dict(model_json='nowhere'), 'nowhere.*model.json: no such file'),
])
def test_wrong_arguments(options, part):
  with pytest.raises(errors.UserError, match=part):
    client.Client('localhost:1', 'colors', **options)


@_PROTOCOLS
def test_the_command(addresses, versions, tmp_path, protocol):
  scene, panoptic = color_model.scene()
  for name in ('a.png', 'b.png'):
    (tmp_path / name).write_bytes(_file(scene))
  (tmp_path / 'bad.png').write_bytes(b'?')
  done = tools.run(
      'axial_tf.client', '--model=colors', f'--server={addresses[protocol]}',
      f'--protocol={protocol}',
      f'--model_json={versions["colors"]}/model.json',
      f'--output_dir={tmp_path / "out"}',
      *(tmp_path / name for name in ('a.png', 'bad.png', 'b.png')))
  assert done.returncode == 1
  assert 'error: 1 of 3 images failed' in done.stderr
  assert 'bad.png: is not a readable' in done.stderr
  assert 'Traceback' not in done.stderr
  assert done.stdout.count('sky, 240 pixels in (0, 0, 6, 40)') == 2
  rgb = np.asarray(Image.open(tmp_path / 'out' / 'b_panoptic.png'))
  np.testing.assert_array_equal(rgb[..., 0], panoptic)
  assert sorted(os.listdir(tmp_path / 'out')) == [
      'a_overlay.png', 'a_panoptic.png', 'b_overlay.png', 'b_panoptic.png']
