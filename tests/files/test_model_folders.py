"""Runs and exports are distinguished by their files, without TensorFlow."""

import json
import subprocess
import sys

import pytest

from axial_tf import errors
from axial_tf.files import model_folders


def _write(folder, *names, **content):
  for name in names:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
  return str(folder)


@pytest.mark.parametrize('task', model_folders.TASKS)
def test_runs_exports_and_versions(tmp_path, task):
  run = _write(tmp_path / 'run', 'config.gin', task.spec_file)
  assert model_folders.find(run) == (run, False, task)
  export = _write(
      tmp_path / 'export', '2/saved_model.pb', '2/model.json',
      '10/saved_model.pb', '10/model.json', '11/unfinished',
      **{task.spec: {}})
  assert model_folders.versions(export) == [2, 10]
  assert model_folders.find(export) == (f'{export}/10', True, task)
  assert model_folders.find(f'{export}/2') == (f'{export}/2', True, task)


@pytest.mark.parametrize('names', [
    ('config.gin',), ('1/saved_model.pb',), ('saved_model.pb', 'model.json')])
def test_a_model_without_a_task_is_left_to_its_loader(tmp_path, names):
  found = model_folders.find(_write(tmp_path, *names))
  assert found.task is None
  found.require(model_folders.PANOPTIC)


@pytest.mark.parametrize('make, words', [
    (lambda folder: folder / 'gone', 'gone: no such folder'),
    (lambda folder: _write(folder, 'x') + '/x', 'x: is a file'),
    (lambda folder: _write(folder, '1/x'), 'holds no model')])
def test_folders_that_are_not_models_are_named(tmp_path, make, words):
  with pytest.raises(errors.UserError, match=words):
    model_folders.find(make(tmp_path))


def test_a_model_of_another_task_is_named_with_its_predictor(tmp_path):
  run = _write(tmp_path, 'config.gin', 'class_spec.json')
  with pytest.raises(errors.UserError, match=(
      f'{run}: expected a model of panoptic segmentation, got one of '
      'classification, which axial_tf.ImageClassifier can use')):
    model_folders.find(run).require(model_folders.PANOPTIC)


def test_local_folders_need_no_tensorflow(tmp_path, project_root):
  run = _write(tmp_path, 'config.gin', 'class_spec.json')
  subprocess.run([sys.executable, '-c', f"""
import sys
from axial_tf.files import model_folders
assert model_folders.find({run!r}).task is model_folders.CLASSIFICATION
assert not any(name.startswith('tensorflow') for name in sys.modules)
"""], check=True, cwd=project_root)
