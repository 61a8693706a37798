import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.models import (
  backbones,
  deeplab2_models,
  panoptic_decoder,
  panoptic_deeplab,
  settings_by_name,
)
from tests.models import names

_BRANCH = panoptic_decoder.BranchSettings(8, 4, 4, 8, 8)
# The other models differ in width, number of blocks, stem and type of block;
# test_variants.py has those.
_STRUCTURES = [deeplab2_models.PREFIX + name for name in (
    'resnet50_beta', 'wide_resnet41', 'axial_swidernet_1_1_1',
    'max_deeplab_s_backbone')]


def _check_count(name):
  model = deeplab2_models.MODELS[name]
  with tf.Graph().as_default():  # Allocates no memory for variables.
    backbone = backbones.build(model.backbone, 'backbone')
    backbone(tf.zeros([1, 65, 65, 3]))
    count = sum(
        v.shape.num_elements() for v in backbone.trainable_variables)
  assert count == model.backbone_params


@pytest.mark.parametrize('name', [
    'deeplab2_resnet50_beta', 'deeplab2_wide_resnet41',
    'deeplab2_axial_swidernet_1_1_1', 'deeplab2_max_deeplab_s_backbone'])
def test_published_counts(name):
  _check_count(name)


@pytest.mark.long
@pytest.mark.parametrize('name', deeplab2_models.MODELS)
def test_all_published_counts(name):
  _check_count(name)


def test_the_decoder_after_the_last_stage_of_max_deeplab_l():
  """Its four decoder stages and their input projections, as published.

  They are not part of our backbone, and its count leaves them out.
  """
  def conv(side, channels, filters):  # With gamma and beta.
    return side * side * channels * filters + 2 * filters

  def basic(channels):
    return 2 * conv(3, channels, channels)

  channels, heads, rows = 2048, 8, 509
  depths = 2 * channels // 2  # All queries and keys together.
  axis = (
      channels * (depths + channels) + 2 * (depths + channels)
      + 2 * 3 * heads + 2 * 2 * channels
      + rows * (depths + channels) // heads)
  axial = 2 * conv(1, channels, channels) + 2 * axis
  blocks = basic(512) + basic(256) + basic(512) + axial
  fusions = (conv(1, 2048, 512) + conv(1, 512, 256) + conv(1, 256, 512)
             + conv(1, 512, 2048))
  ours = deeplab2_models.MODELS['deeplab2_max_deeplab_l_backbone']
  assert ours.backbone_params + blocks + fusions == 175_115_392


@pytest.mark.parametrize('name', _STRUCTURES)
def test_structures_train_and_restore(name):
  """With few blocks and channels."""
  row = deeplab2_models.MODELS[name]
  backbone = dataclasses.replace(
      row.backbone, width_multiplier=0.125, stem_width_multiplier=0.125,
      blocks=(1, 1, 2, 1), heads=2)
  settings = dataclasses.replace(
      row.settings, backbone=backbone, semantic=_BRANCH, instance=_BRANCH)
  model = panoptic_deeplab.PanopticDeepLab(settings, 3)
  images = tf.random.stateless_normal([1, 33, 49, 3], [1, 2])
  with tf.GradientTape() as tape:
    loss = tf.add_n([
        tf.reduce_mean(tf.square(output - 1))
        for output in model(images, training=True).values()])
  gradients = tape.gradient(loss, model.trainable_variables)
  for variable, gradient in zip(model.trainable_variables, gradients):
    assert np.isfinite(gradient).all(), variable.name
  names.check(model)
  clone = type(model).from_config(model.get_config())
  assert clone.get_config() == model.get_config()
  clone(images)
  clone.set_weights(model.get_weights())
  np.testing.assert_array_equal(
      clone(images)['offset'], model(images)['offset'])


def test_models_are_found_by_name():
  for name, row in deeplab2_models.MODELS.items():
    assert settings_by_name.panoptic_settings(name) == row.settings
    assert settings_by_name.variant_settings(name) == row.backbone


def test_only_these_models_see_gray_padding():
  for name, row in settings_by_name.ROWS.items():
    if row.is_panoptic:
      expected = 'gray' if name in deeplab2_models.MODELS else 'edge'
      assert row.settings.padding == expected, name


def test_blocks_of_larger_networks_can_be_configured():
  large = settings_by_name.variant_settings(
      'deeplab2_axial_swidernet_1_1_1', blocks=[6, 12, 6, 6], span=65)
  assert (large.blocks, large.span) == ((6, 12, 6, 6), 65)
