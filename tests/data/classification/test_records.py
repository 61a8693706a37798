"""Classification records: written and read again, and the Model Garden's."""

import io

from PIL import Image
import tensorflow as tf

from axial_tf.data.classification import records as classification_records
from axial_tf.specs import class_spec

_CAT = class_spec.ImageClass(3, 'n02121620', 'cat, true cat')


def _jpeg(mode='RGB'):
  buffer = io.BytesIO()
  Image.new(mode, (7, 5), 90).save(buffer, 'JPEG')
  return buffer.getvalue()


def test_keys_and_values():
  serialized = classification_records.encode_classification_example(
      b'bytes', 'jpeg', 'a/b.JPEG', 5, 7, _CAT)
  features = tf.train.Example.FromString(serialized).features.feature
  found = {key: (feature.bytes_list.value or feature.int64_list.value)[0]
           for key, feature in features.items()}
  assert found == {
      'image/encoded': b'bytes', 'image/format': b'jpeg',
      'image/filename': b'a/b.JPEG', 'image/height': 5, 'image/width': 7,
      'image/class/label': 3, 'image/class/synset': b'n02121620',
      'image/class/text': b'cat, true cat'}


  # In order, so that equal records of all processes are equal bytes.
  places = [serialized.index(key.encode()) for key in sorted(found)]
  assert places == sorted(places)


def test_reads_what_it_wrote():
  example = classification_records.parse_classification_example(
      classification_records.encode_classification_example(
          b'bytes', 'png', 'a.png', 5, 7, _CAT))
  assert example['label'].numpy() == 3
  assert example['encoded'].numpy() == b'bytes'
  assert example['filename'].numpy() == b'a.png'


def test_without_label():
  example = classification_records.parse_classification_example(
      classification_records.encode_classification_example(
          b'', 'png', 'a.png', 5, 7, None))
  assert example['label'].numpy() == classification_records.UNLABELED


def test_a_record_with_only_image_and_label():
  serialized = tf.train.Example(features=tf.train.Features(feature={
      'image/encoded': tf.train.Feature(
          bytes_list=tf.train.BytesList(value=[b'x'])),
      'image/class/label': tf.train.Feature(
          int64_list=tf.train.Int64List(value=[1000])),
  })).SerializeToString()
  example = classification_records.parse_classification_example(serialized)
  assert example['label'].numpy() == 1000
  assert example['filename'].numpy() == b''
