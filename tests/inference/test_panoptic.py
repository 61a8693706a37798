"""Images in, maps and segments out, at the size of the images."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.data.common import resizing
from axial_tf.inference import panoptic as panoptic_inference
from tests import color_model
from tests.color_model import BALL, GROUND, SKY


def _segments(outputs):
  """Segment rows in use as {id: (class, area, box, score)}."""
  used = int(outputs['num_segments'])
  keys = ('segment_ids', 'segment_classes', 'segment_areas', 'segment_boxes',
          'segment_scores')
  assert all(not np.any(outputs[key][used:]) for key in keys)
  return {
      int(i): (int(c), int(a), tuple(b.tolist()), float(s))
      for i, c, a, b, s in zip(*(outputs[key].numpy()[:used] for key in keys))}


def test_a_scene_is_segmented_as_it_was_painted():
  image, panoptic = color_model.scene()
  outputs = color_model.inference().predict_image(tf.constant(image))
  np.testing.assert_array_equal(outputs['panoptic_map'], panoptic)
  found = _segments(outputs)
  assert {i: row[:3] for i, row in found.items()} == {
      GROUND: (0, 40 * 18 - 160, (6, 0, 24, 40)),
      BALL + 1: (1, 80, (8, 4, 16, 14)),
      BALL + 2: (1, 80, (12, 20, 20, 30)),
      SKY: (2, 240, (0, 0, 6, 40))}
  assert all(0.9 < row[3] <= 1 for row in found.values())


def test_probabilities_and_maps_of_a_batch_keep_their_size():
  image, panoptic = color_model.scene()
  outputs = color_model.inference()(tf.stack([image, image[::-1]]))
  assert outputs['semantic_probabilities'].shape == (2, 24, 40, 3)
  np.testing.assert_allclose(
      tf.reduce_sum(outputs['semantic_probabilities'], -1), 1, rtol=1e-5)
  np.testing.assert_array_equal(outputs['panoptic_map'][0], panoptic)


def test_a_batch_equals_its_single_images():
  images = np.stack([color_model.scene()[0], color_model.scene()[0][:, ::-1]])
  inference = color_model.inference(max_long_side=30)
  together = inference.predict(tf.constant(images))
  for index, image in enumerate(images):
    alone = inference.predict_image(tf.constant(image))
    for key, value in alone.items():
      np.testing.assert_allclose(together[key][index], value, rtol=1e-5)


def test_large_images_are_shrunk_and_their_maps_enlarged():
  image, panoptic = color_model.scene(scale=3)
  inference = color_model.inference(max_long_side=40)
  outputs = inference.predict_image(tf.constant(image))
  np.testing.assert_array_equal(outputs['panoptic_map'], panoptic)
  assert {i: row[:3] for i, row in _segments(outputs).items()} == {
      GROUND: (0, 9 * (40 * 18 - 160), (18, 0, 72, 120)),
      BALL + 1: (1, 720, (24, 12, 48, 42)),
      BALL + 2: (1, 720, (36, 60, 60, 90)),
      SKY: (2, 2160, (0, 0, 18, 120))}


def test_the_network_sees_what_the_validation_pipeline_would_show_it():
  image = np.random.default_rng(0).integers(0, 256, [50, 37, 3], np.uint8)
  seen = []

  def model(images, training, output_size):
    seen.append(images.numpy())
    return color_model.ColorModel()(images)

  panoptic_inference.PanopticInference(
      model, color_model.SPEC, color_model.MERGING,
      max_long_side=21).predict_image(tf.constant(image))
  size = resizing.long_side_size(50, 37, 21, False)
  shrunk = np.round(tf.image.resize(image, size, 'bilinear').numpy())
  assert seen[0].shape == (1, 21, 16, 3)
  np.testing.assert_array_equal(np.round((seen[0][0] + 1) * 127.5), shrunk)


def test_smaller_images_are_enlarged_only_on_request():
  image, panoptic = color_model.scene()
  for enlarge, size in ((False, (24, 40)), (True, (48, 80))):
    seen = []

    def model(images, training, output_size, seen=seen):
      seen.append(images.shape[1:3])
      return color_model.ColorModel()(images)

    outputs = panoptic_inference.PanopticInference(
        model, color_model.SPEC, color_model.MERGING, max_long_side=80,
        enlarge=enlarge).predict_image(tf.constant(image))
    assert seen == [size]
    assert outputs['panoptic_map'].shape == panoptic.shape


def test_segments_lost_by_shrinking_the_map_are_not_in_the_table():
  """On an enlarged image the network may find what no raw pixel samples."""
  def model(images, training, output_size):
    outputs = color_model.ColorModel()(images)
    row = tf.range(tf.shape(images)[1])[:, tf.newaxis]
    # Raw pixel i samples row 2 i + 1 of the doubled image, never row 6.
    sky = tf.one_hot(tf.where(tf.equal(row, 6), 2, 0), 3) * 10
    logits = tf.zeros_like(outputs['semantic_logits']) + sky
    return {**outputs, 'semantic_logits': logits}

  outputs = panoptic_inference.PanopticInference(
      model, color_model.SPEC, color_model.MERGING, max_long_side=20,
      enlarge=True).predict_image(tf.zeros([10, 10, 3], tf.uint8))
  assert {i: row[:3] for i, row in _segments(outputs).items()} == {
      GROUND: (0, 100, (0, 0, 10, 10))}


@pytest.mark.parametrize('source, target', [
    ((5, 7), (5, 7)), ((5, 7), (13, 20)), ((13, 20), (5, 7)), ((1, 1), (4, 3))])
def test_map_resizing_takes_the_nearest_pixel(source, target):
  panoptic = np.random.default_rng(0).integers(0, 99, source).astype(np.int32)
  resized = resizing.nearest_array(panoptic, *target)
  expected = tf.image.resize(panoptic[..., None], target, 'nearest')[..., 0]
  np.testing.assert_array_equal(resized, expected)


@pytest.mark.parametrize('shape', [(1, 1), (1, 9), (17, 1)])
@pytest.mark.parametrize('max_long_side', [None, 4])
def test_odd_sizes(shape, max_long_side):
  image = np.zeros([*shape, 3], np.uint8)
  outputs = color_model.inference(max_long_side).predict_image(
      tf.constant(image))
  assert outputs['panoptic_map'].shape == shape
  assert outputs['segment_areas'][0] == shape[0] * shape[1]


def test_tracing_once_changes_no_result():
  image = tf.constant(color_model.scene()[0])
  inference = color_model.inference(max_long_side=30)
  for key, value in inference.traced().predict_image(image).items():
    np.testing.assert_allclose(
        value, inference.predict_image(image)[key], rtol=1e-5)
