"""A tiny data set for classifiers: colors, in records of data_prep."""

import io
import json

import numpy as np
from PIL import Image
import tensorflow as tf

from axial_tf.data.classification import records as classification_records
from axial_tf.data.common import record_files
from axial_tf.specs import class_spec

SPEC = class_spec.ClassSpec.from_ids(
    'colors', ['n1', 'n2', 'n3'], {'n1': 'red', 'n2': 'green', 'n3': 'blue'})
# Bindings that bring CIFAR-10's experiment down to this data. Convolutions,
# because the graph of attention is slow to build; where a test is about
# attention, AXIAL after them brings it back.
AXIAL = "SPATIAL = 'axial'"
BINDINGS = (
    "SPATIAL = 'convolution'",
    'TRAIN_STEPS = 12', 'BATCH_SIZE = 8', 'WARMUP_STEPS = 2',
    'LEARNING_RATE = 0.02', 'WIDTH = 0.0625', 'STEM_WIDTH = 0.125',
    'BLOCKS = (1, 1, 1, 1)', 'HEADS = 2', 'RunSettings.steps_per_loop = 4',
    'RunSettings.checkpoint_interval = 6',
    'RunSettings.validation_interval = 12',
    'RunSettings.validation_batch_size = 4',
    'ClassificationDataSettings.image_size = (16, 16)')


def png(label: int, seed: int, side: int = 16) -> bytes:
  """A noisy picture whose color is its label."""
  rng = np.random.default_rng(seed)
  pixels = rng.integers(0, 80, [side, side, 3])
  pixels[..., label] += 150
  buffer = io.BytesIO()
  Image.fromarray(pixels.astype(np.uint8)).save(buffer, 'PNG')
  return buffer.getvalue()


def write(folder, train: int = 24, val: int = 9) -> str:
  """Writes the records of both splits; returns the folder's name."""
  splits = {}
  for split, count in (('train', train), ('val', val)):
    name = record_files.shard_name(split, 0, 1)
    with tf.io.TFRecordWriter(str(folder / name)) as writer:
      for number in range(count):
        label = number % SPEC.num_classes
        writer.write(classification_records.encode_classification_example(
            png(label, number), 'png', f'{split}{number}.png', 16, 16,
            SPEC.classes[label]))
    splits[split] = {'num_images': count, 'counts': {'images': {
        str(label): len(range(label, count, SPEC.num_classes))
        for label in range(SPEC.num_classes)}}}
  (folder / record_files.DATASET_INFO).write_text(
      json.dumps({'spec': SPEC.to_json(), 'splits': splits}))
  return str(folder)
