"""Heads averaged over scales and mirrored images."""

import threading
import time

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.inference import multi_scale
from axial_tf.inference.decoding import center_decoding
from axial_tf.keras2 import keras
from axial_tf.layers import resize
from axial_tf.models import axial_resnet, panoptic_decoder, panoptic_deeplab

Settings = multi_scale.MultiScaleSettings


def to_the_brightest(images, output_size):
  """A network whose offsets all point to the brightest pixel of an image.

  Its heatmap is the first channel; its classes are dark and bright.
  """
  height, width = resize.size_of(images)
  red = images[..., 0]
  peak = tf.argmax(
      tf.reshape(red, [-1, height * width]), -1, output_type=tf.int32)
  center = tf.stack([peak // width, peak % width], -1)
  places = tf.stack(tf.meshgrid(
      tf.range(height), tf.range(width), indexing='ij'), -1)
  outputs = {
      'semantic_logits': tf.stack([-3 * red, 3 * red], -1),
      'center_heatmap': red[..., tf.newaxis],
      'offset': tf.cast(
          center[:, tf.newaxis, tf.newaxis] - places, tf.float32)}
  if output_size is not None:
    outputs = {key: resize.resize(value, output_size)
               for key, value in outputs.items()}
  return {**outputs, 'center_heatmap': outputs['center_heatmap'][..., 0]}


def _heads(network, images, views):
  return center_decoding.CenterDecoding(None, None).heads(
      network, images, views)


def _images():
  """Smooth pictures; scaling by 0.5 and 2 keeps their brightest pixel."""
  y, x = np.mgrid[:33, :41].astype(np.float32)
  bumps = [np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 90)
           for cy, cx in ((8, 12), (22, 36))]
  return tf.constant(np.stack(bumps)[..., np.newaxis].repeat(3, -1))


def _same(a, b, atol):
  assert a.keys() == b.keys()
  for key in a:
    np.testing.assert_allclose(a[key], b[key], atol=atol, err_msg=key)


def test_one_view_is_the_network_itself():
  images = _images()
  direct = to_the_brightest(images, None)
  heads = _heads(to_the_brightest, images, Settings())
  _same(heads, {
      'semantic_probabilities': tf.nn.softmax(direct['semantic_logits']),
      'center_heatmap': direct['center_heatmap'],
      'offset': direct['offset']}, 0)


@pytest.mark.parametrize('settings', [
    Settings(flip=True), Settings((0.5,)), Settings((2.0,), flip=True),
    Settings((0.5, 1.0, 2.0), flip=True)])
def test_views_of_one_scene_agree(settings):
  """Offsets are converted to image pixels, mirrored ones flipped back."""
  images = _images()
  expected = _heads(to_the_brightest, images, Settings())
  heads = _heads(to_the_brightest, images, settings)
  np.testing.assert_allclose(heads['offset'], expected['offset'], atol=1e-4)
  # Interpolation flattens the tops a little.
  _same(heads, expected, 0.03)


def test_the_mean_is_over_probabilities_not_logits():
  images = tf.constant([[[[0.0] * 3, [1.0] * 3]]])

  def network(images, output_size):
    outputs = to_the_brightest(images, output_size)
    # Only the left pixel of what it is shown is certain.
    logits = tf.constant([[[[9.0, 0.0], [0.0, 0.0]]]])
    return {**outputs, 'semantic_logits': logits}

  heads = _heads(network, images, Settings(flip=True))
  certain = 1 / (1 + np.exp(-9))
  np.testing.assert_allclose(
      heads['semantic_probabilities'][0, 0, :, 0], (certain + 0.5) / 2,
      rtol=1e-6)


def test_views_are_computed_one_after_the_other():
  """Otherwise the memory of all of them would be in use at once."""
  lock, active, most = threading.Lock(), [0], [0]

  def busy(images):
    with lock:
      active[0] += 1
      most[0] = max(most[0], active[0])
    time.sleep(0.02)
    with lock:
      active[0] -= 1
    return images

  def network(images, output_size):
    shape = images.shape
    images = tf.ensure_shape(
        tf.numpy_function(busy, [images], tf.float32), shape)
    return to_the_brightest(images, output_size)

  settings = Settings((0.5, 1.0, 1.5), flip=True)
  tf.function(lambda images: _heads(network, images, settings))(
      _images())
  assert most[0] == 1


def test_unknown_sizes_and_xla_give_the_same():
  settings = Settings((0.7, 1.0, 1.3), flip=True)
  images = _images()[:, :30, :37]
  eager = _heads(to_the_brightest, images, settings)
  dynamic = tf.function(
      lambda images: _heads(to_the_brightest, images, settings),
      input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
  _same(dynamic(images), eager, 1e-4)
  compiled = tf.function(
      lambda images: _heads(to_the_brightest, images, settings),
      jit_compile=True)
  _same(compiled(images), eager, 1e-4)


@pytest.fixture(scope='module')
def model():
  keras.utils.set_random_seed(1)
  branch = panoptic_decoder.BranchSettings(
      projection_channels=8, res3_channels=8, res2_channels=8,
      decoder_channels=8, head_channels=8)
  network = panoptic_deeplab.PanopticDeepLab(
      panoptic_deeplab.PanopticDeepLabSettings(
          axial_resnet.AxialResNetSettings(
              width_multiplier=0.125, heads=2, blocks=(1, 1, 1, 1)),
          branch, branch), 3)
  network(tf.zeros([1, 33, 33, 3]))
  return network


def test_a_network_gives_other_sizes_from_its_small_maps(model):
  images = tf.random.stateless_uniform([1, 49, 65, 3], [1, 2], -1, 1)
  small = model.heads(images)
  outputs = model(images, output_size=(25, 33))
  np.testing.assert_allclose(
      outputs['semantic_logits'],
      resize.resize(small['semantic_logits'], (25, 33)), atol=1e-5)
  np.testing.assert_allclose(
      outputs['offset'], 4 * resize.resize(small['offset'], (25, 33)),
      atol=1e-4)


@pytest.mark.parametrize('size', [(49, 65), (50, 61), (1, 20)])
def test_padding_stays_outside_at_other_sizes(model, size):
  """At its own size, sampling is enlarging and cropping."""
  images = tf.random.stateless_uniform([1, *size, 3], [1, 2], -1, 1)
  _same(model(images, output_size=size), model(images), 1e-4)


@pytest.mark.parametrize('arguments', [
    {'scales': ()}, {'scales': (0.0,)}, {'scales': (1.0, 1.0)},
    {'scales': (-1.0,)}, {'scales': (17.0,)}, {'flip': 2}])
def test_invalid_settings(arguments):
  with pytest.raises(errors.UserError, match='MultiScaleSettings'):
    Settings(**arguments)
