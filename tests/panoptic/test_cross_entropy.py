"""Cross entropy of small logits equals that of enlarged ones."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.layers import resize
from axial_tf.panoptic import cross_entropy


@pytest.mark.parametrize('strip_bytes', [1, 10_000, 1 << 30])
@pytest.mark.parametrize('size', [(33, 49), (31, 46)])
def test_strips_equal_the_whole_map(size, strip_bytes):
  rng = np.random.default_rng(0)
  small = tf.constant(3 * rng.normal(size=(2, 9, 13, 5)), tf.float32)
  labels = tf.constant(rng.integers(0, 5, size=(2, *size)), tf.int32)
  weights = tf.constant(rng.uniform(size=(2, *size)), tf.float32)

  def run(entropy):
    with tf.GradientTape() as tape:
      tape.watch(small)
      values = entropy(small)
      loss = tf.reduce_sum(values * weights)
    return values, tape.gradient(loss, small)

  expected = run(lambda x: cross_entropy.cross_entropy(
      resize.resize(x, (33, 49))[:, :size[0], :size[1]], labels))
  for jit in (False, True):
    actual = tf.function(
        lambda: run(lambda x: cross_entropy.enlarged_cross_entropy(
            x, labels, 4, 0, strip_bytes)), jit_compile=jit, autograph=False)()
    assert actual[0].shape == (2, *size)
    for left, right in zip(actual, expected):
      np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-5)


def test_a_step_holds_one_strip():
  """With 100 classes, all enlarged logits would be 26 MB, a strip 2 MB."""
  labels = tf.zeros([1, 257, 257], tf.int32)

  @tf.function(autograph=False)
  def step(small):
    with tf.GradientTape() as tape:
      tape.watch(small)
      loss = tf.reduce_sum(cross_entropy.enlarged_cross_entropy(
          small, labels, 4, 20 << 20, 2 << 20))
    return tape.gradient(loss, small)

  graph = step.get_concrete_function(tf.TensorSpec([1, 65, 65, 100])).graph
  largest = max(
      tensor.shape.num_elements() or 0 for op in graph.get_operations()
      for tensor in op.outputs if tensor.shape.is_fully_defined())
  assert 4 * largest < 3 << 20


@pytest.mark.parametrize('whole_bytes', [0, 1 << 30])
def test_an_unknown_number_of_images_as_several_workers_have_it(whole_bytes):
  @tf.function(autograph=False, input_signature=[
      tf.TensorSpec([None, 9, 13, 5]), tf.TensorSpec([None, 33, 49], tf.int32)])
  def run(small, labels):
    with tf.GradientTape() as tape:
      tape.watch(small)
      values = cross_entropy.enlarged_cross_entropy(
          small, labels, 4, whole_bytes, 40_000)
    return values, tape.gradient(values, small)

  rng = np.random.default_rng(0)
  small = tf.constant(rng.normal(size=(2, 9, 13, 5)), tf.float32)
  labels = tf.constant(rng.integers(0, 5, size=(2, 33, 49)), tf.int32)
  values, gradient = run(small, labels)
  np.testing.assert_allclose(values, cross_entropy.cross_entropy(
      resize.resize(small, (33, 49)), labels), rtol=1e-5, atol=1e-5)
  assert gradient.shape == small.shape
