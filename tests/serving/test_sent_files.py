"""What is sent is decoded by a server to what a person sees."""

import io

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from axial_tf import errors, images
from axial_tf.serving import sent_files
from tests import color_model

_SCENE = color_model.scene()[0]


def _file(image, kind, **options) -> bytes:
  buffer = io.BytesIO()
  image.save(buffer, format=kind, **options)
  return buffer.getvalue()


def _rotated(kind):
  exif = Image.Exif()
  exif[0x0112] = 6  # To be turned by 90 degrees.
  return _file(Image.fromarray(_SCENE), kind, exif=exif)


def _served(content: bytes) -> np.ndarray:
  return tf.io.decode_image(content, 3, expand_animations=False).numpy()


_TRANSPARENT = Image.fromarray(
    np.dstack([_SCENE, np.full(_SCENE.shape[:2], 99, np.uint8)]))
_DIFFERENT = {
    'rotated JPEG': _rotated('JPEG'),
    'rotated PNG': _rotated('PNG'),
    'transparent': _file(_TRANSPARENT, 'PNG'),
    'palette': _file(Image.fromarray(_SCENE).convert('P'), 'PNG'),
    '16 bits': _file(Image.fromarray(
        np.arange(0, 60000, 1000, np.uint16).reshape(6, 10)), 'PNG'),
    'CMYK': _file(Image.fromarray(_SCENE).convert('CMYK'), 'JPEG'),
    'TIFF': _file(Image.fromarray(_SCENE), 'TIFF'),
    'WebP': _file(Image.fromarray(_SCENE), 'WEBP', lossless=True),
}


@pytest.mark.parametrize('name', sorted(_DIFFERENT))
def test_a_server_sees_what_a_person_sees(name):
  content = _DIFFERENT[name]
  np.testing.assert_array_equal(
      _served(sent_files.content(content)), images.from_bytes(content, name))


@pytest.mark.parametrize('kind, mode', [
    ('JPEG', 'RGB'), ('JPEG', 'L'), ('PNG', 'RGB'), ('PNG', 'L')])
def test_ordinary_files_are_sent_as_they_are(kind, mode, tmp_path):
  content = _file(Image.fromarray(_SCENE).convert(mode), kind)
  assert sent_files.content(content) is content
  path = tmp_path / 'image'
  path.write_bytes(content)
  assert sent_files.content(path) == sent_files.content(str(path)) == content


def test_bitmaps_are_sent_as_png():
  content = _file(Image.fromarray(_SCENE), 'BMP')  # A server knows some kinds.
  np.testing.assert_array_equal(_served(sent_files.content(content)), _SCENE)
  assert sent_files.content(content).startswith(b'\x89PNG')


@pytest.mark.parametrize('content', [
    b'', b'no image', b'\x89PNG\r\n\x1a\n', _DIFFERENT['TIFF'][:200],
    _DIFFERENT['WebP'][:40], _rotated('JPEG')[:400]])
def test_what_is_no_image_is_left_to_the_server(content):
  assert sent_files.content(content) == content


@pytest.mark.parametrize('image', [
    _SCENE, _SCENE[..., 0], Image.fromarray(_SCENE), _TRANSPARENT])
def test_pixels(image):
  np.testing.assert_array_equal(
      _served(sent_files.content(image)), images.as_rgb(image))


@pytest.mark.parametrize('image, part', [
    (np.zeros([3, 4, 3], np.float32), 'expected an image as uint8'),
    ('nowhere.png', 'nowhere.png: cannot be read .No such file'),
    ('.', '[.]: cannot be read .Is a directory'),
    (None, 'expected a file name'),
])
def test_what_cannot_be_sent(image, part):
  with pytest.raises(errors.UserError, match=part):
    sent_files.content(image)
