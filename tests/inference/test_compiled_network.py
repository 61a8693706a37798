"""A compiled network computes what it computes uncompiled."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.export import comparison
from axial_tf.inference import multi_scale
from axial_tf.inference import panoptic as panoptic_inference
from tests import color_model, programs, tiny_network


def _images(*size):
  return tf.constant(comparison.generated_image(*size))[tf.newaxis]


def test_heads_of_a_network_with_attention():
  inference = tiny_network.inference()
  images = _images(33, 49)
  run = tf.function(inference.compiled().__call__, autograph=False)
  assert programs.compiled(run.get_concrete_function(images).graph)
  outputs, expected = run(images), inference(images)
  for key in ('semantic_probabilities', 'center_heatmap', 'offset'):
    np.testing.assert_allclose(outputs[key], expected[key], atol=1e-5)
  assert np.mean(outputs['panoptic_map'] == expected['panoptic_map']) > 0.99


@pytest.mark.parametrize('size, enlarge', [((40, 31), False), ((20, 15), True)])
def test_views_and_resized_images(size, enlarge):
  inference = panoptic_inference.PanopticInference(
      color_model.ColorModel(), color_model.SPEC, color_model.MERGING,
      30, enlarge, multi_scale.MultiScaleSettings((0.5, 1.0), flip=True))
  images = _images(*size)
  outputs = tf.function(inference.compiled().predict, autograph=False)(images)
  expected = inference.predict(images)
  for key, value in expected.items():
    np.testing.assert_allclose(outputs[key], value, atol=1e-5)


def test_a_static_size_stays_static_when_images_are_resized():
  run = tf.function(lambda images: panoptic_inference.resized(images, 30, True))
  sizes = [run.get_concrete_function(tf.TensorSpec(shape, tf.uint8))
           .structured_outputs.shape.as_list()
           for shape in ([1, 40, 31, 3], [1, None, 31, 3])]
  assert sizes == [[1, 30, 23, 3], [1, None, None, 3]]
