import numpy as np
import pytest
import tensorflow as tf

from axial_tf import devices
from axial_tf.layers import resize


@pytest.mark.parametrize('source,target', [
    ((5, 7), (17, 25)), ((5, 4), (5, 10)), ((9, 9), (4, 3)), ((1, 3), (4, 5))])
def test_a_linear_ramp_stays_linear_from_corner_to_corner(source, target):
  y, x = np.meshgrid(np.linspace(-1, 1, source[0]) if source[0] > 1 else [-1],
                     np.linspace(2, 5, source[1]), indexing='ij')
  images = np.stack([y, x], -1)[None].astype(np.float32)
  resized = resize.resize(tf.constant(images), target).numpy()[0]
  rows = np.linspace(-1, 1 if source[0] > 1 else -1, target[0])
  np.testing.assert_allclose(
      resized[..., 0], np.repeat(rows[:, None], target[1], 1), atol=1e-6)
  np.testing.assert_allclose(
      resized[..., 1], np.repeat(np.linspace(2, 5, target[1])[None],
                                 target[0], 0), atol=1e-6)


def test_unknown_sizes_equal_known_sizes():
  images = tf.random.stateless_normal([2, 5, 6, 3], [1, 2])
  dynamic = tf.function(
      lambda x: resize.resize(x, (2 * tf.shape(x)[1] - 1, 11)),
      input_signature=[tf.TensorSpec([None, None, None, 3])])
  np.testing.assert_array_equal(
      dynamic(images), resize.resize(images, (9, 11)))


@pytest.mark.parametrize('source, size', [
    ((5, 9), (17, 33)), ((5, 9), (3, 5)), ((1, 7), (4, 7)), ((4, 4), (1, 1)),
    ((33, 5), (129, 12))])
def test_products_for_a_tpu_are_resizing(source, size):
  images = tf.random.stateless_normal([2, *source, 3], [1, 2])
  upstream = tf.random.stateless_normal([2, *size, 3], [3, 4])

  def value_and_gradient():
    with tf.GradientTape() as tape:
      tape.watch(images)
      resized = resize.resize(images, size)
    return resized, tape.gradient(resized, images, upstream)

  expected = value_and_gradient()
  with devices.target('tpu'):
    found = value_and_gradient()
    program = tf.function(resize.resize).get_concrete_function(images, size)
  for a, b in zip(found, expected):
    np.testing.assert_allclose(a, b, atol=1e-4)
  assert not any('Resize' in op.type for op in program.graph.get_operations())


@pytest.mark.parametrize('source, size', [
    ((5, 9), (17, 33)), ((5, 9), (3, 5)), ((1, 7), (4, 7)), ((4, 4), (1, 1))])
def test_sampling_the_whole_image_is_resizing(source, size):
  images = tf.random.stateless_normal([2, *source, 3], [1, 2])
  steps = tuple(
      tf.constant((n - 1) / max(m - 1, 1), tf.float32)
      for n, m in zip(source, size))
  np.testing.assert_allclose(
      resize.sample(images, size, steps), resize.resize(images, size),
      atol=1e-5)


def test_sampling_past_the_end_repeats_the_last_pixel():
  images = tf.constant([0.0, 1.0, 4.0])[tf.newaxis, tf.newaxis, :, tf.newaxis]
  sampled = resize.sample(images, (1, 5), (tf.constant(1.0), tf.constant(0.75)))
  np.testing.assert_allclose(
      sampled[0, 0, :, 0], [0, 0.75, 2.5, 4, 4], atol=1e-6)
