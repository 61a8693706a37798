"""EXIF data gives an image's orientation; damaged data is ignored."""

import io
import struct

import numpy as np
from PIL import Image, ImageOps
import pytest

from axial_tf.files import exif

_RGB = np.random.default_rng(0).integers(0, 256, [6, 9, 3], np.uint8)


def _block(order, entries, start=8):
  data = {'<': b'II*\0', '>': b'MM\0*'}[order] + struct.pack(f'{order}I', start)
  data += bytes(start - 8) + struct.pack(f'{order}H', len(entries))
  return data + b''.join(
      struct.pack(f'{order}HHIHH', *entry, 0) for entry in entries)


@pytest.mark.parametrize('kind', ['JPEG', 'PNG'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_images_are_rotated_as_pillow_rotates_them(kind, orientation):
  data = Image.Exif()
  data[exif.TAG] = orientation
  buffer = io.BytesIO()
  Image.fromarray(_RGB).save(buffer, kind, exif=data)
  assert exif.orientation(buffer.getvalue()) == orientation
  image = Image.open(buffer)
  np.testing.assert_array_equal(
      exif.upright(np.asarray(image), orientation),
      np.asarray(ImageOps.exif_transpose(image)))


@pytest.mark.parametrize('order', '<>')
def test_both_byte_orders_and_other_entries(order):
  entries = [(0x010f, 2, 9, 3), (exif.TAG, 3, 1, 6), (exif.TAG, 3, 1, 2)]
  for start in (8, 20):
    block = _block(order, entries, start)
    assert exif.of_block(block) == exif.of_block(b'Exif\0\0' + block) == 6


@pytest.mark.parametrize('entry', [
    (exif.TAG, 4, 1, 6), (exif.TAG, 3, 2, 6), (exif.TAG, 3, 1, 0),
    (exif.TAG, 3, 1, 9), (0x0113, 3, 1, 6)])
def test_invalid_orientations_are_ignored(entry):
  assert exif.of_block(_block('<', [entry])) == 1


def test_truncation_anywhere_is_harmless():
  block = _block('>', [(0x010f, 2, 9, 3), (exif.TAG, 3, 1, 6)])
  found = [exif.of_block(block[:size]) for size in range(len(block) + 1)]
  assert set(found[:-1]) == {1} and found[-1] == 6
  assert exif.of_block(block[:4] + b'\xff' * 4 + block[8:]) == 1
