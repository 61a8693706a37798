"""The backbone is what the Model Garden expects, and our network inside."""

import numpy as np
from official.vision.configs import common
from official.vision.modeling import backbones as garden_backbones
from official.vision.ops import preprocess_ops
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.keras2 import keras
from axial_tf.layers import normalization
from axial_tf.model_garden import backbone, configs
from axial_tf.models import settings_by_name
from tests.model_garden import tiny_experiments

_NORM = common.NormActivation(
    norm_momentum=0.75, norm_epsilon=0.03, use_sync_bn=False)
_ROWS = settings_by_name.ROWS


def _build(parameters, size=(64, 96), decay=None, norm=_NORM, **changes):
  config = configs.Backbone()
  config.override(parameters)
  config.axial_resnet.override(changes)
  return garden_backbones.factory.build_backbone(
      keras.layers.InputSpec(shape=[None, *size, 3]), config, norm,
      keras.regularizers.l2(decay) if decay else None)


@pytest.fixture(scope='module')
def with_attention():
  return _build(tiny_experiments.BACKBONE, decay=0.01)


@pytest.mark.parametrize('output_stride, names', [
    (8, {'2': 'res2', '3': 'res5'}),
    (16, {'2': 'res2', '3': 'res3', '4': 'res5'}),
    (32, {'2': 'res2', '3': 'res3', '4': 'res4', '5': 'res5'})])
def test_levels_are_strides(output_stride, names):
  assert backbone.endpoints(output_stride) == names
  model = _build(tiny_experiments.CONVOLUTIONS, output_stride=output_stride)
  assert model.output_specs.keys() == model.output.keys() == names.keys()
  for level, shape in model.output_specs.items():
    stride = 2 ** int(level)
    assert shape[1:3] == [64 // stride, 96 // stride]
  assert model.output_specs[max(names)][-1] == 2048 * 0.0625


@pytest.mark.parametrize('training', [False, True])
def test_the_network_gets_images_as_in_our_training(eager, training):
  model = _build(tiny_experiments.CONVOLUTIONS, size=(None, None))
  pixels = np.random.default_rng(0).integers(0, 256, [2, 64, 64, 3], np.uint8)
  levels = model(preprocess_ops.normalize_image(tf.constant(pixels)),
                 training=training)
  expected = model.network(pixels / np.float32(127.5) - 1, training=training)
  for level, name in backbone.endpoints(32).items():
    np.testing.assert_allclose(
        levels[level], expected[name], atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_every_weight_learns(eager, with_attention):
  with tf.GradientTape() as tape:
    outputs = with_attention(tf.random.normal([2, 64, 96, 3]), training=True)
    loss = tf.reduce_sum(outputs['5'] ** 2)
  variables = with_attention.trainable_variables
  for variable, gradient in zip(variables, tape.gradient(loss, variables)):
    assert gradient is not None, variable.name


def test_kernels_decay_and_nothing_else(with_attention):
  penalty = sum(0.01 * np.sum(np.square(variable.numpy()))
                for variable in with_attention.trainable_variables
                if variable.shape.rank > 1 and 'rpe' not in variable.name)
  assert sum(map(float, with_attention.losses)) == pytest.approx(
      penalty, rel=1e-4)


def test_all_norms_are_those_of_the_configuration(with_attention):
  plain = [layer for layer in with_attention.submodules
           if isinstance(layer, keras.layers.BatchNormalization)]
  moments = [layer for layer in with_attention.submodules
             if isinstance(layer, normalization.MomentNormalization)]
  assert len(plain) > 8 and len(moments) > 8
  assert {(layer.momentum, layer.epsilon) for layer in plain} == {(0.75, 0.03)}
  assert {layer.normalizer.epsilon for layer in moments} == {0.03}


@pytest.mark.parametrize('use_sync_bn', [False, True])
def test_norms_are_synchronized_as_configured(use_sync_bn):
  model = _build(tiny_experiments.CONVOLUTIONS,
                 norm=common.NormActivation(use_sync_bn=use_sync_bn))
  assert {layer.synchronized for layer in model.submodules if isinstance(
      layer, keras.layers.BatchNormalization)} == {use_sync_bn}


def test_restored_from_its_configuration():
  model = _build(tiny_experiments.CONVOLUTIONS, decay=0.01)
  copy = backbone.Backbone.from_config(model.get_config())
  assert copy.output_specs == model.output_specs
  assert len(copy.losses) == len(model.losses) > 0
  assert [v.shape for v in copy.variables] == [v.shape for v in model.variables]


def test_each_row_of_the_table_is_a_variant():
  for name, row in _ROWS.items():
    assert configs.AxialResNet(variant=name).settings() == row.backbone
    for output_stride in (8, 16, 32):
      assert configs.AxialResNet(
          variant=name, output_stride=output_stride
      ).settings().output_stride == output_stride
    if getattr(row.backbone, 'spatial', '') == 'axial':
      for span, expected in ((9, 9), (0, None)):
        assert configs.AxialResNet(
            variant=name, span=span).settings().span == expected


@pytest.mark.parametrize('fields, message', [
    ({'variant': 'axial_resnet_xs'}, 'variant: expected one of axial_resnet_s'),
    ({'output_stride': 4}, 'output_stride: expected 8, 16 or 32'),
    ({'output_stride': 'four'}, 'output_stride: expected int'),
    ({'span': 8}, 'span: expected'),
    ({'variant': 'conv_stem_attention', 'span': 0}, 'span: expected'),
    ({'blocks': [3, 4, 6]}, 'blocks: expected'),
    ({'width_multiplier': 0.3}, 'width_multiplier: expected a multiple of'),
    ({'drop_path_rate': 1.0}, 'drop_path_rate: expected 0 <= x < 1'),
    ({'variant': 'panoptic_deeplab_xception71', 'span': 9}, 'got span')])
def test_bad_fields(fields, message):
  with pytest.raises(errors.UserError, match=message):
    configs.AxialResNet(**fields).settings()


def test_images_below_the_output_stride():
  with pytest.raises(errors.UserError, match='output stride, 32, got'):
    _build(tiny_experiments.CONVOLUTIONS, size=(31, 64))


def test_no_activation_but_relu():
  with pytest.raises(errors.UserError, match="'relu'.* got 'swish'"):
    _build(tiny_experiments.CONVOLUTIONS,
           norm=common.NormActivation(activation='swish'))
