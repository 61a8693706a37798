"""Masks equal pycocotools' own, and overlaps follow the stated rule."""

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from pycocotools import coco
from pycocotools import mask as mask_lib
import pytest

from axial_tf import errors
from data_prep.readers import instance_masks
from tests.data_prep import tiny_exports

_SIZE = (8, 6)
_COORDINATES = st.lists(
    st.integers(-40, 80).map(lambda n: n / 4), min_size=6, max_size=14
).filter(lambda polygon: len(polygon) % 2 == 0)


def _annotation(segmentation, **fields):
  return {'id': 7, 'segmentation': segmentation, 'iscrowd': 0, **fields}


def _draw(*annotations, overlap='area'):
  return instance_masks.draw(annotations, _SIZE, overlap, 'x.json: image')


def _official(segmentation):
  """What pycocotools draws for an annotation of a data set."""
  data = coco.COCO()
  data.dataset = {'images': [{'id': 1, 'height': 8, 'width': 6}]}
  data.imgs = {1: data.dataset['images'][0]}
  return data.annToMask({'image_id': 1, 'segmentation': segmentation})


@settings(max_examples=60, deadline=None)
@given(st.lists(_COORDINATES, min_size=1, max_size=2))
def test_any_polygon_has_the_mask_of_coco(polygons):
  """Also those that cross themselves or leave the image in part."""
  expected = _official(polygons)
  try:
    found = _draw(_annotation(polygons)).id_map
  except errors.UserError as error:
    assert 'all its polygons are outside' in str(error)
    found = np.zeros_like(expected)
  np.testing.assert_array_equal(found, expected)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=48, max_size=48), st.booleans())
def test_run_lengths_give_their_mask(pixels, is_compressed):
  mask = np.asfortranarray(np.reshape(pixels, _SIZE).astype(np.uint8))
  if is_compressed:
    counts = mask_lib.encode(mask)['counts'].decode()
  else:
    flat = mask.ravel('F')
    ends = [*(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
    counts = np.diff([0] * (1 + int(flat[0])) + ends).tolist()
  found = _draw(_annotation({'size': list(_SIZE), 'counts': counts}))
  np.testing.assert_array_equal(found.id_map, mask)
  assert found.hidden == (set() if mask.any() else {0})


def test_long_run_lengths_in_text_form():
  """Numbers of several characters, with differences below zero."""
  mask = np.zeros([300, 200], np.uint8, order='F')
  mask[5:290, 3:150] = 1
  mask[100:120] = 0
  counts = mask_lib.encode(mask)['counts'].decode()
  drawing = instance_masks.draw(
      [_annotation({'size': [300, 200], 'counts': counts})], (300, 200),
      'area', 'x')
  np.testing.assert_array_equal(drawing.id_map, mask)


_RECTANGLES = st.tuples(
    st.integers(0, 4), st.integers(0, 6), st.integers(1, 6), st.integers(1, 8))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(_RECTANGLES, st.booleans(), st.integers(0, 2)),
                min_size=1, max_size=6),
       st.sampled_from(['area', 'order', 'z_order']))
def test_the_instance_on_top_is_that_of_the_rule(shapes, overlap):
  annotations = [
      _annotation([tiny_exports.rectangle(*shape)], iscrowd=int(crowd), above=z)
      for shape, crowd, z in shapes]
  expected = np.zeros(_SIZE, np.int32)
  masks = [_official(a['segmentation']) for a in annotations]
  keys = {'area': lambda i: -int(masks[i].sum()), 'order': lambda i: 0,
          'z_order': lambda i: annotations[i]['above']}
  for y, x in np.ndindex(*_SIZE):
    here = [i for i, mask in enumerate(masks) if mask[y, x]]
    if here:
      expected[y, x] = 1 + max(here, key=lambda i: (
          not annotations[i]['iscrowd'], keys[overlap](i), i))
  drawing = _draw(*annotations, overlap=overlap)
  np.testing.assert_array_equal(drawing.id_map, expected)
  assert drawing.hidden == set(range(len(masks))) - set(
      (np.unique(expected) - 1).tolist())


