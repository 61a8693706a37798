"""Keras 2 is the same in both lines of TensorFlow, next to Keras 3 too."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import axial_tf
from axial_tf import errors, keras2
from axial_tf.inference import panoptic as panoptic_inference
from axial_tf.panoptic import merging
from tests import color_model

with_keras_3 = pytest.mark.skipif(
    keras2.IS_TF_2_15, reason='tf.keras of TensorFlow 2.15 is Keras 2')


def _layer():
  return axial_tf.AxialAttention2D(8, 16, heads=2)


def test_it_is_keras_2():
  assert issubclass(keras2.keras.layers.Layer, tf.Module)  # Not so in Keras 3.
  model = keras2.keras.Sequential([_layer(), keras2.keras.layers.Dense(3)])
  assert model(tf.ones([1, 5, 6, 8])).shape == (1, 5, 6, 3)


@with_keras_3
def test_it_works_in_a_program_that_uses_keras_3():
  dense = tf.keras.layers.Dense(8)
  outputs = _layer()(tf.convert_to_tensor(dense(np.ones([1, 5, 6, 4]))))
  assert tf.keras.__version__.startswith('3.')
  assert outputs.shape == (1, 5, 6, 16)


@with_keras_3
def test_tensors_and_models_of_keras_3_are_refused():
  with pytest.raises(errors.UserError, match=(
      'AxialAttention2D: expected .* Keras 2, got a KerasTensor of Keras 3')):
    _layer()(tf.keras.Input([5, 6, 8]))
  model = tf.keras.Sequential([tf.keras.layers.Dense(3)])
  with pytest.raises(errors.UserError, match='got a Sequential of Keras 3'):
    panoptic_inference.PanopticInference(
        model, color_model.inference().spec, merging.MergingSettings())


@pytest.mark.slow
@pytest.mark.parametrize('value', ['1', '0'])
def test_the_variable_for_legacy_keras(value, project_root):
  done = subprocess.run(
      [sys.executable, '-m', 'axial_tf.count', '--variant=resnet50'],
      env={**os.environ, 'TF_USE_LEGACY_KERAS': value}, cwd=project_root,
      capture_output=True, text=True)
  if keras2.IS_TF_2_15 and value == '1':
    assert done.returncode == 1 and done.stderr.count('\n') == 1
    assert done.stderr.startswith('error: TF_USE_LEGACY_KERAS: expected it not')
  else:
    assert done.returncode == 0 and 'resnet50' in done.stdout


@with_keras_3
def test_a_missing_package_is_one_line(project_root, tmp_path):
  (tmp_path / 'tf_keras.py').write_text('raise ImportError("broken")')
  done = subprocess.run(
      [sys.executable, '-m', 'axial_tf.count', '--variant=resnet50'],
      env={**os.environ, 'PYTHONPATH': f'{tmp_path}:{project_root}'},
      cwd=tmp_path, capture_output=True, text=True)
  assert done.returncode == 1 and done.stderr.count('\n') == 1
  assert "pip install 'tf-keras==2.20.*'" in done.stderr
