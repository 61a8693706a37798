"""Frozen batch norms stay unchanged; everything else learns."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.experiment import config
from axial_tf.tasks import registry
from axial_tf.training import checkpoints, freezing
from tests import tiny_classes

_STAGE = 'backbone/stage2_*'


@pytest.fixture(scope='module')
def records(tmp_path_factory):
  return tiny_classes.write(tmp_path_factory.mktemp('colors'))


def _task(records, *patterns, recompute=None):
  experiment = config.parse(['experiments/cifar10_axial_resnet.gin'], [
      f"RECORDS = '{records}'", *tiny_classes.BINDINGS, tiny_classes.AXIAL,
      f'RunSettings.frozen_batch_norms = {patterns}',
      f'variant_settings.recompute = {recompute!r}'])
  run = dataclasses.replace(experiment.run, mixed_precision='float32')
  return registry.build(experiment.task, run, experiment.optimizer)


@pytest.mark.parametrize('recompute', [None, 'all'])
def test_a_step_leaves_frozen_layers_alone(records, recompute):
  task = _task(records, _STAGE, recompute=recompute)
  model = task.build_model()
  optimizer = task.create_optimizer(None)
  places = checkpoints.places(model)
  for place, variable in places.items():
    if place.endswith('gamma'):  # 0 before residuals: nothing would learn.
      variable.assign(tf.ones_like(variable))
  before = {place: v.numpy() for place, v in places.items()}
  batch = next(iter(task.build_inputs('train')))
  for _ in range(3):  # The first ones warm up.
    task.train_step(batch, model, optimizer)
  changed = {place for place, v in places.items()
             if not np.array_equal(v.numpy(), before[place])}
  of_norms = {place for place in places if place.split('/')[-1] in (
      'gamma', 'beta', 'moving_mean', 'moving_variance')}
  frozen = {place for place in of_norms
            if place.startswith('backbone/stage2_')}
  assert frozen and not frozen & changed
  # Those of attention move, too; a beta that softmax ignores need not.
  others = {place for place in of_norms - frozen if 'moving' in place}
  assert others and others <= changed
  kernels = {place for place in places if place.endswith('kernel')
             and place.startswith('backbone/stage2_')}
  assert kernels and kernels <= changed


def test_all_of_them_and_none(records):
  model = _task(records).build_model()
  trainable = len(model.trainable_variables)
  norms = freezing.freeze_batch_norms(model, ['*'])
  assert len(model.trainable_variables) == trainable - 2 * len(norms)
  assert any('attention' in place for place in norms)


def test_patterns_of_earlier_runs_are_known(records):
  model = _task(records).build_model()
  assert (freezing.freeze_batch_norms(model, ['backbone/stages/0/*'])
          == freezing.freeze_batch_norms(model, [_STAGE]))


def test_a_pattern_without_a_match_lists_some_layers(records):
  with pytest.raises(errors.UserError, match="'stage1' matches none of the .* "
                     "batch norms, which are backbone/"):
    _task(records, 'stage1').build_model()