def test_a_crowd_is_below_a_larger_instance_also_by_order():
  crowd = _annotation([tiny_exports.rectangle(0, 0, 2, 2)], iscrowd=1)
  large = _annotation([tiny_exports.rectangle(0, 0, 5, 5)])
  for overlap in ('area', 'order'):
    assert _draw(large, crowd, overlap=overlap).hidden == {1}


def test_no_annotation():
  drawing = _draw()
  assert not drawing.id_map.any() and not drawing.hidden


@pytest.mark.parametrize('segmentation, message', [
    (None, 'expected polygons or run lengths.*got None; a box alone'),
    ([], r'got \[\]; a box alone is not enough'),
    ([[1, 1, 4, 4]], 'at least 3 points, got 2'),
    ([[]], 'at least 3 points, got 0'),
    ([[1, 1, 4, 4, 1]], 'expected polygons as lists'),
    ([1, 1, 4, 4, 1, 4], 'expected polygons as lists'),
    ([[1, 1, 4, 4, 1, 'x']], "expected coordinates.*got 'x'"),
    ([[1, 1, 4, 4, 1, float('nan')]], 'expected coordinates.*got nan'),
    ([[1, 1, 4, 1e9, 1, 1]], 'expected coordinates.*got 1000000000.0'),
    ([[1, 1, 4, True, 1, 1]], 'expected coordinates.*got True'),
    ([[7, 0, 9, 0, 9, 9]], 'outside the image of 6x8 pixels'),
    ([[-7, 0, 0, 0, 0, 9], [0, 8, 6, 8, 6, 9]], 'outside the image'),
    ({'counts': [48]}, r'of the size \[8, 6\].*got None'),
    ({'size': [6, 8], 'counts': [48]}, r'got \[6, 8\]; check that mask'),
    ({'size': 'x', 'counts': [48]}, "got 'x'"),
    ({'size': [8, 6]}, 'run lengths of 48 pixels in all, got None'),
    ({'size': [8, 6], 'counts': []}, 'of 48 pixels in all, got 0'),
    ({'size': [8, 6], 'counts': ''}, 'of 48 pixels in all, got 0'),
    ({'size': [8, 6], 'counts': [40, 9]}, 'of 48 pixels in all, got 49'),
    ({'size': [8, 6], 'counts': [60, -12]}, 'of 48 pixels in all'),
    ({'size': [8, 6], 'counts': [40.5, 7.5]}, 'of 48 pixels in all'),
    ({'size': [8, 6], 'counts': ['40', 8]}, 'of 48 pixels in all'),
    ({'size': [8, 6], 'counts': 'ü'}, 'in the text form of COCO'),
    ({'size': [8, 6], 'counts': 'o' * 40}, 'in the text form of COCO'),
    ({'size': [8, 6], 'counts': 'oooo'}, 'of 48 pixels in all, got 0'),
])
def test_a_mistake_is_named(segmentation, message):
  with pytest.raises(errors.UserError, match=message) as raised:
    _draw(_annotation(segmentation))
  assert str(raised.value).startswith('x.json: image: annotation 7: ')


@pytest.mark.parametrize('annotation, message', [
    ({}, 'got nothing'),
    ({'attributes': None}, 'got nothing'),
    ({'z_order': 'x'}, "got 'x'"),
    ({'z_order': True}, 'got True'),
    ({'z_order': float('inf')}, 'got inf'),
])
def test_a_number_that_is_missing(annotation, message):
  with pytest.raises(errors.UserError, match=message):
    instance_masks.number_above(annotation, 'z_order', 'x')


@pytest.mark.parametrize('annotation', [
    {'z_order': 3}, {'attributes': {'z_order': '3'}},
    {'z_order': 3, 'attributes': {'z_order': 5}}])
def test_numbers_of_annotations_and_attributes(annotation):
  assert instance_masks.number_above(annotation, 'z_order', 'x') == 3
  assert instance_masks.number_above(annotation, 'order', 'x') is None
