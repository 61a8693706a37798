"""A tiny data set in records, and the spec it follows."""

import io

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from axial_tf.data.common import record_files
from axial_tf.data.panoptic import records
from axial_tf.specs import dataset_spec


@pytest.fixture(scope='session')
def tiny_spec():
  """Stuff 0, things 1 and 2, divisor 10, ignore 9."""
  return dataset_spec.DatasetSpec(
      name='tiny', label_divisor=10, ignore_label=9,
      categories=tuple(
          dataset_spec.Category(i, i, name, i > 0, (i, i, i))
          for i, name in enumerate(('ground', 'cat', 'dog'))))


def make_example(index: int, height: int, width: int):
  """An image, its label and record; red channel == label, so they can be
  checked against each other after any augmentation."""
  rng = np.random.default_rng(index)
  panoptic = rng.choice(
      [0, 10, 11, 12, 20, 21, 90], [height, width]).astype(np.int32)
  pixels = rng.integers(0, 256, [height, width, 3], np.uint8)
  pixels[..., 0] = panoptic
  buffer = io.BytesIO()
  Image.fromarray(pixels).save(buffer, format='PNG')
  serialized = records.encode_panoptic_example(
      buffer.getvalue(), 'png', f'{index}.png', height, width, panoptic)
  return pixels, panoptic, serialized


@pytest.fixture
def write_shards(tmp_path):
  """Writes shards from lists of serialized records; returns their pattern."""

  def write(*shards, name='train'):
    for index, serialized in enumerate(shards):
      path = tmp_path / record_files.shard_name(name, index, len(shards))
      with tf.io.TFRecordWriter(str(path)) as writer:
        for record in serialized:
          writer.write(record)
    return str(tmp_path / f'{name}-*.tfrecord')

  return write


@pytest.fixture(scope='session')
def examples():
  """Nine examples of sizes 6 x 8 to 14 x 16."""
  return [make_example(i, 6 + i, 8 + i) for i in range(9)]
