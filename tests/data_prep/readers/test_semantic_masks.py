"""Values and colors of PNGs give the classes of the spec, or are named."""

import numpy as np
from PIL import Image
import pytest

from axial_tf import errors
from axial_tf.specs import dataset_spec
from data_prep.readers import semantic_masks
from tests.data_prep import tiny_exports

_VOID = semantic_masks.VOID


def _spec(**ids):
  return dataset_spec.DatasetSpec(
      name='x', label_divisor=10, ignore_label=9, categories=tuple(
          dataset_spec.Category(id, train_id, name, True, (id % 200, 5, 6))
          for train_id, (name, id) in enumerate(ids.items())))


def _read(path, spec):
  return semantic_masks.read(str(path), spec, 10**6)


_IDS = np.array([[0, 1, 2], [255, 2, 2]], np.uint8)


@pytest.mark.parametrize('kind', ['L', 'I;16', 'P', 'P grey'])
def test_ids(tmp_path, kind):
  path = tmp_path / 'x.png'
  if kind == 'L':
    tiny_exports.save(path, _IDS)
  elif kind == 'I;16':
    tiny_exports.save(path, _IDS.astype(np.uint16))
  elif kind == 'P':
    tiny_exports.save(path, _IDS, [(n, 9, 9) for n in range(256)])
  else:
    Image.fromarray(_IDS).quantize(8).save(path)
  found = _read(path, _spec(cat=2, dog=1))
  assert found.train_ids.tolist() == [[_VOID, 1, 0], [_VOID, 0, 0]]
  assert found.train_ids.dtype == np.int32 and found.notice is None


def test_0_and_255_may_be_categories(tmp_path):
  tiny_exports.save(tmp_path / 'x.png', _IDS)
  found = _read(tmp_path / 'x.png', _spec(a=0, b=1, c=2, d=255))
  assert found.train_ids.tolist() == [[0, 1, 2], [3, 2, 2]]


def test_one_bit(tmp_path):
  Image.fromarray(np.array([[0, 255]], np.uint8)).convert('1').save(
      tmp_path / 'x.png')
  found = _read(tmp_path / 'x.png', _spec(a=1))
  assert found.train_ids.tolist() == [[_VOID, 0]]


def test_large_ids(tmp_path):
  tiny_exports.save(tmp_path / 'x.png', np.array([[0, 60000]], np.uint16))
  found = _read(tmp_path / 'x.png', _spec(a=60000, b=2**40))
  assert found.train_ids.tolist() == [[_VOID, 0]]


@pytest.mark.parametrize('mode', ['RGB', 'RGBA'])
def test_colors(tmp_path, mode):
  """Black and the border of PASCAL VOC are void unless they are categories."""
  rgb = np.array([[(0, 0, 0), (1, 5, 6), (224, 224, 192), (2, 5, 6)]], np.uint8)
  Image.fromarray(rgb).convert(mode).save(tmp_path / 'x.png')
  found = _read(tmp_path / 'x.png', _spec(cat=2, dog=1))
  assert found.train_ids.tolist() == [[_VOID, 1, _VOID, 0]]


@pytest.mark.parametrize('pixel, message', [
    (7, 'row 1, column 0 has the value 7, which is no id of a category of the '
        "spec 'x'"),
    ((3, 4, 5), r'row 1, column 0 has the color \(3, 4, 5\), which is no'),
])
def test_values_that_the_spec_lacks(tmp_path, pixel, message):
  pixels = np.zeros([2, 2] + ([] if isinstance(pixel, int) else [3]), np.uint8)
  pixels[1, 0] = pixel
  tiny_exports.save(tmp_path / 'x.png', pixels)
  with pytest.raises(errors.UserError, match=f'x.png: its pixel in {message}'):
    _read(tmp_path / 'x.png', _spec(cat=2))


def test_a_palette_that_may_mean_two_things(tmp_path):
  """Its values are ids, and the user is told of the colors."""
  path, spec = tmp_path / 'x.png', _spec(cat=2, dog=1)
  for palette, is_told in (
      ([(0, 0, 0), (2, 5, 6), (1, 5, 6)], True),  # The other way round.
      ([(0, 0, 0), (1, 5, 6), (2, 5, 6)], False),  # The same classes.
      ([(0, 0, 0), (1, 5, 6), (3, 5, 6)], False)):
    tiny_exports.save(path, np.array([[0, 1, 2]], np.uint8), palette)
    found = _read(path, spec)
    assert found.train_ids.tolist() == [[_VOID, 1, 0]]
    assert (found.notice is not None) == is_told
  assert 'x.png' not in (found.notice or '')


def test_colors_of_two_categories(tmp_path):
  tiny_exports.save(tmp_path / 'x.png', np.zeros([2, 2, 3], np.uint8))
  with pytest.raises(errors.UserError, match=(
      r"expected a color for each category.*\(1, 5, 6\) for 'a' and 'b'")):
    _read(tmp_path / 'x.png', _spec(a=1, b=201))


@pytest.mark.parametrize('mode, message', [
    ('LA', 'expected a PNG with one channel of ids .*got mode LA'),
    ('RGBA', 'expected opaque colors'),
])
def test_other_types(tmp_path, mode, message):
  Image.new(mode, (2, 2)).save(tmp_path / 'x.png')
  with pytest.raises(errors.UserError, match=message):
    _read(tmp_path / 'x.png', _spec(a=1))
