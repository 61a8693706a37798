"""Segment ids as colors, in every image mode that holds colors."""

import io

import numpy as np
from PIL import Image
import pytest

from axial_tf import errors
from axial_tf.panoptic import label_png

_IDS = np.array([[0, 1, 255], [256, 65536 * 200 + 256 * 3 + 5, 2**24 - 1]])


def _rgb(ids=_IDS):
  return Image.fromarray(
      np.stack([ids & 255, ids >> 8 & 255, ids >> 16], -1).astype(np.uint8))


def _reopened(image, **options):
  buffer = io.BytesIO()
  image.save(buffer, 'PNG', **options)
  return Image.open(buffer)


@pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'P'])
def test_ids_in_every_image_mode(mode):
  image = _rgb()
  image = image.quantize(6) if mode == 'P' else image.convert(mode)
  image = _reopened(image)
  assert image.mode == mode
  found = label_png.from_image(image, 'a.png')
  assert found.dtype == np.int32
  np.testing.assert_array_equal(found, _IDS)


@pytest.mark.parametrize('encode', [
    label_png.encode, lambda ids: label_png.encode_in_graph(ids).numpy()])
def test_all_decoders_agree(encode):
  png = encode(_IDS.astype(np.int32))
  np.testing.assert_array_equal(label_png.decode(png, 'a.png'), _IDS)
  np.testing.assert_array_equal(label_png.decode_in_graph(png), _IDS)
  with Image.open(io.BytesIO(png)) as image:
    assert image.mode == 'RGB'
    np.testing.assert_array_equal(label_png.from_rgb(np.array(image)), _IDS)


def _half_clear():
  image = _rgb().convert('RGBA')
  image.putpixel((2, 1), (255, 255, 255, 128))
  return image


@pytest.mark.parametrize('image, options, words', [
    (_half_clear(), {}, 'a.png: .*row 1, column 2 has the alpha value 128'),
    (_rgb().quantize(6), {'transparency': bytes([255] * 5 + [7])},
     'a.png: .*the alpha value 7'),
    (_rgb().convert('L'), {}, 'a.png: .*RGB PNG.*got mode L; write'),
    (_rgb().convert('LA'), {}, 'a.png: .*got mode LA'),
    (Image.fromarray(_IDS.astype(np.uint16)), {}, 'a.png: .*got mode I')])
def test_others_are_refused_by_name(image, options, words):
  with pytest.raises(errors.UserError, match=words) as raised:
    label_png.from_image(_reopened(image, **options), 'a.png')
  assert '\n' not in str(raised.value)
