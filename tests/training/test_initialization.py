"""A classifier's weights start a panoptic model; what differs is named."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.keras2 import keras
from axial_tf.models import (
  axial_resnet,
  classifier,
  panoptic_decoder,
  panoptic_deeplab,
)
from axial_tf.training import initialization

_BRANCH = panoptic_decoder.BranchSettings(8, 4, 4, 8, 8)


def _backbone(**fields):
  return axial_resnet.AxialResNetSettings(**{**dict(
      width_multiplier=0.0625, stem_width_multiplier=0.125, heads=2,
      blocks=(1, 1, 1, 1), stem_pooling=True), **fields})


def _classifier(num_classes=3, **fields):
  model = classifier.Classifier(
      classifier.ClassifierSettings(_backbone(**fields)), num_classes)
  model(tf.zeros([1, 32, 32, 3]))
  return model


def _panoptic(**fields):
  model = panoptic_deeplab.PanopticDeepLab(
      panoptic_deeplab.PanopticDeepLabSettings(
          _backbone(**fields), semantic=_BRANCH, instance=_BRANCH), 4)
  model(tf.zeros([1, 33, 33, 3]))
  return model


def _save(model, folder):
  """As a training run does it."""
  checkpoint = tf.train.Checkpoint(
      model=model, optimizer=keras.optimizers.legacy.SGD())
  return tf.train.CheckpointManager(checkpoint, str(folder), 1).save()


@pytest.fixture(scope='module')
def source(tmp_path_factory):
  model = _classifier(stem='small', span=None, output_stride=8)
  for variable in model.variables:
    variable.assign(tf.random.stateless_uniform(
        variable.shape, [3, len(variable.name)]))
  folder = tmp_path_factory.mktemp('source')
  return model, folder, _save(model, folder)


def test_all_weights_of_the_same_model_are_loaded(source):
  model, folder, checkpoint = source
  other = _classifier(stem='small', span=None, output_stride=8)
  report = initialization.load(other, str(folder))
  assert report.source == checkpoint
  assert len(report.loaded) == len(model.variables)
  assert not (report.mismatched or report.missing or report.unused)
  for a, b in zip(model.variables, other.variables):
    np.testing.assert_array_equal(a, b)


def test_a_backbone_moves_to_other_sizes_spans_and_strides(source):
  """No table has to be cut or stretched; the stem is of another type."""
  model, _, checkpoint = source
  target = _panoptic(stem='inception', span=5, output_stride=16)
  stem = [v.numpy() for v in target.backbone.stem.variables]
  report = initialization.load(target, checkpoint)
  for a, b in zip(model.backbone.stages[2][0].variables,
                  target.backbone.stages[2][0].variables):
    np.testing.assert_array_equal(a, b)
  # The first block of the first stage sees the stem's channels.
  outside = {name for name in report.mismatched + report.missing
             if name.startswith('backbone/') and '/stem/' not in name}
  assert all(name.startswith('backbone/stage2_block1/') for name in outside)
  assert any('backbone/stem/' in name for name in report.missing)
  assert all(name.startswith(('last/', 'backbone/stage2_block1/shortcut/'))
             for name in report.unused)
  kernel = target.backbone.stem.convs[1].conv.kernel.numpy()
  assert any(np.array_equal(kernel, value) for value in stem)
  total = (len(report.loaded) + len(report.mismatched) + len(report.missing))
  assert total == len(target.variables)


def test_a_head_of_other_classes_keeps_its_own_values(source):
  _, _, checkpoint = source
  target = _classifier(7, stem='small', span=None, output_stride=8)
  before = target.last.kernel.numpy()
  report = initialization.load(target, checkpoint)
  assert report.mismatched == ('last/bias', 'last/kernel')
  np.testing.assert_array_equal(target.last.kernel, before)
  lines = report.format_table().splitlines()
  assert any('mismatched (other shape): 2 (last 2)' in line for line in lines)
  assert any('backbone/stage2 ' in line and ' loaded: ' in line
             for line in lines)


def test_no_matching_weights_is_an_error(source):
  _, _, checkpoint = source
  model = keras.Sequential([keras.layers.Dense(2)])
  model(tf.zeros([1, 3]))
  with pytest.raises(errors.UserError, match='none of its .* weights fits'):
    initialization.load(model, checkpoint)


def test_missing_and_damaged_checkpoints(source, tmp_path):
  model, _, checkpoint = source
  for path in (tmp_path, tmp_path / 'no_such'):
    with pytest.raises(errors.UserError, match='holds no checkpoint'):
      initialization.load(model, str(path))
  for suffix in ('.index', '.data-00000-of-00001'):
    (tmp_path / f'ckpt-1{suffix}').write_bytes(b'nothing')
  with pytest.raises(errors.UserError, match='cannot be read'):
    initialization.load(model, str(tmp_path / 'ckpt-1'))
  assert checkpoint
