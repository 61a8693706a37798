"""Runs and exports that cannot be read here end in one line."""

import filecmp
import os
import pathlib
import shutil

import pytest
from tensorflow.core.protobuf import saved_model_pb2

import axial_tf
from axial_tf import errors
from axial_tf.experiment import config, run

_FIXTURE = pathlib.Path(__file__).parent / 'fixtures' / 'lines' / 'tf_2_20'


@pytest.mark.slow
@pytest.mark.parametrize('binding', [
    "OptimizerSettings.name = 'adam'", "OptimizerSettings.name = 'sgd'",
    'OptimizerSettings.average_decay = 0.9'])
def test_a_run_does_not_resume_with_a_new_optimizer(
    tmp_path, monkeypatch, binding):
  shutil.copytree(_FIXTURE, tmp_path / 'lines')
  monkeypatch.chdir(tmp_path / 'lines')
  with pytest.raises(
      errors.UserError, match="ckpt-6: lacks variables of this run's opt"):
    run.run(config.parse(['run/config.gin'], ['TRAIN_STEPS = 8', binding]),
            'run', 'train')
  assert filecmp.cmp('run/config.gin', _FIXTURE / 'run' / 'config.gin', False)


def test_a_truncated_checkpoint_is_named(tmp_path, monkeypatch):
  shutil.copytree(_FIXTURE, tmp_path / 'lines')
  monkeypatch.chdir(tmp_path / 'lines')
  os.truncate('run/ckpt-6.data-00000-of-00001', 1000)
  with pytest.raises(
      errors.UserError, match='ckpt-6: cannot be read .*; it may be damaged'):
    run.run(config.parse(['run/config.gin'], ['TRAIN_STEPS = 8']), 'run',
            'train')


def test_an_export_with_unknown_operations_names_its_tensorflow(tmp_path):
  shutil.unpack_archive(_FIXTURE / 'export.zip', tmp_path)
  path = tmp_path / '1' / 'saved_model.pb'
  content = saved_model_pb2.SavedModel.FromString(path.read_bytes())
  graph = content.meta_graphs[0]
  graph.meta_info_def.tensorflow_version = '2.99.0'
  nodes = [node for function in graph.graph_def.library.function
           for node in function.node_def]
  next(node for node in nodes if node.op == 'AddV2').op = 'AddV99'
  path.write_bytes(content.SerializeToString())
  with pytest.raises(
      errors.UserError, match="exported with TensorFlow 2.99.0.*'AddV99'.*"
      'that version, or export the model again') as caught:
    axial_tf.ImageClassifier(tmp_path)
  assert '\n' not in str(caught.value)
