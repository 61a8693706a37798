"""Encodes and decodes records of panoptic segmentation.

Each record is a serialized tf.train.Example with DeepLab2's keys, so its
TFRecords can be read too:

  image/encoded    JPEG or PNG bytes
  image/filename, image/format, image/height, image/width, image/channels
  image/segmentation/class/encoded   the panoptic label
  image/segmentation/class/format    'png' (ours), 'raw' (DeepLab2's) or ''

A 'png' label is an RGB image whose pixel value is R + 256 G + 65536 B, the
COCO panoptic convention; a 'raw' label is little-endian int32, row by row.

An image is decoded as stored, ignoring its EXIF orientation, to match its
label. data_prep stores images upright.
"""

import os
from typing import Dict, Optional

import numpy as np
import tensorflow as tf

from axial_tf.data.common import record_checks
from axial_tf.files import image_decoding
from axial_tf.panoptic import label_png
from axial_tf.specs import dataset_spec

_IMAGE = 'image/encoded'
_FILENAME = 'image/filename'
_FORMAT = 'image/format'
_HEIGHT = 'image/height'
_WIDTH = 'image/width'
_CHANNELS = 'image/channels'
_LABEL = 'image/segmentation/class/encoded'
_LABEL_FORMAT = 'image/segmentation/class/format'

# Value of every label pixel when a record has no label (a test split).
UNLABELED = -1


def encode_panoptic_example(
    image_bytes: bytes, image_format: str, filename: str, height: int,
    width: int, panoptic: Optional[np.ndarray]) -> bytes:
  """Returns one serialized record.

  Args:
    image_bytes: the encoded image, stored unchanged.
    image_format: 'jpeg' or 'png', for instance.
    filename: name of the image file.
    height: height in pixels.
    width: width in pixels.
    panoptic: int32 [height, width] panoptic label, or None without label.

  Raises:
    ValueError: the label has another size or values beyond 24 bits.
  """
  features = {
      _IMAGE: _bytes(image_bytes),
      _FILENAME: _bytes(os.fsencode(filename)),
      _FORMAT: _bytes(image_format.encode()),
      _HEIGHT: _int(height),
      _WIDTH: _int(width),
      _CHANNELS: _int(3),
  }
  if panoptic is not None:
    if panoptic.shape != (height, width):
      raise ValueError(
          f'expected a label of shape {(height, width)}, got '
          f'{panoptic.shape}')
    features[_LABEL] = _bytes(label_png.encode(panoptic))
    features[_LABEL_FORMAT] = _bytes(b'png')
  return tf.train.Example(
      features=tf.train.Features(feature=features)
  # The order of a map differs between processes.
  ).SerializeToString(deterministic=True)


def decode_panoptic_example(serialized: tf.Tensor) -> Dict[str, tf.Tensor]:
  """Parses one record (a scalar string tensor) with TensorFlow ops.

  Returns:
    image: uint8 [height, width, 3] RGB, see `image_decoding`, not rotated.
    panoptic: int32 [height, width]; UNLABELED everywhere without a label.
    filename: string [].
    height, width: int32 [], the decoded image's, whatever the record says.

  Raises:
    tf.errors.InvalidArgumentError: when the ops run: an image or label that
      cannot be decoded, or a label of another size than its image.
  """
  features = tf.io.parse_single_example(serialized, {
      _IMAGE: tf.io.FixedLenFeature([], tf.string),
      _FILENAME: tf.io.FixedLenFeature([], tf.string, ''),
      _LABEL: tf.io.FixedLenFeature([], tf.string, ''),
      _LABEL_FORMAT: tf.io.FixedLenFeature([], tf.string, ''),
  })
  image = image_decoding.decode(features[_IMAGE], upright=False)
  height, width = tf.shape(image)[0], tf.shape(image)[1]
  label = features[_LABEL]
  panoptic = tf.case([
      (tf.equal(tf.strings.length(label), 0),
       lambda: tf.fill([height, width], UNLABELED)),
      (tf.equal(features[_LABEL_FORMAT], 'raw'),
       lambda: _decode_raw_label(label, height, width)),
  ], default=lambda: label_png.decode_in_graph(label))
  with tf.control_dependencies([tf.debugging.assert_equal(
      tf.shape(panoptic), [height, width],
      'the label has another size than its image')]):
    panoptic = tf.identity(panoptic)
  panoptic.set_shape([None, None])
  return {
      'image': image,
      'panoptic': panoptic,
      'filename': features[_FILENAME],
      'height': height,
      'width': width,
  }


def _decode_raw_label(label, height, width) -> tf.Tensor:
  values = tf.io.decode_raw(label, tf.int32)
  with tf.control_dependencies([tf.debugging.assert_equal(
      tf.size(values), height * width,
      'the raw label has another size than its image')]):
    return tf.reshape(values, [height, width])


def _bytes(value: bytes) -> tf.train.Feature:
  return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _int(value: int) -> tf.train.Feature:
  return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def _problem(example, spec: dataset_spec.DatasetSpec
                      ) -> Optional[str]:
  panoptic = example['panoptic']
  if (panoptic == UNLABELED).all():
    return 'has no label; training and validation need labeled records'
  known = {*spec.thing_ids, *spec.stuff_ids, spec.ignore_label}
  unknown = set(np.unique(panoptic // spec.label_divisor).tolist()) - known
  if unknown:
    return (f'holds the train id {min(unknown)}, which the spec {spec.name!r} '
            f'does not have; use the spec with which the records were made')
  return None


SCHEMA = record_checks.Schema(decode_panoptic_example, _problem)
