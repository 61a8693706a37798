"""A tiny panoptic data set: disks on two halves, in records of data_prep."""

import io
import json

import numpy as np
from PIL import Image
import tensorflow as tf

from axial_tf.data.common import record_files
from axial_tf.data.panoptic import records
from axial_tf.specs import dataset_spec

SPEC = dataset_spec.DatasetSpec('disks', tuple(
    dataset_spec.Category(i + 1, i, name, name == 'disk', (80 * i, 0, 90))
    for i, name in enumerate(('disk', 'upper', 'lower'))), 256, 255)
RADIUS, SIDE = 4, 48


def label(disks: int, side: int = SIDE) -> np.ndarray:
  """Returns a map of two halves with disks in a row, 12 pixels apart."""
  panoptic = np.full([side, side], 1 * SPEC.label_divisor, np.int32)
  panoptic[side // 2:] = 2 * SPEC.label_divisor
  y, x = np.mgrid[:side, :side]
  for i in range(disks):
    inside = (y - 10) ** 2 + (x - 8 - 12 * i) ** 2 <= RADIUS ** 2
    panoptic[inside] = i + 1
  return panoptic


def write(folder, labels=None, splits=('train', 'val'), grey: bool = False,
          plain: bool = False) -> str:
  """Writes the records of some splits; returns the name of the folder.

  Args:
    folder: where to write.
    labels: maps of each split; None for four of 0 to 3 disks.
    splits: names of the splits.
    grey: whether images have no color.
    plain: whether all images have one color.
  """
  info = {}
  labels = [label(n) for n in range(4)] if labels is None else labels
  for split in splits:
    name = record_files.shard_name(split, 0, 1)
    with tf.io.TFRecordWriter(str(folder / name)) as writer:
      for number, panoptic in enumerate(labels):
        writer.write(records.encode_panoptic_example(
            _png(panoptic, grey, plain), 'png', f'{number}.png',
            *panoptic.shape, panoptic))
    info[split] = {'num_images': len(labels)}
  (folder / record_files.DATASET_INFO).write_text(
      json.dumps({'spec': SPEC.to_json(), 'splits': info}))
  return str(folder)


def _png(panoptic: np.ndarray, grey: bool, plain: bool) -> bytes:
  image = np.zeros([*panoptic.shape, 3], np.uint8)
  if not plain:
    image[..., 0] = 20 * (panoptic // SPEC.label_divisor) + 60
    image[..., 0] += np.arange(len(image), dtype=np.uint8)[:, None]
    image[..., 1:] = image[..., :1] if grey else 20
  buffer = io.BytesIO()
  Image.fromarray(image).save(buffer, 'PNG')
  return buffer.getvalue()
