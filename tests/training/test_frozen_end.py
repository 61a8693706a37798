"""The end of a training with frozen batch norms."""

import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.experiment import config, run
from tests import tiny_classes

# The phase begins in the middle of a loop of two steps.
_AFTER = 5
_BINDINGS = (
    *tiny_classes.BINDINGS, 'RunSettings.seed = 3', 'TRAIN_STEPS = 10',
    'RunSettings.steps_per_loop = 2', 'RunSettings.checkpoint_interval = 2',
    'RunSettings.checkpoints_to_keep = 9', 'RunSettings.frozen_share = 0.5',
    "OptimizerSettings.name = 'radam_lookahead'")


@pytest.fixture(scope='module')
def records(tmp_path_factory):
  return tiny_classes.write(tmp_path_factory.mktemp('colors'))


def _run(records, model_dir, *bindings):
  run.run(config.parse(
      ['experiments/cifar10_axial_resnet.gin'],
      [f"RECORDS = '{records}'", *_BINDINGS, *bindings]), model_dir, 'train')


def _weights(model_dir, step):
  reader = tf.train.load_checkpoint(f'{model_dir}/ckpt-{step}')
  return {key: reader.get_tensor(key)
          for key in reader.get_variable_to_shape_map()
          if key.endswith('VARIABLE_VALUE') and 'save_counter' not in key}


def _of_norms(weights):
  """Returns the weights of batch norms in the network, not their slots."""
  return {key: value for key, value in weights.items()
          if 'OPTIMIZER_SLOT' not in key and key.split('/')[-3] in (
              'gamma', 'beta', 'moving_mean', 'moving_variance')}


@pytest.mark.slow
@pytest.mark.parametrize('bindings', [(), (tiny_classes.AXIAL,)])
def test_batch_norms_are_frozen_and_the_rest_learns(
    records, tmp_path, capsys, bindings):
  model_dir = str(tmp_path / 'run')
  _run(records, model_dir, *bindings)
  assert capsys.readouterr().err.count(
      f'batch norms keep their statistics after step {_AFTER}\n') == 1
  before, begin, end = (_weights(model_dir, step) for step in (4, 8, 10))
  norms = _of_norms(begin)
  moved = {key for key in norms if not np.array_equal(norms[key], before[key])}
  assert any('moving_mean' in key for key in moved)
  assert {key: value.tolist() for key, value in norms.items()} == {
      key: value.tolist() for key, value in _of_norms(end).items()}
  kernels = [key for key in end if '/kernel/.ATTR' in key]
  assert kernels and all(
      not np.array_equal(begin[key], end[key]) for key in kernels)
  # What validation takes for weights are the frozen ones, too.
  for key in norms:
    slow = key.replace('/.ATTRIBUTES/', '/.OPTIMIZER_SLOT/optimizer/slow/'
                       '.ATTRIBUTES/')
    assert 'moving' in key or end[slow].tolist() == norms[key].tolist()


@pytest.mark.slow
@pytest.mark.parametrize('step', [4, 8])
def test_a_resumed_run_ends_as_if_it_had_not_stopped(records, tmp_path, step):
  whole, parts = str(tmp_path / 'whole'), str(tmp_path / 'parts')
  _run(records, whole)
  shutil.copytree(whole, parts)
  for later in range(step + 1, 11):
    for file in tf.io.gfile.glob(f'{parts}/ckpt-{later}.*'):
      os.remove(file)
  tf.compat.v1.train.update_checkpoint_state(
      parts, f'{parts}/ckpt-{step}')
  _run(records, parts)
  expected, found = _weights(whole, 10), _weights(parts, 10)
  assert expected.keys() == found.keys()
  for key, value in expected.items():
    np.testing.assert_allclose(found[key], value, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_loops_that_run_on_the_device_are_divided(
    records, tmp_path, monkeypatch):
  configured = run._trainer_config

  def on_device(*arguments):
    config_ = configured(*arguments)
    config_.trainer.train_tf_while_loop = True
    return config_

  monkeypatch.setattr(run, '_trainer_config', on_device)
  model_dir = str(tmp_path / 'run')
  _run(records, model_dir, 'RunSettings.steps_per_loop = 10',
       'TRAIN_STEPS = 6', 'RunSettings.frozen_share = 0.4')
  end = _of_norms(_weights(model_dir, 6))
  _run(records, str(tmp_path / 'short'), 'TRAIN_STEPS = 6',
       'RunSettings.frozen_share = 0.4')
  for key, value in _of_norms(_weights(str(tmp_path / 'short'), 6)).items():
    np.testing.assert_allclose(end[key], value, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_run_that_returns_to_an_earlier_step_thaws_them(
    records, tmp_path, monkeypatch, capsys):
  from axial_tf.tasks import classification
  values = classification.ClassificationTask.training_values

  def poisoned(self, inputs, model):
    """From step 6 on NaN, until the rate was lowered."""
    result = values(self, inputs, model)
    bad = (tf.summary.experimental.get_step() >= _AFTER) & (
        self.rate_scale == 1)
    return {**result, 'total_loss': tf.where(
        bad, float('nan'), result['total_loss'])}

  monkeypatch.setattr(
      classification.ClassificationTask, 'training_values', poisoned)
  model_dir = str(tmp_path / 'run')
  _run(records, model_dir, 'RunSettings.recoveries = 1')
  told = capsys.readouterr().err
  assert f'the loss of step {_AFTER + 1}' in told and 'ckpt-4' in told
  assert told.count('batch norms keep') == 2
  restored, end = _weights(model_dir, 4), _weights(model_dir, 10)
  assert any(not np.array_equal(value, _of_norms(end)[key])
             for key, value in _of_norms(restored).items())


@pytest.mark.parametrize('share', [-0.1, 1.0])
def test_other_shares_are_refused(records, share):
  with pytest.raises(errors.UserError, match=r'frozen_share.*\[0, 1\)'):
    config.parse(['experiments/cifar10_axial_resnet.gin'], [
        f"RECORDS = '{records}'", f'RunSettings.frozen_share = {share}'])
