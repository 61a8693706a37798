"""DeeperLab's heads over views, and from images to segments."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.inference import multi_scale
from axial_tf.inference.decoding import keypoint_decoding, kinds
from axial_tf.models import image_sizes
from axial_tf.panoptic.deeperlab import targets
from axial_tf.panoptic.deeperlab.decoding_settings import (
  DeeperLabDecodingSettings,
)
from axial_tf.specs import dataset_spec

_RADIUS = 6.0
_SETTINGS = DeeperLabDecodingSettings(radius=_RADIUS, max_instances=8,
                                      max_keypoints=100)


@pytest.fixture(scope='module')
def spec():
  return dataset_spec.DatasetSpec(
      name='test', label_divisor=16, ignore_label=9, categories=tuple(
          dataset_spec.Category(i + 1, i, f'c{i}', is_thing=i == 1,
                                color=(i, i, i)) for i in range(2)))


@pytest.fixture(scope='module')
def decoding(spec):
  return kinds.build(_SETTINGS, spec)


def _label(height, width):
  """Three rectangles; the class is 1 and 0 is the ground."""
  label = np.zeros([height, width], np.int32)
  for number, (top, left, bottom, right) in enumerate([
      (0.1, 0.05, 0.4, 0.4), (0.55, 0.1, 0.95, 0.45),
      (0.2, 0.55, 0.8, 0.9)], 17):
    label[round(top * height):round(bottom * height),
          round(left * width):round(right * width)] = number
  return label


def _image(label):
  """float32 [1, height, width, 3] that shows the label as gray."""
  gray = np.where(label > 0, (label - 15) / 4, 0).astype(np.float32)
  return tf.constant(gray[np.newaxis, :, :, np.newaxis].repeat(3, -1))


def _network(images, output_size):
  """A perfect network that reads the label from the image."""
  size = images.shape[1:3]
  label = np.round(4 * images[0, ..., 0].numpy()).astype(int)
  label = np.where(label > 1, label + 15, 0).astype(np.int32)
  padded = np.pad(label, [
      (0, image_sizes.legal(n, 16) - n) for n in size], 'edge')
  maps = targets.keypoint_targets(
      tf.constant(padded), thing_ids=(1,), label_divisor=16, ignore_label=9,
      settings=targets.KeypointTargetSettings(
          radius=_RADIUS, max_instances=8))
  logits = tf.one_hot([label // 16], 2) * 20.0
  if output_size is not None:
    logits = tf.image.resize(logits, output_size, 'nearest')
  return {
      'semantic_logits': logits,
      'keypoint_logits': 40.0 * maps['keypoint_heatmap'] - 20.0,
      **{name: maps[name] for name in (
          'long_offset', 'short_offset', 'middle_offset')}}


def _numbers(label):
  """The segment of each pixel, numbered from the top left."""
  values, first, index = np.unique(
      label, return_index=True, return_inverse=True)
  return np.argsort(np.argsort(first))[index].reshape(label.shape)


def test_the_plain_view_has_the_heads_of_the_network(decoding):
  label = _label(33, 49)
  heads = decoding.heads(
      _network, _image(label), multi_scale.MultiScaleSettings())
  expected = _network(_image(label), None)
  assert set(heads) == {'semantic_probabilities', *decoding.HEADS}
  for name in decoding.HEADS[1:]:
    np.testing.assert_array_equal(heads[name], expected[name])
  np.testing.assert_allclose(
      heads['keypoint_heatmap'], tf.sigmoid(expected['keypoint_logits']))


def test_a_mirrored_view_has_the_same_heads(decoding):
  image = _image(_label(33, 49))
  expected = decoding.heads(
      _network, image, multi_scale.MultiScaleSettings())
  mirrored = keypoint_decoding._of_image(
      _network(tf.reverse(image, [2]), None),
      multi_scale.View(pixel=None, flip=True))
  for name, head in mirrored.items():
    np.testing.assert_allclose(head, expected[name], atol=1e-4, err_msg=name)


# In the last, padding comes at the other side of the mirrored image.
@pytest.mark.parametrize('scales, flip, size', [
    ((1.0,), False, (49, 65)), ((1.0,), True, (49, 65)),
    ((1.0, 2.0), False, (49, 65)), ((1.0,), True, (47, 54))])
def test_views_find_the_same_segments(decoding, scales, flip, size):
  label = _label(*size)
  views = multi_scale.MultiScaleSettings(scales=scales, flip=flip)
  heads = decoding.heads(_network, _image(label), views)
  got = decoding.merge(heads)['panoptic_map'].numpy()[0]
  assert heads['long_offset'].shape[1:3] == tuple(
      -(-(n - 1) // 4) + 1 for n in size)
  wrong = _numbers(got) != _numbers(label)
  assert len(np.unique(got)) == 4
  assert wrong.mean() < 0.02


def test_its_settings_find_it(decoding):
  assert isinstance(decoding, keypoint_decoding.KeypointDecoding)
  assert decoding.max_instances == 8
