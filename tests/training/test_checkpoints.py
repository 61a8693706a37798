"""A checkpoint restores its model and refuses any other with one line."""

import os

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.files import paths
from axial_tf.keras2 import keras
from axial_tf.training import checkpoints


def _model(units: int) -> keras.Model:
  model = keras.Sequential([keras.layers.Dense(units)])
  model.build([None, 3])
  return model


@pytest.fixture
def saved(tmp_path):
  model = _model(4)
  optimizer = keras.optimizers.legacy.Adam()
  optimizer.apply_gradients(
      [(tf.ones_like(v), v) for v in model.trainable_variables])
  checkpoint = tf.train.Checkpoint(
      model=model, optimizer=optimizer, global_step=tf.Variable(1))
  return model, checkpoint.save(str(tmp_path / 'ckpt'))


def test_restores_the_weights(saved, tmp_path):
  model, path = saved
  assert checkpoints.latest(str(tmp_path)) == path
  other = _model(4)
  checkpoints.restore_model(other, path)
  for restored, original in zip(other.variables, model.variables):
    np.testing.assert_array_equal(restored, original)


def test_another_model_is_refused_before_anything_is_loaded(saved):
  other = _model(5)
  before = [v.numpy() for v in other.variables]
  with pytest.raises(errors.UserError, match='of another model.*--model_dir'):
    checkpoints.restore_model(other, saved[1])
  for now, then in zip(other.variables, before):
    np.testing.assert_array_equal(now, then)


def test_a_damaged_checkpoint_is_refused(saved, tmp_path):
  data = next(tmp_path.glob('*.data-*'))
  data.write_bytes(data.read_bytes()[:10])
  with pytest.raises(errors.UserError, match=str(tmp_path)):
    checkpoints.restore_model(_model(4), saved[1])


def test_a_missing_checkpoint_is_refused(tmp_path):
  assert checkpoints.latest(str(tmp_path)) is None
  with pytest.raises(errors.UserError, match='no_such'):
    checkpoints.restore_model(_model(4), str(tmp_path / 'no_such'))


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
  model = _model(4)
  model.variables[0][0, 0].assign(value)
  path = tf.train.Checkpoint(model=model).save(str(tmp_path / 'ckpt'))
  with pytest.raises(errors.UserError, match='kernel:0 is not finite'):
    checkpoints.restore_model(_model(4), path)


@pytest.fixture
def odd_folder(tmp_path):
  """A folder that TensorFlow takes for a pattern, with three checkpoints."""
  folder = tmp_path / 'run[1] *?'
  folder.mkdir()
  model = _model(4)
  manager = tf.train.CheckpointManager(
      tf.train.Checkpoint(model=model, global_step=tf.Variable(7)),
      paths.literal(str(folder)), max_to_keep=2)
  for number in (1, 2, 3):
    manager.save(checkpoint_number=number)
  return model, folder


def test_a_folder_named_like_a_pattern(odd_folder):
  model, folder = odd_folder
  assert checkpoints.latest(str(folder)) == str(folder / 'ckpt-3')
  assert not (folder / 'ckpt-1.index').exists()
  assert len(list(folder.iterdir())) == 2 * 2 + 1
  other = _model(4)
  checkpoints.restore_model(other, str(folder / 'ckpt-2'))
  np.testing.assert_array_equal(other.variables[0], model.variables[0])
  assert checkpoints.step_of(str(folder / 'ckpt-3')) == 7
  assert checkpoints.validated_keys(str(folder / 'ckpt-3')) == {}


def test_every_way_to_name_a_checkpoint(odd_folder, monkeypatch):
  _, folder = odd_folder
  for name in ('ckpt-2', 'ckpt-2.index', 'ckpt-2.data-00000-of-00001'):
    assert checkpoints.find(str(folder / name)) == str(folder / 'ckpt-2')
  for path in (folder, folder / 'checkpoint'):
    assert checkpoints.find(str(path)) == str(folder / 'ckpt-3')
  monkeypatch.chdir(folder)
  assert checkpoints.find('ckpt-2.index') == 'ckpt-2'
  assert os.path.samefile(
      checkpoints.find('checkpoint') + '.index', folder / 'ckpt-3.index')
  for missing in ('ckpt-1', 'ckpt-1.index', str(folder.parent)):
    with pytest.raises(errors.UserError, match='holds no checkpoint'):
      checkpoints.find(missing)


def test_a_damaged_list_of_checkpoints(tmp_path):
  (tmp_path / 'checkpoint').write_text('')
  with pytest.raises(errors.UserError, match='checkpoint: is damaged'):
    checkpoints.latest(str(tmp_path))
