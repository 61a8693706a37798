"""A server decodes sent files to the pixels that a viewer displays."""

import io

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.client import sent_files
from axial_tf.files import image_decoding, images
from tests import color_model, picture_files

_SCENE = color_model.scene()[0]


def _file(image, kind, **options) -> bytes:
  buffer = io.BytesIO()
  image.save(buffer, format=kind, **options)
  return buffer.getvalue()


def _served(content: bytes) -> np.ndarray:
  return image_decoding.decode(tf.constant(content)).numpy()


_TRANSPARENT = Image.fromarray(
    np.dstack([_SCENE, np.full(_SCENE.shape[:2], 99, np.uint8)]))
_OTHERS = {
    'TIFF': _file(Image.fromarray(_SCENE), 'TIFF'),
    'WebP': _file(Image.fromarray(_SCENE), 'WEBP', lossless=True),
    'GIF': _file(Image.fromarray(_SCENE), 'GIF'),
    'BMP': _file(Image.fromarray(_SCENE), 'BMP'),
    'CMYK without a mark': picture_files.unmarked_cmyk(),
}


@pytest.mark.parametrize('name', sorted(_OTHERS))
def test_other_files_are_sent_as_png(name):
  content = _OTHERS[name]
  sent = sent_files.content(content)
  assert sent.startswith(b'\x89PNG')
  np.testing.assert_array_equal(_served(sent), images.from_bytes(content, name))


def test_jpeg_and_png_are_sent_unchanged(tmp_path):
  path = tmp_path / 'image'
  for content in picture_files.all_files().values():
    assert sent_files.content(content) is content
    path.write_bytes(content)
    assert sent_files.content(path) == sent_files.content(str(path)) == content


@pytest.mark.parametrize('content', [
    b'', b'no image', b'\x89PNG\r\n\x1a\n', _OTHERS['TIFF'][:200],
    _OTHERS['WebP'][:40], picture_files.turned('JPEG', 6)[:400]])
def test_files_that_are_not_images_are_left_to_the_server(content):
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
