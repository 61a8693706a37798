"""Every importable model of DeepLab2 takes weights under DeepLab2's paths."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.experiment import config
from axial_tf.layers.residual import basic
from axial_tf.models import (
  deeplab2_models,
  panoptic_decoder,
  panoptic_deeplab,
)
from axial_tf.specs import dataset_spec
from axial_tf.tasks import panoptic
from axial_tf.training import initialization
from axial_tf.weights import deeplab2, importing
from tests.layers import harness

_BRANCH = panoptic_decoder.BranchSettings(8, 4, 4, 8, 8)
# The other models differ in width and number of blocks.
_STRUCTURES = [deeplab2_models.PREFIX + name for name in (
    'resnet50', 'resnet50_beta', 'wide_resnet41', 'axial_resnet_s',
    'axial_deeplab_s', 'axial_swidernet_1_1_1', 'max_deeplab_s_backbone')]


def _tiny(name):
  row = deeplab2_models.MODELS[name]
  return dataclasses.replace(
      row.settings, semantic=_BRANCH, instance=_BRANCH,
      backbone=dataclasses.replace(
          row.backbone, width_multiplier=0.125, stem_width_multiplier=0.125,
          blocks=(1, 1, 2, 1), heads=2))


class _Paths:
  """Walks a model of ours and collects its weights by DeepLab2's paths."""

  def __init__(self, model):
    self.paths = {}
    self._backbone(model.backbone)
    for name in ('semantic', 'instance'):
      self._decoder(f'{name}_decoder', getattr(model, f'{name}_decoder'))
    for ours, theirs in (('semantic_head', 'semantic'),
                         ('center_head', 'instance_center_head'),
                         ('offset_head', 'instance_regression_head')):
      head = getattr(model, ours)
      hidden = 'semantic_head' if ours == 'semantic_head' else theirs
      self._separable(f'{hidden}_without_last_layer', head.hidden)
      self.paths[f'{theirs}_last_layer/kernel'] = head.last.kernel
      self.paths[f'{theirs}_last_layer/bias'] = head.last.bias

  def _norm(self, path, norm, shape=None):
    for part in ('gamma', 'beta', 'moving_mean', 'moving_variance'):
      value = getattr(norm, part).numpy()
      self.paths[f'{path}/{part}'] = value.reshape(
          value.shape if shape is None else shape)

  def _conv(self, path, layer):
    self.paths[f'{path}/_conv/kernel'] = layer.conv.kernel
    self._norm(f'{path}/_batch_norm', layer.norm)

  def _separable(self, path, layer):
    depthwise = f'{path}/_conv1_bn_act/_depthwise'
    self.paths[f'{depthwise}/_depthwise_conv/depthwise_kernel'] = (
        layer.depthwise.depthwise_kernel)
    self._norm(f'{depthwise}/_batch_norm', layer.depthwise_norm)
    self._conv(f'{path}/_conv1_bn_act/_pointwise', layer.pointwise)

  def _backbone(self, backbone):
    first, *others = backbone.stem.convs
    if not others:
      self._conv('encoder/_stem', first)
    elif isinstance(others[0], basic.BasicBlock):
      self._conv('encoder/_stem', first)
      for index, block in enumerate(others):
        self._block(f'encoder/_stage1/_block{index + 1}', block)
    else:
      for name, conv in zip(
          ('conv1_bn_act', 'conv2_bn_act', 'conv3_bn'), backbone.stem.convs):
        self._conv(f'encoder/_stem/_{name}', conv)
    for stage, blocks in enumerate(backbone.stages):
      for index, block in enumerate(blocks):
        self._block(f'encoder/_stage{stage + 2}/_block{index + 1}', block)

  def _block(self, path, block):
    if block.shortcut is not None:
      self._conv(f'{path}/_shortcut', block.shortcut)
    if isinstance(block, basic.BasicBlock):
      self._conv(f'{path}/_conv1_bn_act', block.first)
      self._conv(f'{path}/_conv2_bn', block.second)
      return
    self._conv(f'{path}/_conv1_bn_act', block.reduce)
    self._conv(f'{path}/_conv3_bn', block.expand)
    if block.attention is None:
      self._conv(f'{path}/_conv2_bn_act', block.conv)
      return
    for axis in ('height', 'width'):
      layer = getattr(block.attention, f'{axis}_axis')
      below = f'{path}/_attention/_{axis}_axis'
      self.paths[f'{below}/qkv_kernel'] = layer.qkv_kernel
      self._norm(f'{below}/_batch_norm_qkv', layer.qkv_norm)
      self._norm(f'{below}/_batch_norm_similarity', layer.logit_norm,
                 [3, 1, 2, 1, 1])
      self._norm(f'{below}/_batch_norm_retrieved_output', layer.output_norm,
                 [2, 1, 2, 1, -1])
      for part in ('query', 'key', 'value'):
        self.paths[f'{below}/_{part}_rpe/embeddings'] = getattr(
            layer, f'{part}_rpe')

  def _decoder(self, path, decoder):
    if hasattr(decoder.projection, 'atrous'):
      aspp = decoder.projection
      self._conv(f'{path}/_aspp/_conv_bn_act', aspp.pixel)
      for index, conv in enumerate(aspp.atrous):
        self._conv(f'{path}/_aspp/_aspp_conv{index + 1}/_conv_bn_act', conv)
      self._conv(f'{path}/_aspp/_aspp_pool/_conv_bn_act', aspp.pooled)
      self._conv(f'{path}/_aspp/_proj_conv_bn_act', aspp.projection)
    else:
      self._conv(f'{path}/_aspp/_proj_conv_bn_act', decoder.projection)
    for index, level in enumerate(('res3', 'res2')):
      self._conv(f'{path}/_low_level_conv{index + 1}',
                 decoder.low_levels[level])
      self._separable(f'{path}/_fusion_conv{index + 1}',
                      decoder.fusions[level])


