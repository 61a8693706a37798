"""The whole way from an image to SSAP's segments, with random weights."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.client import affinity_maps
from axial_tf.export import model_json, serving_settings
from axial_tf.inference import multi_scale
from axial_tf.panoptic.ssap import decoding, windows
from tests import tiny_ssap


@pytest.fixture(scope='module')
def inference():
  return tiny_ssap.inference()


def _image(height=65, width=129, seed=0):
  """Smooth colors, so that random weights make segments of some pixels."""
  rng = np.random.default_rng(seed)
  image = tf.image.resize(
      rng.uniform(0, 255, [1, 6, 8, 3]), [height, width], 'bicubic')
  return tf.cast(tf.clip_by_value(image, 0, 255), tf.uint8)


def test_heads_are_those_of_all_levels(inference):
  heads = inference.heads(_image(70, 129))
  assert set(heads) == {'semantic_probabilities', *decoding.HEADS}
  assert heads['semantic_probabilities'].shape[:3] == (1, 70, 129)
  for stride in windows.STRIDES:
    size = 128 // stride + 1
    assert heads[f'edge_weights_{stride}'].shape == (1, size, size, 4)
    things = heads[f'things_{stride}'].numpy()
    assert set(np.unique(things)) <= {0, 1}
    # The padding below the image has no things.
    assert not things[:, -(-70 // stride):].any()


def test_segments_score_their_class_and_not_void(inference):
  outputs = inference(_image())
  panoptic = outputs['panoptic_map'].numpy()
  assert len(np.unique(panoptic)) > 5
  np.testing.assert_array_equal(
      outputs['score_map'], panoptic != inference.spec.void_label)
  table = inference.predict(_image())
  assert 0 < table['segment_scores'][0, 0] < 1


@pytest.mark.slow
def test_a_served_model_equals_the_cascade_that_stops_early(inference):
  served = inference.served()
  assert served.merging.in_graph and served.merging.stop_stride == 8
  host = tiny_ssap.inference(stop_stride=8)
  image = _image()
  expected = host(image)['panoptic_map'].numpy()
  assert len(np.unique(expected)) > 5
  # The heads are the same; only the partition differs.
  found = served.decoding.merge(host.heads(image))
  np.testing.assert_array_equal(found['panoptic_map'], expected)
  np.testing.assert_array_equal(
      found['score_map'], host(image)['score_map'])


def test_a_client_decodes_heads_like_the_model(inference):
  image = _image(70, 100)
  content = json.loads(json.dumps(model_json.content(
      inference, model_json.panoptic(inference),
      serving_settings.ServingSettings())))
  heads = {name: value.numpy().tolist()
           for name, value in inference.heads(image).items()}
  np.testing.assert_array_equal(
      affinity_maps.decode(heads, content),
      inference(image)['panoptic_map'][0])


def test_a_mirrored_image_has_the_mirrored_heads():
  flipping = tiny_ssap.inference()
  flipping.multi_scale = multi_scale.MultiScaleSettings(flip=True)
  image = _image()
  heads, mirrored = (
      {name: value.numpy() for name, value in flipping.heads(seen).items()}
      for seen in (image, tf.reverse(image, [2])))
  np.testing.assert_allclose(
      mirrored['semantic_probabilities'][:, :, ::-1],
      heads['semantic_probabilities'], atol=1e-4)
  for stride in windows.STRIDES:
    weights, other = (h[f'edge_weights_{stride}'] for h in (heads, mirrored))
    np.testing.assert_array_equal(
        mirrored[f'things_{stride}'][:, :, ::-1], heads[f'things_{stride}'])
    # The first edge leads to the right neighbor, the third one down.
    np.testing.assert_allclose(
        other[:, :, ::-1][:, :, 1:, 0], weights[:, :, :-1, 0], atol=1e-3)
    np.testing.assert_allclose(
        other[:, :, ::-1, 2], weights[..., 2], atol=1e-3)


def test_other_scales_average_class_probabilities_only(inference):
  scaled = tiny_ssap.inference()
  scaled.multi_scale = multi_scale.MultiScaleSettings((0.5, 1.0))
  image = _image()
  heads, plain = scaled.heads(image), inference.heads(image)
  np.testing.assert_allclose(
      heads['edge_weights_8'], plain['edge_weights_8'], atol=1e-3)
  assert np.abs(
      heads['semantic_probabilities'] - plain['semantic_probabilities']
  ).max() > 1e-3


def test_flat_graphs_and_other_ends_are_possible(inference):
  heads = inference.heads(_image())
  for strides in ((4, 4), (16, 8), (64, 64)):
    inference.merging = dataclasses.replace(
        inference.merging, start_stride=strides[0], stop_stride=strides[1])
    found = inference.decoding.merge(heads)['panoptic_map']
    assert found.shape == (1, 65, 129)
  inference.merging = tiny_ssap.inference().merging
