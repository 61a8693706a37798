"""Labels made in the graph equal those of the conversion."""

import json

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.data.panoptic import tfds_panoptic
from axial_tf.specs import dataset_spec
from data_prep.readers import panoptic_labels

_IDS = st.sampled_from([1, 2, 3, 255, 256, 70000, 2**24 - 1])


@st.composite
def _segments(draw):
  """Ids with their category (0..2, things are 1 and 2) and whether crowd."""
  ids = draw(st.lists(_IDS, unique=True))
  categories = [draw(st.integers(0, 2)) for _ in ids]
  crowds = [bool(c) and draw(st.booleans()) for c in categories]
  return ids, categories, crowds


def _label(segment_ids, ids, train_ids, crowds, spec):
  return tfds_panoptic.panoptic_label(
      tf.constant(segment_ids, tf.int32), tf.constant(ids, tf.int32),
      tf.constant(train_ids, tf.int32), tf.constant(crowds, tf.bool), spec,
      tf.constant('a.jpg')).numpy()


@given(_segments(), st.integers(0, 2**32 - 1))
@hypothesis_settings(max_examples=40)
def test_equals_the_conversion(tiny_spec, segments, seed):
  ids, categories, crowds = segments
  segment_ids = np.random.default_rng(seed).choice([0, *ids], [9, 11])
  segment_ids.ravel()[:len(ids)] = ids  # None may be missing.
  info = [{'id': i, 'category_id': c, 'iscrowd': int(crowd)}
          for i, c, crowd in zip(ids, categories, crowds)]
  expected = panoptic_labels.panoptic_label(
      segment_ids.astype(np.int32), info, tiny_spec, source='test')
  np.testing.assert_array_equal(
      _label(segment_ids, ids, categories, crowds, tiny_spec), expected)


def test_pixels_without_an_object(tiny_spec):
  for unknown in (5, 2, 2**24 - 1):
    with pytest.raises(
        tf.errors.InvalidArgumentError, match='its objects lack'):
      _label([[3, unknown]], [3], [1], [False], tiny_spec)


def test_too_many_instances(tiny_spec):
  ids = list(range(1, 11))
  with pytest.raises(
      tf.errors.InvalidArgumentError, match='label_divisor'):
    _label([ids], ids, [1] * 10, [False] * 10, tiny_spec)
  nine = _label([ids[:9]], ids[:9], [1] * 9, [False] * 9, tiny_spec)
  assert nine.tolist() == [list(range(11, 20))]


def test_labels_are_found_by_name(tiny_spec):
  assert tfds_panoptic.train_ids(
      ['dog', 'ground', 'cat'], tiny_spec, 'x') == [2, 0, 1]
  for unnamed in (None, ['0', '1', '2']):
    assert tfds_panoptic.train_ids(unnamed, tiny_spec, 'x') == [0, 1, 2]
  with pytest.raises(errors.UserError, match="x: its category 'cow'.*'tiny'"):
    tfds_panoptic.train_ids(['cow'], tiny_spec, 'x')


def test_real_images(shared_dir):
  """Three images of COCO with crowds; labels from its category ids."""
  spec = dataset_spec.DatasetSpec.load('coco')
  folder = shared_dir / 'data/coco_panoptic_sample/annotations'
  content = json.loads((folder / 'panoptic_val2017.json').read_text())
  for annotation in content['annotations']:
    rgb = np.asarray(Image.open(
        folder / 'panoptic_val2017' / annotation['file_name'])).astype(np.int32)
    segment_ids = rgb @ np.array([1, 256, 65536], np.int32)
    info = annotation['segments_info']
    np.testing.assert_array_equal(
        _label(segment_ids, [s['id'] for s in info],
               [spec.by_source_id[s['category_id']].train_id for s in info],
               [bool(s['iscrowd']) for s in info], spec),
        panoptic_labels.panoptic_label(segment_ids, info, spec, source='test'))
