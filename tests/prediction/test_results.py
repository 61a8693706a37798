"""One result, whether it comes from a model, a server or a map."""

import io
import pickle

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.files import images
from axial_tf.prediction import predictor, results
from tests import color_model
from tests.color_model import BALL, GROUND, SPEC

_SCENE, _MAP = color_model.scene()


def _result(**options):
  return results.PanopticResult.from_map(_MAP, SPEC, {BALL + 1: 0.5}, **options)


@pytest.mark.parametrize('max_long_side', [None, 20, 90])
def test_a_model_measures_the_segments_of_its_map(max_long_side):
  inference = color_model.inference(max_long_side, enlarge=True)
  outputs = {key: value.numpy() for key, value in inference.predict_image(
      tf.constant(_SCENE)).items()}
  found = results.PanopticResult.from_table(
      outputs['panoptic_map'], outputs, SPEC, _SCENE)
  scores = {segment.id: segment.score for segment in found.segments}
  assert len(scores) >= 2
  again = results.PanopticResult.from_map(found.panoptic_map, SPEC, scores)
  assert again.segments == found.segments


def test_segments_have_all_known_fields():
  result = _result()
  assert [segment.area for segment in result.segments] == [560, 240, 80, 80]
  assert result.segments[2] == results.Segment(
      id=BALL + 1, label=1, score=0.5, area=80, box=(8, 4, 16, 14), category=37,
      name='ball', color=(220, 60, 40), is_thing=True)
  assert result.segments[0].id == GROUND and result.segments[0].score is None


def test_a_picture_needs_image_and_colors():
  expected = _result(source=_SCENE).picture
  assert expected.shape == _SCENE.shape
  np.testing.assert_array_equal(
      _result(source=images.png_bytes(_SCENE)).picture, expected)
  with pytest.raises(errors.UserError, match='needs the image'):
    _ = _result().picture
  with pytest.raises(errors.UserError, match='model.json'):
    _ = results.PanopticResult(_MAP, (), _SCENE).picture


def test_a_picture_of_a_large_image_shows_some_of_its_rows_and_columns(
    monkeypatch):
  assert _result().thinned().panoptic_map is _MAP
  monkeypatch.setattr(results, '_DRAWN', 200)
  result = _result(source=_SCENE)  # 24 x 40 pixels
  shown = result.thinned()
  assert result.picture.shape == (8, 14, 3)
  np.testing.assert_array_equal(shown.panoptic_map, _MAP[::3, ::3])
  np.testing.assert_array_equal(shown.image, _SCENE[::3, ::3])
  assert shown.segments == result.segments


def test_the_png_holds_the_map():
  with Image.open(io.BytesIO(_result().panoptic_png)) as image:
    np.testing.assert_array_equal(np.asarray(image)[..., 0], _MAP)


def test_results_travel_between_processes():
  again = pickle.loads(pickle.dumps(_result(source=_SCENE)))
  assert again.segments == _result().segments
  np.testing.assert_array_equal(again.image, _SCENE)


def test_old_names():
  assert predictor.PanopticResult is results.PanopticResult
  entry = results.ClassProbability(3, None, 'cat', 0.25)
  assert entry.score == entry.probability == 0.25
