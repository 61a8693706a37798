"""Tasks start from checkpoints of ours, and refuse what no model can have."""

import json

import numpy as np
from official.core import exp_factory, task_factory
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.model_garden import transfer
from axial_tf.models import classifier
from tests.model_garden import tiny_experiments

_CLASSES, _RETINANET, _MASK_RCNN, _SEGMENTATION = tiny_experiments.NAMES


def _task(name, checkpoint=None, modules='backbone', **model):
  """Returns the task of an experiment on convolutions."""
  experiment = exp_factory.get_exp_config(name)
  experiment.override(json.loads(tiny_experiments.overrides(
      name, 'none', tiny_experiments.CONVOLUTIONS)))
  experiment.override({'task': {
      'init_checkpoint': checkpoint and str(checkpoint),
      'init_checkpoint_modules': modules}})
  experiment.task.model.override(model)
  return task_factory.get_task(experiment.task)


@pytest.fixture(scope='module')
def ours():
  """A classifier as our training builds it, on the same backbone."""
  settings = _task(_CLASSES).task_config.model.backbone.get().settings()
  model = classifier.Classifier(classifier.ClassifierSettings(settings), 7)
  model(tf.zeros([1, 64, 64, 3]))
  return model


@pytest.fixture(scope='module')
def checkpoint(ours, tmp_path_factory):
  """Its checkpoint, as our training writes it."""
  return tf.train.Checkpoint(model=ours, global_step=tf.Variable(3)).save(
      tmp_path_factory.mktemp('ours') / 'ckpt')


@pytest.fixture(scope='module')
def theirs():
  return _task(_CLASSES).build_model()


def _forget(model):
  for variable in model.variables:
    variable.assign(tf.zeros_like(variable))


def _assert_equal_weights(one, other):
  for variable, expected in zip(one.variables, other.variables):
    np.testing.assert_array_equal(variable, expected, err_msg=variable.name)


def test_starts_from_our_classifier(ours, checkpoint, theirs, capsys):
  _forget(theirs)
  _task(_CLASSES, checkpoint).initialize(theirs)
  _assert_equal_weights(theirs.backbone.network, ours.backbone)
  assert not np.any(theirs.variables[-1])  # The head is another one.
  report = capsys.readouterr().err
  assert f'loaded: {len(ours.backbone.variables)} (backbone/stage2' in report
  assert 'unused by the model: 2 (last 2)' in report


def test_starts_from_a_folder_of_a_run_of_ours(ours, checkpoint, theirs):
  _forget(theirs)
  report = transfer.load(theirs.backbone.network, checkpoint.rpartition('/')[0])
  assert not report.missing and not report.mismatched
  _assert_equal_weights(theirs.backbone.network, ours.backbone)


def test_starts_from_a_checkpoint_of_the_model_garden(theirs, tmp_path):
  task = _task(_CLASSES)
  other = task.build_model()
  path = tf.train.Checkpoint(
      model=other, **other.checkpoint_items).save(tmp_path / 'ckpt')
  assert not transfer.is_ours(path)
  _forget(theirs)
  _task(_CLASSES, path).initialize(theirs)
  _assert_equal_weights(theirs.backbone, other.backbone)


def test_ours_initializes_nothing_but_the_backbone(checkpoint, theirs):
  with pytest.raises(errors.UserError, match="expected 'backbone'.* got 'all'"):
    _task(_CLASSES, checkpoint, 'all').initialize(theirs)


def test_no_checkpoint(theirs, tmp_path):
  with pytest.raises(errors.UserError, match='holds no checkpoint'):
    _task(_CLASSES, tmp_path).initialize(theirs)


@pytest.mark.parametrize('name, model, message', [
    (_CLASSES, {'input_size': [16, 64, 3]}, 'output stride, 32, got'),
    (_RETINANET, {'input_size': [64, 65, 3]}, r'2 \*\* max_level, 32 at'),
    (_RETINANET, {'max_level': 7}, r'2 \*\* max_level, 128 at level 7, got'),
    (_MASK_RCNN, {'input_size': [48, 64, 3]}, r'2 \*\* max_level'),
    (_MASK_RCNN, {'min_level': 1}, 'task.model.min_level: expected a level'),
    (_SEGMENTATION, {'input_size': [65, 65, 3]}, 'the output stride, 16, got'),
    (_SEGMENTATION, {'backbone': {'axial_resnet': {'output_stride': 8}}},
     'decoder.aspp.level: expected a level of the backbone, 2, 3 at output')])
def test_what_no_model_can_have(name, model, message):
  with pytest.raises(errors.UserError, match=message):
    _task(name, **model).build_model()
