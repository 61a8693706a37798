"""Packed batches are restored completely."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.data.panoptic import training_batch
from axial_tf.panoptic import targets


def _packed(tiny_spec, insides):
  """One image per entry of `insides`: top, left, bottom, right."""
  rng = np.random.default_rng(0)
  rows = []
  for top, left, bottom, right in insides:
    image = np.zeros([5, 6, 3], np.uint8)
    panoptic = np.full([5, 6], tiny_spec.void_label, np.int32)
    part = slice(top, bottom), slice(left, right)
    image[part] = rng.integers(0, 256, image[part].shape)
    panoptic[part] = rng.choice([0, 10, 11, 21], panoptic[part].shape)
    rows.append(training_batch.pack(
        tf.constant(image), tf.constant(panoptic),
        tf.constant([top, left, bottom, right]), tiny_spec,
        targets.TargetSettings()))
  return {key: tf.stack([row[key] for row in rows]) for key in rows[0]}


@pytest.mark.parametrize('padding, mode', [
    ('edge', {'mode': 'edge'}), ('gray', {'constant_values': 127.5})])
@pytest.mark.parametrize('wrap', [lambda f: f, tf.function],
                         ids=['eager', 'function'])
def test_images_are_padded_and_in_the_models_range(
    tiny_spec, wrap, padding, mode):
  insides = [(0, 0, 5, 6), (1, 2, 4, 3), (0, 5, 5, 6)]
  batch = _packed(tiny_spec, insides)
  got = wrap(lambda batch: training_batch.unpack(
      batch, tiny_spec, targets.TargetSettings(), padding))(batch)
  for index, (top, left, bottom, right) in enumerate(insides):
    expected = np.pad(
        batch['image'][index, top:bottom, left:right].numpy().astype(float),
        [(top, 5 - bottom), (left, 6 - right), (0, 0)], **mode) / 127.5 - 1
    np.testing.assert_allclose(got['image'][index], expected, atol=1e-6)
    for key, value in targets.panoptic_targets(
        batch['panoptic'][index], thing_ids=tiny_spec.thing_ids,
        label_divisor=10, ignore_label=9).items():
      np.testing.assert_allclose(got[key][index], value, atol=1e-6)


def test_a_pixel_takes_13_bytes(tiny_spec):
  batch = _packed(tiny_spec, [(0, 0, 5, 6)])
  size = sum(value.numpy().nbytes for key, value in batch.items()
             if key != 'inside')
  assert size == 13 * 5 * 6
