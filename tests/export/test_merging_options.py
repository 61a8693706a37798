"""Settings of the merging reach the SavedModel from gin files and specs."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.experiment import config
from axial_tf.export import saved_model
from axial_tf.files import model_folders
from axial_tf.inference import panoptic as panoptic_inference
from axial_tf.panoptic import merging
from axial_tf.specs import dataset_spec
from axial_tf.tasks import panoptic
from tests import color_model

_OPTIONS = {
    'suppression': 'border', 'min_instance_area': 5, 'min_agreement': 0.1}
_BINDINGS = [
    "RECORDS = '/nowhere'", 'PanopticTaskSettings.merging = @MergingSettings()',
    "MergingSettings.suppression = 'border'",
    'MergingSettings.min_instance_area = 5',
    'MergingSettings.min_agreement = 0.1']


def _inference(**options):
  return panoptic_inference.PanopticInference(
      color_model.ColorModel(), color_model.SPEC,
      dataclasses.replace(color_model.MERGING, **options))


def _scene():
  """Two balls, one of them with a second center, and two pixels of noise."""
  image, panoptic = color_model.scene()
  image[9, 9] = 240, 240, 0
  image[22:, 4], panoptic[22:, 4] = (240, 240, 0), color_model.SPEC.void_label
  return image, panoptic


@pytest.mark.slow
def test_the_export_merges_as_the_inference(tmp_path):
  image, panoptic = _scene()
  inference = _inference(**_OPTIONS)
  expected = inference.predict_image(tf.constant(image))
  np.testing.assert_array_equal(expected['panoptic_map'], panoptic)
  plain = _inference().predict_image(tf.constant(image))
  assert plain['num_segments'] > expected['num_segments']
  folder = saved_model.export_saved_model(inference, str(tmp_path))
  content = model_folders.read_model_json(folder)
  assert content['merging'] == dataclasses.asdict(inference.merging)
  loaded = tf.saved_model.load(folder)
  outputs = loaded.signatures['image_tensor'](
      image_tensor=tf.constant(image)[tf.newaxis])
  for key in set(expected) - {'score_map'}:
    np.testing.assert_allclose(outputs[key][0], expected[key], rtol=1e-5)


def test_gin_files_and_specs_set_them():
  spec = color_model.SPEC
  task = config.parse(['experiments/demo.gin'], _BINDINGS).task
  from_gin = panoptic.build_inference(task, spec, color_model.ColorModel())
  assert from_gin.merging == merging.MergingSettings(**_OPTIONS)
  written = dataclasses.replace(spec, merging=_OPTIONS).to_json()
  from_spec = panoptic.build_inference(
      dataclasses.replace(task, merging=None),
      dataset_spec.DatasetSpec.from_json(written), color_model.ColorModel())
  assert from_spec.merging == from_gin.merging


def test_specs_of_earlier_runs_may_have_options_that_are_gone():
  written = {**color_model.SPEC.to_json(), 'merging': {
      **_OPTIONS, 'center_votes': 0.0, 'subpixel_peaks': False}}
  assert dataset_spec.DatasetSpec.from_json(
      written).merging_settings() == merging.MergingSettings(**_OPTIONS)
  written['merging']['center_votes'] = 1.0
  with pytest.raises(errors.UserError, match="unknown key 'center_votes'"):
    dataset_spec.DatasetSpec.from_json(written)


def test_a_wrong_name_is_refused_in_one_line(tmp_path):
  with pytest.raises(errors.UserError) as refused:
    config.parse(['experiments/demo.gin'], [
        *_BINDINGS, "MergingSettings.suppression = 'disk'"])
  assert 'MergingSettings.suppression: expected' in str(refused.value)
  assert '\n' not in str(refused.value)
  with pytest.raises(errors.UserError, match="suppression.*got 'disk'"):
    dataset_spec.DatasetSpec.from_json({
        **color_model.SPEC.to_json(), 'merging': {'suppression': 'disk'}})