@pytest.mark.parametrize('name', _STRUCTURES)
def test_every_weight_finds_its_place(name):
  images = tf.random.stateless_normal([1, 33, 49, 3], [1, 2])
  model = panoptic_deeplab.PanopticDeepLab(_tiny(name), 3)
  model(images)
  harness.randomize(model)
  paths = {path: np.array(value) for path, value in _Paths(
      model).paths.items()}
  assert len(paths) == len(model.variables)
  clone = panoptic_deeplab.PanopticDeepLab(_tiny(name), 3)
  clone(images)
  report = initialization.assign(clone, deeplab2.arrays(paths), 'here')
  assert len(report.loaded) == len(paths)
  assert not (report.missing or report.unused or report.mismatched)
  found = clone(images)
  for key, expected in model(images).items():
    np.testing.assert_array_equal(found[key], expected, err_msg=key)


def test_a_decoder_inside_the_backbone_is_left_out(tmp_path):
  path = str(tmp_path / 'ckpt')
  root = tf.Module()
  for name in ('_stage2', '_decoder_stage1', '_decoder_stage4_resized_fuse'):
    setattr(root, name, tf.Module())
    getattr(root, name).kernel = tf.Variable([1.0])
  tf.train.Checkpoint(encoder=root).write(path)
  assert list(deeplab2.read(path)) == ['encoder/_stage2/kernel']


@pytest.mark.parametrize('file, variant, outputs', [
    ('cityscapes_deeplab2', 'deeplab2_wide_resnet41', 19),
    ('cityscapes_deeplab2', 'deeplab2_axial_swidernet_1_1_3', 19),
    ('cityscapes_deeplab2', 'deeplab2_resnet50', 19),
    ('coco_deeplab2', 'deeplab2_resnet50', 134)])
def test_experiments_hold_the_published_models(file, variant, outputs):
  experiment = config.parse(
      [f'experiments/{file}.gin'],
      ["RECORDS = 'none'", f"VARIANT = '{variant}'"])
  assert experiment.task.model == deeplab2_models.MODELS[variant].settings
  spec = dataset_spec.DatasetSpec.load(experiment.task.spec)
  assert spec.num_classes == outputs
  assert experiment.task.merging.max_centers == 400


def test_a_published_layout_becomes_a_run(tmp_path):
  """A wide network with a decoder of ASPP, end to end."""
  settings = _tiny('deeplab2_wide_resnet41')
  experiment = config.parse(['experiments/cityscapes_deeplab2.gin'], [
      "RECORDS = 'none'", "VARIANT = 'deeplab2_wide_resnet41'"])
  task = dataclasses.replace(experiment.task, model=settings)
  experiment = dataclasses.replace(experiment, task=task)
  spec = dataset_spec.DatasetSpec.load(task.spec)
  model = panoptic.build_model(task, spec)
  paths = {path: np.array(value)
           for path, value in _Paths(model).paths.items()}
  folder = str(tmp_path / 'run')
  report = importing.write_run(
      experiment, deeplab2.arrays(paths), 'here', folder)
  assert len(report.loaded) == len(paths)
  reader = tf.train.load_checkpoint(folder)
  stored = [name for name in reader.get_variable_to_shape_map()
            if name.startswith('model/')]
  assert len(stored) == len(paths)
