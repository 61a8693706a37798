"""The page over HTTP, as programs use it; `make test-app` installs Gradio."""

import concurrent.futures
import json
import pathlib
import socket
import urllib.error
import urllib.request

import numpy as np
from PIL import Image
import pytest

from axial_tf.app import server
from axial_tf.files import images
from axial_tf.prediction import predictor
from tests import color_model, tools
from tests.app import bad_pictures, served

gradio_client = pytest.importorskip(
    'gradio_client', reason='the page needs the extra app')

_DEFAULTS = {'scales': [1.0], 'flip': False, 'threshold': 0.1, 'window': 3,
             'limit': 1, 'shows': 'segments'}


@pytest.fixture(scope='module')
def page(export_dir, tmp_path_factory):
  with served.page(tmp_path_factory.mktemp('page'), export_dir,
                   '--max_pixels=100000') as running:
    yield running


@pytest.fixture(scope='module')
def client(page):
  return gradio_client.Client(page.address, verbose=False)


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
  folder = tmp_path_factory.mktemp('pictures')
  (folder / 'scene.png').write_bytes(
      images.png_bytes(color_model.scene()[0]))
  for name, (content, _) in bad_pictures.BAD.items():
    (folder / name).write_bytes(content)
  return folder


def _segment(client, path, **changed):
  chosen = {**_DEFAULTS, **changed}
  return client.predict(
      gradio_client.handle_file(str(path)), *chosen.values(),
      api_name='/segment')


def _get(page, path, **headers):
  request = urllib.request.Request(page.address + path, headers=headers)
  with urllib.request.urlopen(request, timeout=20) as answer:
    return answer.headers, answer.read()


def _post(page, name, file):
  """Calls the page as a program that forges the upload; returns its answer."""
  call = f'/gradio_api/call/{name}'
  request = urllib.request.Request(
      page.address + call, json.dumps(
          {'data': [file, *_DEFAULTS.values()]}).encode(),
      {'Content-Type': 'application/json'})
  with urllib.request.urlopen(request, timeout=20) as answer:
    event = json.loads(answer.read())['event_id']
  return _get(page, f'{call}/{event}')[1].decode()


def _status(page, path, **headers):
  try:
    _get(page, path, **headers)
    return 200
  except urllib.error.HTTPError as error:
    return error.code


def test_a_picture_becomes_segments_and_files(
    page, client, pictures, export_dir):
  message, picture, legend, links, table = _segment(
      client, pictures / 'scene.png')
  expected = predictor.Predictor(export_dir)(color_model.scene()[0])
  assert 'scene.png: 40 x 24 pixels, 4 segments' in message
  assert Image.open(picture['path'] if isinstance(picture, dict) else picture
                    ).size == (720, 432)
  assert 'ground' in legend
  assert [row[-1] for row in table['data']] == [
      segment.id for segment in expected.segments]
  paths = [part.split('"')[0] for part in links.split('href="')[1:]]
  assert len(paths) == 3
  headers, content = _get(page, f'/{paths[0]}')
  assert content == expected.panoptic_png
  assert 'scene_panoptic.png' in headers['content-disposition']
  segments = json.loads(_get(page, f'/{paths[1]}')[1])['segments']
  assert [entry['area'] for entry in segments] == [
      segment.area for segment in expected.segments]


def test_settings_act_on_the_picture_of_this_visitor(
    page, client, pictures):
  _segment(client, pictures / 'scene.png')
  merged = client.predict(
      *{**_DEFAULTS, 'limit': 300}.values(), api_name='/merge')
  assert 'network not run again' in merged[0] and len(merged[4]['data']) == 3
  other = gradio_client.Client(page.address, verbose=False)
  assert other.predict(*_DEFAULTS.values(), api_name='/merge')[0] == ''


@pytest.mark.parametrize('name', bad_pictures.BAD)
def test_what_is_wrong_is_said_and_the_page_stays(client, pictures, name):
  words = bad_pictures.BAD[name][1]
  message, picture, _, links, table = _segment(client, pictures / name)
  assert f'{name}: {words}' in message
  assert (picture, links, table['data']) == (None, '', [])
  assert '4 segments' in _segment(client, pictures / 'scene.png')[0]


def test_twenty_at_once_are_answered_in_turn(client, pictures):
  names = ['scene.png', 'notes.png', 'huge.png', 'scene.png']
  with concurrent.futures.ThreadPoolExecutor(20) as pool:
    answers = list(pool.map(
        lambda number: _segment(client, pictures / names[number % 4])[0],
        range(20)))
  for number, answer in enumerate(answers):
    expected = bad_pictures.BAD.get(names[number % 4], (b'', '4 segments'))[1]
    assert expected in answer


def test_no_other_file_can_be_read(page, client, pictures, export_dir):
  secret = page.folder / 'secret.png'
  secret.write_bytes((pictures / 'scene.png').read_bytes())
  try:
    for path in (secret, '/etc/passwd', f'{export_dir}/1/model.json',
                 pathlib.Path(server.__file__), 'secret.png'):
      for prefix in ('/gradio_api/file=', '/file=', '/gradio_api/file/',
                     '/static/../../', '/files/../../../..'):
        assert _status(page, f'{prefix}{path}') in (403, 404, 405), path
    for path in (str(secret), '/etc/passwd', 'http://127.0.0.1:9/x.png'):
      for more in ({}, {'url': str(path)}, {'url': 'http://127.0.0.1:9/x'}):
        answer = _post(page, 'segment', {
            'path': path, **more, 'meta': {'_type': 'gradio.FileData'}})
        assert 'event: error' in answer and 'event: complete' not in answer
  finally:
    secret.unlink()
  for path in ('/files/guess/table', '/files/x/y', '/docs', '/redoc',
               '/monitoring'):
    assert _status(page, path) in (403, 404), path


def test_browsers_are_told_to_ask_no_other_machine(page):
  headers, content = _get(page, '/')
  assert "default-src 'self'" in headers['content-security-policy']
  assert b'fonts.googleapis' not in content and b'cdnjs' not in content
  assert _status(page, '/', Host='evil.example') == 400


def test_other_machines_are_not_served(page):
  port = int(page.address.rpartition(':')[2])
  own = {entry[4][0] for entry in socket.getaddrinfo(
      socket.gethostname(), None, socket.AF_INET)} - {'127.0.0.1'}
  for address in own:
    with pytest.raises(OSError):
      socket.create_connection((address, port), timeout=5)


def test_a_taken_port_is_one_line(page, export_dir):
  port = page.address.rpartition(':')[2]
  line = tools.refused(
      'axial_tf.app', f'--model={export_dir}', f'--port={port}')
  assert f'127.0.0.1:{port}' in line and 'give another --port' in line


def test_nothing_is_left_behind(export_dir, pictures, tmp_path):
  with served.page(tmp_path, export_dir) as running:
    client = gradio_client.Client(running.address, verbose=False)
    assert '4 segments' in _segment(client, pictures / 'scene.png')[0]
    written, = running.folder.iterdir()
    assert written.name.startswith('axial_tf_app_')
    assert list(written.rglob('scene.png'))
    assert running.stop() == 143
    assert not list(running.folder.rglob('*'))
    assert 'Traceback' not in running.log.read_text()


def test_a_small_image_of_one_pixel(client, tmp_path):
  (tmp_path / 'dot.png').write_bytes(
      images.png_bytes(np.zeros([1, 1, 3], np.uint8)))
  assert '1 x 1 pixels' in _segment(client, tmp_path / 'dot.png')[0]
