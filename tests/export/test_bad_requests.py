"""Whatever it is sent, a server names what is wrong and continues."""

import concurrent.futures
import io
import os
import struct
import zlib

import numpy as np
from PIL import Image
import pytest

from axial_tf.export import saved_model, serving_settings
from tests import color_model, picture_files
from tests.export import session

_LIMIT = 20_000


def _file(image, kind='PNG', **options) -> bytes:
  buffer = io.BytesIO()
  Image.fromarray(image).save(buffer, format=kind, **options)
  return buffer.getvalue()


def _png_bomb(side: int, hidden: bool = False) -> bytes:
  """A PNG of few bytes that claims side x side pixels.

  Where they are `hidden`, a chunk of unknown type precedes its header.
  """

  def chunk(kind, data):
    return (struct.pack('>I', len(data)) + kind + data
            + struct.pack('>I', zlib.crc32(kind + data)))

  header = struct.pack('>IIBBBBB', side, side, 8, 0, 0, 0, 0)
  first = chunk(b'abCd', struct.pack('>IIBBBBB', 9, 9, 8, 0, 0, 0, 0))
  return (b'\x89PNG\r\n\x1a\n' + first * hidden + chunk(b'IHDR', header)
          + chunk(b'IDAT', zlib.compress(bytes(10_000))) + chunk(b'IEND', b''))


_SCENE, _SCENE_MAP = color_model.scene()
_BAD = {
    'empty': b'',
    'text': b'not an image',
    'truncated PNG': _file(_SCENE)[:90],
    'truncated JPEG': _file(_SCENE, 'JPEG')[:200],
    'PNG head': b'\x89PNG\r\n\x1a\n',
    'JPEG head': b'\xff\xd8\xff',
    'PNG of no pixels': _png_bomb(0),
    'PNG of hidden size': _png_bomb(100, hidden=True),
}
_TOO_LARGE = {
    'PNG bomb': _png_bomb(50_000),
    'JPEG': _file(np.zeros([200, 101, 3], np.uint8), 'JPEG'),
    'turned JPEG': picture_files.turned('JPEG', 6, scale=9),
}


def _served(tmp_path_factory, on_error):
  folder = str(tmp_path_factory.mktemp(on_error))
  saved_model.export_saved_model(
      color_model.inference(), folder,
      settings=serving_settings.ServingSettings(_LIMIT, on_error))
  return session.ServedModel(os.path.join(folder, '1'))


@pytest.fixture(scope='module')
def failing(tmp_path_factory):
  return _served(tmp_path_factory, 'fail')


@pytest.fixture(scope='module')
def marking(tmp_path_factory):
  return _served(tmp_path_factory, 'mark')


def _require_scene(outputs, row):
  height, width = _SCENE_MAP.shape
  np.testing.assert_array_equal(
      outputs['panoptic_map'][row, :height, :width], _SCENE_MAP)
  assert outputs['num_segments'][row] == 4


@pytest.mark.slow
@pytest.mark.parametrize('name', sorted(_BAD))
def test_files_that_are_not_images_are_named(failing, name):
  good = _file(_SCENE)
  with session.invalid_argument('image_bytes[1] is not a readable JPEG'):
    failing('serving_default', image_bytes=[good, _BAD[name], good])
  _require_scene(failing('serving_default', image_bytes=[good]), 0)


@pytest.mark.parametrize('name', sorted(_TOO_LARGE))
def test_images_that_are_too_large_are_not_decoded(failing, name):
  with session.invalid_argument('image_bytes[0] claims'):
    failing('serving_default', image_bytes=[_TOO_LARGE[name]])
  assert failing('serving_default', image_bytes=[
      _file(np.zeros([100, 200, 3], np.uint8), 'JPEG')])['width'] == [200]


_KINDS = {
    'GIF': _file(_SCENE, 'GIF'),
    'BMP': _file(_SCENE, 'BMP'),
    'TIFF': _file(_SCENE, 'TIFF'),
    'WebP': _file(_SCENE, 'WEBP'),
    'HEIC': b'\0\0\0\x18ftypheic' + bytes(99),
    'AVIF': b'\0\0\0\x18ftypavif' + bytes(99),
}


