"""Encodes and decodes records of classification.

The keys are those of the Model Garden's ImageNet records:

  image/encoded, image/format      JPEG or PNG bytes; 'jpeg' or 'png'. Decoding
      applies their EXIF orientation, see `image_decoding`
  image/filename, image/height, image/width
  image/class/label    0, 1, 2, ... in the order of `class_spec`; -1 without
  image/class/synset   the class's id in the source, image/class/text its name

Records of the Cloud TPU scripts count labels from 1, see
`classification_pipeline.ClassificationDataSettings.first_label`.
"""

import os
from typing import Dict, Optional

import tensorflow as tf

from axial_tf.specs import class_spec

_IMAGE = 'image/encoded'
_FORMAT = 'image/format'
_FILENAME = 'image/filename'
_HEIGHT = 'image/height'
_WIDTH = 'image/width'
# Distinguishes these records from panoptic ones.
LABEL = 'image/class/label'
_SYNSET = 'image/class/synset'
_TEXT = 'image/class/text'

# Label of a record without label (a test split).
UNLABELED = -1


def encode_classification_example(
    image_bytes: bytes, image_format: str, filename: str, height: int,
    width: int, image_class: Optional[class_spec.ImageClass]) -> bytes:
  """Returns one serialized record.

  Args:
    image_bytes: the encoded image, stored unchanged.
    image_format: 'jpeg' or 'png'.
    filename: name of the image file.
    height: height in pixels.
    width: width in pixels.
    image_class: its class, None without label.
  """
  label, synset, text = UNLABELED, '', ''
  if image_class is not None:
    label, synset, text = image_class.label, image_class.id, image_class.name
  features = {
      _IMAGE: _bytes(image_bytes),
      _FORMAT: _bytes(image_format.encode()),
      _FILENAME: _bytes(os.fsencode(filename)),
      _HEIGHT: _int(height),
      _WIDTH: _int(width),
      LABEL: _int(label),
      _SYNSET: _bytes(synset.encode()),
      _TEXT: _bytes(text.encode()),
  }
  return tf.train.Example(
      features=tf.train.Features(feature=features)
  # The order of a map differs between processes.
  ).SerializeToString(deterministic=True)


def parse_classification_example(serialized: tf.Tensor) -> Dict[str, tf.Tensor]:
  """Parses one record (a scalar string tensor), leaving the image encoded.

  Returns:
    encoded: string [], the bytes of the image.
    label: int32 [], as stored in the record.
    filename: string [].

  Raises:
    tf.errors.InvalidArgumentError: when the ops run: a record without image.
  """
  features = tf.io.parse_single_example(serialized, {
      _IMAGE: tf.io.FixedLenFeature([], tf.string),
      _FILENAME: tf.io.FixedLenFeature([], tf.string, ''),
      LABEL: tf.io.FixedLenFeature([], tf.int64, UNLABELED),
  })
  return {
      'encoded': features[_IMAGE],
      'label': tf.cast(features[LABEL], tf.int32),
      'filename': features[_FILENAME],
  }


def _bytes(value: bytes) -> tf.train.Feature:
  return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _int(value: int) -> tf.train.Feature:
  return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
