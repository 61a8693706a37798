"""Outputs of one image become objects; unexpected ones are reported."""

import dataclasses
import json

import numpy as np
import pytest

from axial_tf import errors
from axial_tf.client import answers
from axial_tf.files import images
from tests import color_model, tiny_classes

_NOTHING = {
    'panoptic_png_bytes': b'', 'num_segments': -1, 'segment_ids': [],
    'segment_classes': [], 'segment_scores': [], 'segment_areas': [],
    'segment_boxes': []}


def test_marked_images_have_no_answer():
  assert answers.from_outputs(_NOTHING, color_model.SPEC) is None
  assert answers.from_outputs(
      {'classes': np.int32([-1, -1]), 'scores': np.float32([0, 0]),
       'class_names': [b'', b'']}) is None


@pytest.mark.parametrize('outputs', [
    {}, {'probabilities': [1]}, {'panoptic_png_bytes': b''}])
def test_other_models_are_reported(outputs):
  with pytest.raises(errors.UserError, match='axial_tf.export'):
    answers.from_outputs(outputs)


def test_a_different_model_json_is_reported():
  scene = color_model.scene()[1]
  png = images.png_bytes(np.dstack(
      [scene & 255, scene >> 8, scene >> 16]).astype(np.uint8))
  outputs = {
      'panoptic_png_bytes': png, 'num_segments': 1, 'segment_ids': [200],
      'segment_classes': [2], 'segment_scores': [0.5], 'segment_areas': [9],
      'segment_boxes': [[0, 0, 3, 3]]}
  assert answers.from_outputs(
      outputs, color_model.SPEC).segments[0].name == 'sky'
  two = dataclasses.replace(
      color_model.SPEC, categories=color_model.SPEC.categories[:2])
  with pytest.raises(errors.UserError, match='category 2.*model.json does not'):
    answers.from_outputs(outputs, two)


def test_model_json_of_either_task(tmp_path):
  path = tmp_path / 'model.json'
  for key, spec, expected in (
      ('dataset_spec', color_model.SPEC, color_model.SPEC),
      ('class_spec', tiny_classes.SPEC, None)):
    path.write_text(json.dumps({key: spec.to_json()}))
    assert answers.read_spec(str(path)) == expected
    assert answers.read_spec(str(tmp_path)) == expected
  path.write_text('{}')
  with pytest.raises(errors.UserError, match='dataset spec'):
    answers.read_spec(str(path))