def test_other_file_types_are_named(failing):
  for name, content in _KINDS.items():
    with session.invalid_argument(
        f'image_bytes[0] is a {name} file; send JPEG or PNG'):
      failing('serving_default', image_bytes=[content])


def test_cmyk_without_a_marker_is_named(failing):
  with session.invalid_argument('image_bytes[0] is a CMYK JPEG without'):
    failing('serving_default', image_bytes=[picture_files.unmarked_cmyk()])


@pytest.mark.slow
def test_bad_files_can_be_marked(marking):
  good = _file(_SCENE)
  files = [good, *_BAD.values(), good, *_TOO_LARGE.values(),
           *_KINDS.values()]
  outputs = marking('serving_default', image_bytes=files)
  for index, content in enumerate(files):
    if content == good:
      _require_scene(outputs, index)
    else:
      assert outputs['num_segments'][index] == -1
      assert outputs['height'][index] == outputs['width'][index] == 0
      assert outputs['panoptic_png_bytes'][index] == b''
      assert not outputs['segment_areas'][index].any()
      assert (outputs['panoptic_map'][index]
              == color_model.SPEC.void_label).all()
  alone = marking('serving_default', image_bytes=[b''])
  assert alone['panoptic_map'].shape == (1, 0, 0)


def test_random_bytes_are_not_images(marking):
  rng = np.random.default_rng(0)
  heads = (b'', b'\xff\xd8\xff\xe0', b'\x89PNG\r\n\x1a\n', b'BM', b'GIF89a')
  files = [
      heads[index % len(heads)] + rng.bytes(int(rng.integers(0, 300)))
      for index in range(1000)]
  outputs = marking('serving_default', image_bytes=files)
  np.testing.assert_array_equal(outputs['num_segments'], -1)
  _require_scene(marking('serving_default', image_bytes=[_file(_SCENE)]), 0)


@pytest.mark.parametrize('signature', ['image_tensor', 'heads'])
@pytest.mark.parametrize('tensor, part', [
    (np.zeros([1, 9, 9, 3], np.float32), 'float'),
    (np.zeros([9, 9, 3], np.uint8), 'image_tensor: expected uint8 RGB'),
    (np.zeros([1, 1, 9, 9, 3], np.uint8), 'image_tensor: expected uint8 RGB'),
    (np.zeros([1, 9, 9, 4], np.uint8), 'image_tensor: expected uint8 RGB'),
    (np.zeros([1, 9, 9, 1], np.uint8), 'image_tensor: expected uint8 RGB'),
    (np.zeros([2, 0, 9, 3], np.uint8), 'image_tensor: expected uint8 RGB'),
    (np.array(3, np.uint8), 'image_tensor: expected uint8 RGB'),
])
def test_tensors_of_other_types_and_shapes(failing, signature, tensor, part):
  with session.invalid_argument(part):
    failing(signature, image_tensor=tensor)
  _require_scene(failing('image_tensor', image_tensor=_SCENE[np.newaxis]), 0)


def test_an_empty_batch_of_tensors(failing):
  images = np.zeros([0, 9, 12, 3], np.uint8)
  outputs = failing('image_tensor', image_tensor=images)
  assert outputs['panoptic_map'].shape == (0, 9, 12)
  assert outputs['num_segments'].shape == (0,)
  assert failing('heads', image_tensor=images)['offset'].shape == (0, 9, 12, 2)


def test_many_threads_at_once(failing):
  """Good and bad requests of different sizes; each gets its own answer."""

  scenes = [np.tile(_SCENE, (1, count, 1)) for count in (1, 2, 3)]
  answers = [
      failing('image_tensor', image_tensor=scene[np.newaxis])['panoptic_map']
      for scene in scenes]

  def run(index):
    if index % 5 == 0:
      with session.invalid_argument('image_bytes[0]'):
        failing('serving_default', image_bytes=[b'?' * index])
      return
    outputs = failing('serving_default', image_bytes=[
        _file(scenes[index % 3])])
    np.testing.assert_array_equal(
        outputs['panoptic_map'], answers[index % 3])

  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    list(pool.map(run, range(40)))
