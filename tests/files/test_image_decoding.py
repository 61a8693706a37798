"""In a graph, the pixels of a file are those of `images`, bit for bit."""

import itertools
import struct

import hypothesis
from hypothesis import strategies as st
import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.files import exif, image_decoding, images
from tests import picture_files

_FILES = picture_files.all_files()
_FILE = [tf.TensorSpec([], tf.string)]
_decode = tf.function(image_decoding.decode, input_signature=_FILE)
_as_stored = tf.function(
    lambda content: image_decoding.decode(content, upright=False),
    input_signature=_FILE)
_orientation = tf.function(image_decoding.orientation, input_signature=_FILE)


@pytest.mark.parametrize('name', sorted(_FILES))
def test_each_file_type_gives_the_same_pixels(name, tmp_path):
  content = _FILES[name]
  expected = images.from_bytes(content, name)
  np.testing.assert_array_equal(_decode(content), expected)
  path = tmp_path / 'image'
  path.write_bytes(content)
  np.testing.assert_array_equal(images.as_rgb(path), expected)
  with Image.open(path) as image:
    if 'transparent grey of' not in name:  # Pillow itself mistakes those.
      np.testing.assert_array_equal(images.as_rgb(image), expected)


@pytest.mark.parametrize('sampling', ['4:2:0', '4:2:2', '4:4:4'])
def test_jpegs_of_odd_sizes(sampling):
  pixels = picture_files.photograph()
  for height, width in itertools.product(
      (1, 2, 7, 8, 9, 17), (1, 3, 8, 16, 17)):
    content = picture_files.encode(
        Image.fromarray(pixels[:height, :width]), 'JPEG', subsampling=sampling)
    np.testing.assert_array_equal(
        _decode(content), images.from_bytes(content, 'x'), f'{height}x{width}')


def test_every_alpha_is_blended_with_white():
  value, alpha = np.meshgrid(np.arange(256), np.arange(256))
  pixels = np.uint8(np.stack([value, value, value, alpha], -1))
  content = picture_files.encode(Image.fromarray(pixels), 'PNG')
  np.testing.assert_array_equal(_decode(content), images.as_rgb(pixels))


def test_16_bits_are_reduced_alike_in_grey_and_rgb():
  grey = np.array([[0, 255, 256, 32768, 65535]])
  for content in (
      picture_files.raw_png(grey, 16, 0),
      picture_files.raw_png(grey[..., np.newaxis].repeat(3, -1), 16, 2)):
    np.testing.assert_array_equal(
        _decode(content)[..., 0], [[0, 0, 1, 128, 255]])


def test_a_transparent_color_of_16_bits_is_refused_outside_of_graphs():
  values = np.full([2, 3, 3], 300)
  content = picture_files.raw_png(
      values, 16, 2, picture_files.chunk(b'tRNS', struct.pack('>HHH', 1, 2, 3)))
  with pytest.raises(errors.UserError, match='transparent color of 16 bits'):
    images.from_bytes(content, 'deep.png')


@pytest.mark.parametrize('kind', ['JPEG', 'PNG'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_records_can_leave_images_as_stored(kind, orientation):
  content = _FILES[f'{kind} EXIF {orientation}']
  stored = _as_stored(content).numpy()
  assert stored.shape == (picture_files.HEIGHT, picture_files.WIDTH, 3)
  np.testing.assert_array_equal(
      exif.upright(stored, orientation), _decode(content))


def _segment(marker: int, data: bytes) -> bytes:
  return struct.pack('>BBH', 0xff, marker, len(data) + 2) + data


def test_exif_need_not_come_first():
  plain = picture_files.jpegs()['JPEG 4:2:0']
  turned = picture_files.turned('JPEG', 6)
  place = turned.index(b'Exif') - 4
  size = 2 + int.from_bytes(turned[place + 2:place + 4], 'big')
  found = turned[place:place + size]
  for between in (b'', _segment(0xe2, b'ICC' * 99), b'\xff' * 5,
                  _segment(0xe1, b'http://x\0') + _segment(0xfe, b'words')):
    for extra in (found, found + _segment(0xe1, b'Exif\0\0' + b'II*\0' * 5)):
      content = plain[:2] + between + extra + plain[2:]
      assert exif.orientation(content) == _orientation(content) == 6
      assert _decode(content).shape == (
          picture_files.WIDTH, picture_files.HEIGHT, 3)


_BLOCKS = st.builds(
    lambda order, start, pad, entries, cut: (
        {'<': b'II*\0', '>': b'MM\0*'}[order]
        + struct.pack(f'{order}I', start) + bytes(pad)
        + struct.pack(f'{order}H', len(entries)) + b''.join(
            struct.pack(f'{order}HHIHH', *entry, 0) for entry in entries)
        )[:cut],
    st.sampled_from('<>'), st.sampled_from([0, 8, 9, 12, 40, 2**31, 2**32 - 1]),
    st.integers(0, 4),
    st.lists(st.tuples(
        st.sampled_from([1, exif.TAG, exif.TAG, 0x1201]),
        st.sampled_from([1, 3, 3, 3, 4]), st.sampled_from([0, 1, 1, 1, 2**31]),
        st.integers(0, 9)), max_size=4),
    st.integers(0, 80))


@hypothesis.settings(max_examples=100)
@hypothesis.given(st.data())
def test_both_read_any_exif_data_alike(data):
  block = data.draw(st.one_of(_BLOCKS, st.binary(max_size=40)))
  parts = data.draw(st.lists(st.one_of(
      st.just(_segment(0xe1, b'Exif\0\0' + block)),
      st.builds(_segment, st.integers(0, 255), st.binary(max_size=9)),
      st.binary(max_size=6)), max_size=4))
  chunks = data.draw(st.lists(st.one_of(
      st.just(picture_files.chunk(b'eXIf', block)),
      st.builds(picture_files.chunk, st.sampled_from(
          [b'IDAT', b'tEXt', b'IEND']), st.binary(max_size=9)),
      st.binary(max_size=12)), max_size=4))
  for content in (b'\xff\xd8' + b''.join(parts), exif.PNG + b''.join(chunks)):
    cut = content[:data.draw(st.integers(0, len(content)))]
    for found in (content, cut, content + bytes(2**16)):
      assert _orientation(found) == exif.orientation(found), found


def test_a_file_of_too_many_parts_is_not_rotated():
  empty = _segment(0xe0, b'')
  found = _segment(0xe1, b'Exif\0\0' + b'II*\0\x08\0\0\0\x01\0' + struct.pack(
      '<HHIHH', exif.TAG, 3, 1, 6, 0))
  for count, expected in ((exif.MAX_PARTS - 1, 6), (exif.MAX_PARTS, 1)):
    content = b'\xff\xd8' + empty * count + found
    assert exif.orientation(content) == _orientation(content) == expected
