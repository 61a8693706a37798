"""The record schema: written records are read back, DeepLab2's too."""

import io

from hypothesis import given, settings
from hypothesis import strategies as st
import hypothesis.extra.numpy as hnp
import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from axial_tf.data.panoptic import records
from axial_tf.panoptic import label_png


def _encoded(pixels, image_format='PNG', **options):
  buffer = io.BytesIO()
  Image.fromarray(pixels).save(buffer, format=image_format, **options)
  return buffer.getvalue()


def _random_image(height=5, width=7, seed=0):
  return np.random.default_rng(seed).integers(
      0, 256, [height, width, 3], np.uint8)


def _record(label=None, label_format=None, pixels=None):
  """A record written by hand, as another program would."""
  pixels = _random_image() if pixels is None else pixels
  features = {'image/encoded': _encoded(pixels),
              'image/filename': b'a.png'}
  if label is not None:
    features['image/segmentation/class/encoded'] = label
  if label_format is not None:
    features['image/segmentation/class/format'] = label_format
  return tf.train.Example(features=tf.train.Features(feature={
      k: tf.train.Feature(bytes_list=tf.train.BytesList(value=[v]))
      for k, v in features.items()})).SerializeToString()


@settings(max_examples=25, deadline=None)
@given(hnp.arrays(
    np.int32, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
    elements=st.integers(0, 2**24 - 1)))
def test_labels_survive_the_round_trip(panoptic):
  height, width = panoptic.shape
  pixels = _random_image(height, width)
  example = records.decode_panoptic_example(records.encode_panoptic_example(
      _encoded(pixels), 'png', 'a/b.png', height, width, panoptic))
  np.testing.assert_array_equal(example['panoptic'], panoptic)
  np.testing.assert_array_equal(example['image'], pixels)
  assert example['filename'].numpy() == b'a/b.png'
  assert (int(example['height']), int(example['width'])) == panoptic.shape


def test_records_of_equal_content_are_equal_bytes():
  """Also in other processes: the keys of the map are sorted."""
  record = records.encode_panoptic_example(
      _encoded(_random_image()), 'png', 'a.png', 5, 7,
      np.zeros([5, 7], np.int32))
  places = [record.index(key) for key in (
      b'image/channels', b'image/encoded', b'image/filename', b'image/format',
      b'image/height', b'image/segmentation/class/encoded',
      b'image/segmentation/class/format', b'image/width')]
  assert places == sorted(places)


def test_label_png_follows_the_coco_convention():
  png = label_png.encode(np.array([[1 + 256 * 2 + 65536 * 3]], np.int32))
  decoded = Image.open(io.BytesIO(png))
  assert decoded.mode == 'RGB'
  assert decoded.getpixel((0, 0)) == (1, 2, 3)


def test_keys_are_those_of_deeplab2():
  serialized = records.encode_panoptic_example(
      b'image', 'jpeg', 'x.jpg', 1, 2, np.array([[3, 4]], np.int32))
  feature = tf.train.Example.FromString(serialized).features.feature
  assert set(feature) == {
      'image/encoded', 'image/filename', 'image/format', 'image/height',
      'image/width', 'image/channels', 'image/segmentation/class/encoded',
      'image/segmentation/class/format'}
  assert feature['image/format'].bytes_list.value == [b'jpeg']
  assert feature['image/height'].int64_list.value == [1]
  assert feature['image/width'].int64_list.value == [2]
  assert feature['image/channels'].int64_list.value == [3]
  assert feature['image/segmentation/class/format'].bytes_list.value == [b'png']


def test_reads_raw_labels_of_deeplab2():
  panoptic = np.arange(35, dtype='<i4').reshape(5, 7) * 1000
  example = records.decode_panoptic_example(
      _record(panoptic.tobytes(), b'raw'))
  np.testing.assert_array_equal(example['panoptic'], panoptic)


def test_without_label_every_pixel_is_marked():
  written = records.encode_panoptic_example(
      _encoded(_random_image()), 'png', 'a.png', 5, 7, None)
  for serialized in (written, _record(), _record(b'', b'raw')):
    panoptic = records.decode_panoptic_example(serialized)['panoptic']
    np.testing.assert_array_equal(
        panoptic, np.full([5, 7], records.UNLABELED))


@pytest.mark.parametrize('image_format', ['JPEG', 'PNG'])
def test_grey_images_get_three_equal_channels(image_format):
  grey = np.arange(63, dtype=np.uint8).reshape(7, 9)
  options = {'quality': 100} if image_format == 'JPEG' else {}
  example = records.decode_panoptic_example(records.encode_panoptic_example(
      _encoded(grey, image_format, **options), image_format.lower(), 'g', 7, 9,
      None))
  image = example['image'].numpy()
  assert image.shape == (7, 9, 3)
  np.testing.assert_array_equal(image[..., 0], image[..., 1])
  np.testing.assert_array_equal(image[..., 0], image[..., 2])
  np.testing.assert_allclose(image[..., 0], grey, atol=3)


def test_decoding_inside_tf_data_has_static_ranks():
  serialized = records.encode_panoptic_example(
      _encoded(_random_image()), 'png', 'a', 5, 7, np.ones([5, 7], np.int32))
  dataset = tf.data.Dataset.from_tensors(serialized).map(
      records.decode_panoptic_example)
  assert dataset.element_spec['image'].shape.as_list() == [None, None, 3]
  assert dataset.element_spec['panoptic'].shape.as_list() == [None, None]
  assert dataset.element_spec['panoptic'].dtype == tf.int32
  example, = dataset
  assert example['panoptic'].shape == (5, 7)


@pytest.mark.parametrize('serialized', [
    _record(label_png.encode(np.ones([5, 6], np.int32)), b'png'),
    _record(np.ones([5, 6], np.int32).tobytes(), b'raw'),
    _record(b'no picture', b'png'),
])
def test_a_label_that_does_not_fit_is_refused(serialized):
  dataset = tf.data.Dataset.from_tensors(serialized).map(
      records.decode_panoptic_example)
  with pytest.raises(tf.errors.InvalidArgumentError):
    list(dataset)


def test_encoding_refuses_wrong_labels():
  with pytest.raises(ValueError, match=r'shape \(5, 7\), got \(7, 5\)'):
    records.encode_panoptic_example(
        b'', 'png', 'a', 5, 7, np.zeros([7, 5], np.int32))
  for value in (-1, 2**24):
    with pytest.raises(ValueError, match='label values in'):
      label_png.encode(np.full([1, 1], value, np.int32))
