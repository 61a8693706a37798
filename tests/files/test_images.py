"""Image files are decoded as a viewer displays them."""

import struct
import zlib

import numpy as np
from PIL import Image, PngImagePlugin
import pytest

from axial_tf import errors
from axial_tf.files import images

_RGB = np.random.default_rng(0).integers(0, 256, [6, 9, 3], np.uint8)


def test_arrays_files_and_pillow_images_are_the_same(tmp_path):
  path = tmp_path / 'a.png'
  Image.fromarray(_RGB).save(path)
  for image in (_RGB, Image.fromarray(_RGB), path, str(path)):
    np.testing.assert_array_equal(images.as_rgb(image), _RGB)


@pytest.mark.parametrize('grey', [_RGB[..., 0], _RGB[..., :1]])
def test_grey_has_three_equal_channels(grey):
  np.testing.assert_array_equal(
      images.as_rgb(grey), np.repeat(_RGB[..., :1], 3, -1))


def test_photographs_are_rotated_upright(tmp_path):
  exif = Image.Exif()
  exif[0x0112] = 6  # The camera was turned: rotate by 90 degrees clockwise.
  path = tmp_path / 'photo.png'
  Image.fromarray(_RGB).save(path, exif=exif)
  np.testing.assert_array_equal(images.as_rgb(path), np.rot90(_RGB, -1))


def test_transparent_parts_show_white(tmp_path):
  alpha = np.zeros([6, 9, 1], np.uint8)
  alpha[:3] = 255
  rgba = np.concatenate([_RGB, alpha], -1)
  path = tmp_path / 'a.png'
  Image.fromarray(rgba).save(path)
  for image in (rgba, path):
    result = images.as_rgb(image)
    np.testing.assert_array_equal(result[:3], _RGB[:3])
    assert np.all(result[3:] == 255)


@pytest.mark.parametrize('kind', ['PNG', 'TIFF', 'PPM'])
def test_the_upper_8_of_16_bits_count(tmp_path, kind):
  path = tmp_path / 'a'
  Image.fromarray(np.uint16([[0, 255, 256, 32768, 65535]])).save(path, kind)
  np.testing.assert_array_equal(
      images.as_rgb(path)[..., 0], [[0, 0, 1, 128, 255]])


@pytest.mark.parametrize('mode', ['1', 'L', 'P', 'LA', 'YCbCr'])
def test_other_modes_look_like_their_rgb_version(mode):
  image = Image.fromarray(_RGB).convert(mode)
  np.testing.assert_array_equal(images.as_rgb(image), image.convert('RGB'))


def test_cmyk_ink_darkens():
  ink = Image.frombytes('CMYK', (2, 1), bytes([0, 255, 100, 0, 0, 9, 100, 77]))
  np.testing.assert_array_equal(
      images.as_rgb(ink), [[[255, 0, 155], [178, 171, 108]]])


def test_damaged_exif_data_is_ignored(tmp_path):
  for kind in ('JPEG', 'PNG', 'WEBP'):
    path = tmp_path / kind
    Image.fromarray(_RGB).save(path, kind, exif=b'Exif\0\0MM\0*\0\0\0\x08\0')
    assert images.as_rgb(path).shape == _RGB.shape


def test_avif_and_formats_without_a_plugin(tmp_path):
  path = tmp_path / 'a.heic'
  path.write_bytes(b'\0\0\0\x18ftypheic' + bytes(99))
  if 'HEIF' not in images.formats():
    with pytest.raises(
        errors.UserError, match='a.heic: is a HEIC .* install pillow-heif'):
      images.as_rgb(path)
  if 'AVIF' in images.formats():
    Image.fromarray(np.full([8, 8, 3], 90, np.uint8)).save(path, 'AVIF')
    np.testing.assert_allclose(images.as_rgb(path), 90, atol=3)


@pytest.mark.parametrize('content', [b'', b'hello', b'\x89PNG\r\n\x1a\n'])
def test_files_that_are_not_images_are_named(tmp_path, content):
  path = tmp_path / 'a.jpg'
  path.write_bytes(content)
  with pytest.raises(errors.UserError, match='a.jpg'):
    images.as_rgb(path)


@pytest.mark.parametrize('kind', ['PNG', 'JPEG', 'TIFF', 'GIF', 'BMP'])
def test_truncated_files_are_named(tmp_path, kind):
  path = tmp_path / 'cut'
  large = np.random.default_rng(0).integers(0, 256, [64, 64, 3], np.uint8)
  Image.fromarray(large).save(path, format=kind)
  content = path.read_bytes()
  path.write_bytes(content[:len(content) // 2])
  with pytest.raises(errors.UserError, match='cut'):
    images.as_rgb(path)


@pytest.mark.parametrize('image', [
    np.zeros([4, 4, 3], np.float32), np.zeros([4, 4, 2], np.uint8),
    np.zeros([4], np.uint8), np.zeros([0, 4, 3], np.uint8), 3, None,
    Image.new('F', (3, 3)), Image.new('I', (3, 3)), '/no/such/file.jpg', '/'])
def test_inputs_that_cannot_be_images_are_refused(image):
  with pytest.raises(errors.UserError):
    images.as_rgb(image)


def test_formats_that_run_other_programs_are_not_opened(tmp_path):
  path = tmp_path / 'a.jpg'
  Image.new('RGB', (5, 4)).save(path, 'EPS')
  with pytest.raises(errors.UserError, match='not an image; expected one of'):
    images.as_rgb(path)


def test_images_of_too_many_pixels_are_read_on_request(tmp_path, monkeypatch):
  path = tmp_path / 'a.png'
  image = np.arange(2100, dtype=np.uint8) * np.ones([4000, 1], np.uint8)
  Image.fromarray(image).save(path)
  monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 3_000_000)
  with pytest.raises(errors.UserError, match='more pixels .* --tile'):
    images.as_rgb(path)
  found = images.as_rgb(path, any_size=True)
  np.testing.assert_array_equal(found[..., 1], image)
  assert Image.MAX_IMAGE_PIXELS == 3_000_000


def test_no_image_has_more_than_2_31_pixels(tmp_path):
  def chunk(kind, content):
    return (struct.pack('>I', len(content)) + kind + content
            + struct.pack('>I', zlib.crc32(kind + content)))

  header = struct.pack('>2I5B', 50_000, 50_000, 8, 2, 0, 0, 0)
  (tmp_path / 'a.png').write_bytes(
      b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header)
      + chunk(b'IDAT', zlib.compress(b'')) + chunk(b'IEND', b''))
  with pytest.raises(errors.UserError, match='at most 2147483647 .* 50000x500'):
    images.as_rgb(tmp_path / 'a.png', any_size=True)


def test_memory_that_does_not_suffice_is_one_line(tmp_path, monkeypatch):
  Image.fromarray(_RGB).save(tmp_path / 'a.png')

  def load(image):
    raise MemoryError

  monkeypatch.setattr(PngImagePlugin.PngImageFile, 'load', load)
  with pytest.raises(errors.UserError, match='9x6 pixels do not fit into mem'):
    images.as_rgb(tmp_path / 'a.png')


def test_large_images_are_the_same(tmp_path):
  """Their pixels are converted in strips."""
  rows = np.random.default_rng(0).integers(0, 256, [300, 1, 3], np.uint8)
  image = np.broadcast_to(rows, [300, 20_000, 3])
  Image.fromarray(image).save(tmp_path / 'a.bmp')
  np.testing.assert_array_equal(images.as_rgb(tmp_path / 'a.bmp'), image)
