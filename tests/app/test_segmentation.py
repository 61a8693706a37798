"""Merging again gives what a prediction with these settings gives."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.app import segmentation, uploads
from axial_tf.experiment import restore
from axial_tf.inference import multi_scale
from axial_tf.prediction import loaded_model, predictor
from tests import color_model


def _image() -> np.ndarray:
  """A scene with a second, lower peak on each ball, 4 and 5 pixels away."""
  image, _ = color_model.scene()
  image[12, 13] = image[16, 20] = 255, 150, 0
  return image


_IMAGE = _image()
_UPLOAD = uploads.Upload('scene.png', _IMAGE)
# Settings and the numbers of things and of stuff that they find.
_SETTINGS = [
    ({}, 4, 2),
    ({'center_threshold': 0.5}, 2, 2),
    ({'nms_kernel': 9}, 3, 2),
    ({'stuff_area_limit': 300}, 4, 1),
    ({'center_threshold': 0.5, 'nms_kernel': 9, 'stuff_area_limit': 600}, 2, 0),
]


@pytest.fixture(scope='module')
def of_export(export_dir):
  return segmentation.Segmentation(export_dir)


@pytest.fixture
def run(tmp_path, monkeypatch):
  """Makes a folder like that of a training run with the color model."""
  def make(max_long_side=None, **settings):
    def load_inference(_):
      inference = color_model.inference(max_long_side)
      inference.merging = dataclasses.replace(inference.merging, **settings)
      return inference

    monkeypatch.setattr(restore, 'load_inference', load_inference)
    (tmp_path / 'config.gin').write_text('')
    return str(tmp_path)

  return make


def _no_network(*_):
  raise AssertionError('the network ran again')


def _equal(found, expected):
  np.testing.assert_array_equal(found.panoptic_map, expected.panoptic_map)
  assert [dataclasses.replace(segment, score=None)
          for segment in found.segments] == [
              dataclasses.replace(segment, score=None)
              for segment in expected.segments]
  np.testing.assert_allclose(
      [segment.score for segment in found.segments],
      [segment.score for segment in expected.segments], atol=1e-5)



def _predicted(path, **options):
  """Returns what a prediction gives, without the time of a trace."""
  tf.config.run_functions_eagerly(True)
  try:
    return predictor.Predictor(path, **options)(_IMAGE)
  finally:
    tf.config.run_functions_eagerly(False)


def test_each_setting_equals_a_prediction(of_export, run, monkeypatch):
  analysis = of_export.analyze(_UPLOAD)
  monkeypatch.setattr(of_export, '_model', of_export._model._replace(
      heads=_no_network, predict=_no_network))
  for changed, things, stuff in _SETTINGS:
    result = of_export.merge(
        analysis, dataclasses.replace(color_model.MERGING, **changed))
    _equal(result, _predicted(run(**changed)))
    kinds = [segment.is_thing for segment in result.segments]
    assert (sum(kinds), len(kinds) - sum(kinds)) == (things, stuff), changed


def test_images_that_the_network_sees_smaller_equal_a_prediction(run):
  predicted = _predicted(
      run(max_long_side=23, nms_kernel=5, stuff_area_limit=90))
  model = segmentation.Segmentation(run(max_long_side=23))
  analysis = model.analyze(_UPLOAD)
  assert analysis.heads['center_heatmap'].shape == (1, 14, 23)
  result = model.merge(analysis, dataclasses.replace(
      color_model.MERGING, nms_kernel=5, stuff_area_limit=90))
  _equal(result, predicted)
  assert analysis.bytes > sum(head.nbytes for head in analysis.heads.values())
  heads = model.pictures_of_heads(analysis, result)
  assert set(heads) == set(model.head_pictures)
  assert heads['heatmap'].shape[1] >= 23


def test_views_of_a_run_equal_a_prediction_and_are_fixed_in_an_export(
    run, of_export):
  views = multi_scale.MultiScaleSettings((0.5, 1.0), True)
  model = segmentation.Segmentation(run())
  result = model.merge(model.analyze(_UPLOAD, views))
  _equal(result, _predicted(
      run(), scales=views.scales, flip=True))
  plain = model.merge(model.analyze(_UPLOAD))
  assert not np.array_equal(plain.panoptic_map, result.panoptic_map)
  assert (model.is_export, of_export.is_export) == (False, True)
  with pytest.raises(errors.UserError, match='fixed scales 1; give a training'):
    of_export.analyze(_UPLOAD, views)
  with pytest.raises(errors.UserError, match='got an export, which has no lay'):
    of_export.attention(of_export.analyze(_UPLOAD), (0, 0))


def test_other_kinds_of_networks_are_shown_with_their_own_settings(
    export_dir, monkeypatch):
  real = loaded_model.load
  monkeypatch.setattr(loaded_model, 'load', lambda *arguments: real(
      *arguments)._replace(head_names=('affinities',), heads=_no_network))
  model = segmentation.Segmentation(export_dir)
  assert model.merging is None and not model.head_pictures
  analysis = model.analyze(_UPLOAD)
  _equal(model.merge(analysis), _predicted(export_dir))
