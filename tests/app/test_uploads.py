"""What is not a picture is named, and nothing else is read."""

import os

import numpy as np
import pytest

from axial_tf import errors
from axial_tf.app import uploads
from axial_tf.files import images
from tests import color_model
from tests.app import bad_pictures


@pytest.fixture(scope='module')
def source(tmp_path_factory):
  folder = tmp_path_factory.mktemp('uploads')
  for name, (content, _) in bad_pictures.BAD.items():
    (folder / name).write_bytes(content)
  image, _ = color_model.scene()
  (folder / 'scene.png').write_bytes(images.png_bytes(image))
  return folder, uploads.Uploads(str(folder), 5000)


def test_a_picture_is_read(source):
  folder, reader = source
  upload = reader.read(str(folder / 'scene.png'))
  assert upload.name == 'scene.png'
  np.testing.assert_array_equal(upload.pixels, color_model.scene()[0])


@pytest.mark.parametrize('name', bad_pictures.BAD)
def test_what_is_wrong_is_named(source, name):
  folder, reader = source
  with pytest.raises(errors.UserError) as caught:
    reader.read(str(folder / name))
  assert str(caught.value).startswith(
      f'{name}: {bad_pictures.BAD[name][1]}')


def test_more_pixels_than_the_limit_are_not_decoded(source):
  folder, reader = source
  (folder / 'large.png').write_bytes(
      images.png_bytes(np.zeros([71, 71], np.uint8)))
  with pytest.raises(errors.UserError, match='claims 5041 pixels, more than'):
    reader.read(str(folder / 'large.png'))


def test_files_elsewhere_are_refused(source, tmp_path):
  folder, reader = source
  secret = tmp_path / 'secret.png'
  secret.write_bytes((folder / 'scene.png').read_bytes())
  os.symlink(secret, folder / 'link.png')
  for path in (secret, folder / 'link.png', folder / '..' / secret.name,
               f'{folder}2/scene.png', '/etc/passwd'):
    with pytest.raises(errors.UserError, match='that was sent to this page'):
      reader.read(str(path))
  with pytest.raises(errors.UserError, match='no longer on the server'):
    reader.read(str(folder / 'deleted.png'))
