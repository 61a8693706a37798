"""The name of a weight is its path of attributes, in every type of model."""

import dataclasses

import pytest
import tensorflow as tf

from axial_tf.models import classifier, panoptic_deeplab, settings_by_name
from axial_tf.training import checkpoints

# One row of each stem, block and decoder.
_ROWS = (
    'axial_resnet_s', 'axial_resnet_s_full', 'conv_stem_attention',
    'resnet50', 'panoptic_deeplab_xception71', 'axial_deeplab_s',
    'axial_deeplab_l_axial_decoder', 'panoptic_deeplab_resnet50_aspp',
    'deeplab2_resnet50_beta', 'deeplab2_wide_resnet41')
_NARROW = {'width_multiplier': 0.25, 'stem_width_multiplier': 0.25,
           'heads': 4, 'middle_modules': 2, 'blocks': (2, 1, 1, 1)}


def _build(name):
  row = settings_by_name.ROWS[name]
  known = {field.name for field in dataclasses.fields(row.backbone)}
  backbone = dataclasses.replace(row.backbone, **{
      key: value for key, value in _NARROW.items() if key in known})
  if row.is_panoptic:
    model = panoptic_deeplab.PanopticDeepLab(
        dataclasses.replace(row.settings, backbone=backbone), 3)
  else:
    model = classifier.Classifier(
        classifier.ClassifierSettings(backbone), 3)
  model(tf.zeros([1, 33, 33, 3]))
  return model


@pytest.mark.parametrize('row', _ROWS)
def test_name_and_path_are_the_same(row):
  model = _build(row)
  places = checkpoints.places(model)
  assert len(places) == len(model.variables)
  assert places.keys() == {
      variable.name.partition('/')[2].partition(':')[0]
      for variable in model.variables}
