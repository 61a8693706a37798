"""Every model of the paper: it runs, trains, restores, and has its counts."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.models import (
  ablations,
  axial_resnet,
  classifier,
  counts,
  deeperlab,
  mobilenet_v2,
  panoptic_decoder,
  panoptic_deeplab,
  settings_by_name,
  ssap,
  variants,
  xception,
)
from tests.models import names

_ROWS = settings_by_name.ROWS
_BRANCH = panoptic_decoder.BranchSettings(8, 4, 4, 8, 8)


def _tiny(variant: variants.Variant) -> variants.Variant:
  """The same structure with few blocks and channels, all of one width."""
  backbone = variant.backbone
  if isinstance(backbone, xception.XceptionSettings):
    backbone = dataclasses.replace(
        backbone, width_multiplier=0.125, middle_modules=1)
  elif isinstance(backbone, mobilenet_v2.MobileNetV2Settings):
    backbone = dataclasses.replace(backbone, width_multiplier=0.125)
  else:
    backbone = dataclasses.replace(
        backbone, width_multiplier=0.125, stem_width_multiplier=0.125,
        blocks=(1, 1, 1, 1), heads=2)
  settings = backbone
  if isinstance(variant.settings, deeperlab.DeeperLabSettings):
    settings = dataclasses.replace(
        variant.settings, backbone=backbone, aspp_channels=4,
        low_level_channels=2, decoder_channels=2, semantic_channels=4,
        instance_channels=4)
  elif isinstance(variant.settings, ssap.SSAPSettings):
    settings = dataclasses.replace(
        variant.settings, backbone=backbone, decoder_channels=8,
        branch_channels=8)
  elif variant.is_panoptic:
    settings = dataclasses.replace(
        variant.settings, backbone=backbone, semantic=_BRANCH,
        instance=_BRANCH, decoder=dataclasses.replace(
            variant.settings.decoder, heads=2))
  return dataclasses.replace(variant, settings=settings)


# Rows that differ in width or depth only are one structure.
_STRUCTURES = {
    _tiny(row).settings: name
    for name, row in reversed(variants.VARIANTS.items())}
# These put parts together as the others do.
_COMBINED = {
    'axial_resnet_s', 'conv_stem_attention', 'panoptic_deeplab_ps_attention'}


def test_structures_are_all_that_differ():
  assert len(_STRUCTURES) == 13


@pytest.mark.parametrize(
    'name', sorted({*_STRUCTURES.values()} - _COMBINED))
def test_structures_train_and_restore(name, tmp_path):
  variant = _tiny(variants.VARIANTS[name])
  model = variant.build(3)
  stride = variant.backbone.output_stride
  images = tf.random.stateless_normal([2, stride + 1, 33, 3], [1, 2])

  def step():
    with tf.GradientTape() as tape:
      outputs = tf.nest.flatten(model(images, training=True))
      loss = tf.add_n([tf.reduce_mean(tf.square(x - 1)) for x in outputs])
    return tape.gradient(loss, model.trainable_variables)

  for variable, gradient in zip(model.trainable_variables, step()):
    assert np.isfinite(gradient).all(), variable.name
  names.check(model)

  clone = type(model).from_config(model.get_config())
  assert clone.get_config() == model.get_config()
  model.save_weights(str(tmp_path / 'weights'))
  loaded = clone.load_weights(str(tmp_path / 'weights'))
  for expected, output in zip(*(
      tf.nest.flatten(m(images)) for m in (model, clone))):
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(output, expected)
  loaded.assert_consumed()

  endpoints = model.backbone(images)
  assert set(endpoints) == {'stem', 'res2', 'res3', 'res4', 'res5'}
  for key, level in (('res2', 4), ('res3', 8), ('res4', 16), ('res5', stride)):
    assert endpoints[key].shape[1:3] == tuple(
        -(-size // level) for size in images.shape[1:3])


# Multiply-adds that are off by more than 3 %, in %; docs/fidelity.md explains
# them: the paper evidently counts the batch norms and softmaxes of attention,
# which weigh most in the narrowest models and are left out here.
_KNOWN_DEVIATIONS = {
    'axial_resnet_s': -3.1,
    'axial_resnet_s_full': -3.1,
    'axial_resnet_0.375': -7.0,
    'conv_stem_ps_attention_0.5': -5.1,
    'conv_stem_ps_attention_0.75': -3.7,
}
# The same of parameters, off by more than 1 %: 5.02 million for 5.1.
_KNOWN_PARAMETERS = {'conv_stem_ps_attention_0.5': -1.6}
_COUNTED = [name for name, row in _ROWS.items() if row.published]


def test_a_classifier_runs_in_a_graph_of_any_size():
  model = _tiny(variants.VARIANTS['resnet50']).build(3)
  images = tf.random.stateless_normal([2, 40, 33, 3], [1, 2])
  expected = tf.nest.flatten(model(images))

  @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3])])
  def run(images):
    return tf.nest.flatten(model(images, training=False))

  for output, wanted in zip(run(images), expected):
    np.testing.assert_allclose(output, wanted, atol=1e-4)


def _check_counts(name):
  for count in counts.count(name, _ROWS[name]):
    if name in _KNOWN_PARAMETERS:
      assert _KNOWN_PARAMETERS[name] < count.params_difference < -1
    else:
      assert abs(count.params_difference) < 1
    for difference in (count.madds_difference, count.aligned_difference):
      if name in _KNOWN_DEVIATIONS:
        assert _KNOWN_DEVIATIONS[name] < difference < -3
      else:
        assert abs(difference) < 3


@pytest.mark.parametrize('name', [
    'axial_resnet_s', 'axial_resnet_s_full', 'axial_deeplab_s',
    'axial_deeplab_l', 'conv_stem_ps_attention', 'resnet50',
    'panoptic_deeplab_resnet101', 'panoptic_deeplab_xception71',
    'axial_deeplab_l_os32_axial_decoder'])
def test_published_counts(name):
  _check_counts(name)


@pytest.mark.long
@pytest.mark.parametrize('name', _COUNTED)
def test_all_published_counts(name):
  _check_counts(name)


def test_an_unknown_variant_lists_the_known_ones():
  with pytest.raises(errors.UserError, match='one of axial_resnet_s, .*_xl, '):
    settings_by_name.variant_settings('axial_resnet_xs')
  with pytest.raises(errors.UserError) as error:
    settings_by_name.panoptic_settings('resnet50')
  assert 'axial_deeplab_s, ' in str(error.value)
  assert ', resnet50' not in str(error.value)


def test_overrides_of_none_keep_the_variant():
  row = variants.VARIANTS['axial_deeplab_m'].backbone
  assert settings_by_name.variant_settings(
      'axial_deeplab_m', span=None, heads=None) == row
  changed = settings_by_name.variant_settings('axial_deeplab_m', span=0)
  assert changed.span is None
  assert dataclasses.replace(changed, span=65) == row


def test_ablations_are_found_by_name():
  row = ablations.ABLATIONS['axial_deeplab_l_os32_axial_decoder'].settings
  assert settings_by_name.panoptic_settings(
      'axial_deeplab_l_os32_axial_decoder') == row
  backbone = settings_by_name.variant_settings('axial_deeplab_l_span17')
  assert backbone.span == 17


def test_overrides_of_a_panoptic_row():
  row = variants.VARIANTS['axial_deeplab_l'].settings
  assert settings_by_name.panoptic_settings(
      'axial_deeplab_l', backbone=None) == row
  decoder = panoptic_decoder.DecoderSettings(context='aspp')
  assert settings_by_name.panoptic_settings(
      'axial_deeplab_l', decoder=decoder) == dataclasses.replace(
          row, decoder=decoder)


@pytest.mark.parametrize('function, field, known', [
    (settings_by_name.variant_settings, 'depth', 'width_multiplier'),
    (settings_by_name.panoptic_settings, 'heads', 'backbone')])
def test_an_unknown_field_lists_the_known_ones(
    function, field, known):
  with pytest.raises(errors.UserError, match=f'expected only {known}.*{field}'):
    function('axial_deeplab_s', **{field: 3})


def test_other_backbones_take_their_own_overrides():
  settings = settings_by_name.variant_settings(
      'panoptic_deeplab_xception71', middle_modules=8)
  assert settings == xception.XceptionSettings(middle_modules=8)
  with pytest.raises(errors.UserError, match='expected only width_multiplier'):
    settings_by_name.variant_settings('panoptic_deeplab_xception71', span=5)


def test_defaults_are_axial_deeplab_l():
  row = variants.VARIANTS['axial_deeplab_l'].settings
  assert row.backbone == axial_resnet.AxialResNetSettings()
  assert dataclasses.replace(
      row, decoder=panoptic_decoder.DecoderSettings()) == (
          panoptic_deeplab.PanopticDeepLabSettings())


def test_dropout_and_bad_classifiers():
  row = _tiny(variants.VARIANTS['resnet50'])
  model = row.build(2)
  assert model.get_config()['dropout_rate'] == 0
  dropping = classifier.Classifier(
      classifier.ClassifierSettings(row.backbone, dropout_rate=0.9), 2)
  images = tf.random.stateless_normal([2, 32, 32, 3], [1, 2])
  dropping(images)
  # The same features each time, but for the dropout.
  dropping.backbone.trainable = False
  first, second = (dropping(images, training=True) for _ in range(2))
  assert not np.array_equal(first, second)
  np.testing.assert_array_equal(dropping(images), dropping(images))
  with pytest.raises(errors.UserError, match='dropout_rate'):
    classifier.ClassifierSettings(dropout_rate=1.0)
  with pytest.raises(errors.UserError, match='the output stride, 32'):
    model(tf.zeros([1, 31, 64, 3]))
