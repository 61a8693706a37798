"""A run first reports what is wrong around it, and leaves nothing behind."""

import json
import os

import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.experiment import config, run
from axial_tf.files import folder_lock
from axial_tf.training import cluster as cluster_lib
from axial_tf.training import run_settings, strategies
from tests import tiny_classes


def _run(model_dir, *bindings, mode='train', records='nowhere'):
  parsed = config.parse(['experiments/cifar10_axial_resnet.gin'], [
      f"RECORDS = '{records}'", *tiny_classes.BINDINGS,
      *bindings])
  return run.run(parsed, str(model_dir), mode)


@pytest.mark.parametrize('bindings, words', [
    (['RunSettings.num_gpus = 1'], 'RunSettings.num_gpus: expected at most'),
    (["RunSettings.strategy = 'mirrored'", 'RunSettings.num_gpus = 64'],
     'RunSettings.num_gpus: expected at most'),
    (["RunSettings.strategy = 'multi_worker_mirrored'"], 'TF_CONFIG is not'),
    (["RunSettings.strategy = 'tpu'"], 'found no TPU at this machine'),
])
def test_missing_devices_and_clusters_are_named_first(
    tmp_path, monkeypatch, bindings, words):
  if bindings == ['RunSettings.num_gpus = 1'] and (
      tf.config.list_physical_devices('GPU')):
    bindings = ['RunSettings.num_gpus = 64',
                "RunSettings.strategy = 'mirrored'"]
  monkeypatch.delenv('TF_CONFIG', raising=False)
  with pytest.raises(errors.UserError) as error:
    _run(tmp_path / 'run', *bindings)
  assert words in str(error.value) and '\n' not in str(error.value)
  assert os.listdir(tmp_path) == []


def test_the_first_line_names_the_devices(capsys, monkeypatch):
  monkeypatch.delenv('TF_CONFIG', raising=False)
  settings = run_settings.RunSettings(num_gpus=0)
  place = strategies.find_place(settings, trains=True)
  assert capsys.readouterr().err == (
      'devices: one_device, CPU (RunSettings.num_gpus = 0)\n')
  assert place.is_chief
  strategy = strategies.start(settings, place)
  device, = strategy.extended.worker_devices
  assert device.endswith('device:CPU:0')


def test_an_evaluation_during_training_needs_no_cluster(monkeypatch):
  monkeypatch.delenv('TF_CONFIG', raising=False)
  place = strategies.find_place(run_settings.RunSettings(
      strategy='multi_worker_mirrored'), trains=False)
  assert (place.strategy, place.cluster) == ('mirrored', None)


def test_a_cluster_that_is_not_used_is_reported(monkeypatch, capsys):
  monkeypatch.setenv('TF_CONFIG', '{"cluster": {}}')
  strategies.find_place(run_settings.RunSettings(), trains=True)
  assert "'one_device' does not use it" in capsys.readouterr().err


def test_only_the_chief_locks(monkeypatch, capsys):
  settings = run_settings.RunSettings(strategy='multi_worker_mirrored')
  chiefs = []
  for index in range(2):
    monkeypatch.setenv('TF_CONFIG', json.dumps({
        'cluster': {'worker': ['a:1', 'b:1']},
        'task': {'type': 'worker', 'index': index}}))
    chiefs.append(strategies.find_place(settings, trains=True).is_chief)
  assert chiefs == [True, False]
  assert 'worker 1 of 2 workers' in capsys.readouterr().err


_CLUSTER = cluster_lib.Cluster(
    ('worker 0', 'worker 1'), ('a:1', 'b:2'), 0)


@pytest.mark.parametrize('text', [
    'Collective ops is aborted by: Error reported from /job:worker/task:1: '
    'Task /job:worker/replica:0/task:1 heartbeat timeout.',
    'Additional GRPC error information from remote target '
    '/job:worker/replica:0/task:1 while calling'])
def test_a_worker_that_died_is_named(text):
  with pytest.raises(errors.UserError) as error:
    with strategies.worker_errors(_CLUSTER):
      raise tf.errors.UnavailableError(None, None, text)
  assert 'worker 1 (b:2) no longer answers' in str(error.value)
  assert 'same command on all workers' in str(error.value)


@pytest.mark.parametrize('cluster, text', [
    (None, 'Collective ops is aborted'), (_CLUSTER, 'gs: unreachable')])
def test_other_errors_pass(cluster, text):
  with pytest.raises(tf.errors.UnavailableError):
    with strategies.worker_errors(cluster):
      raise tf.errors.UnavailableError(None, None, text)


def test_the_garden_leaves_sigterm_alone():
  """Its handler would replace the run's, with several workers."""
  settings = run_settings.RunSettings(strategy='multi_worker_mirrored')
  parameters = run._trainer_config(settings, 'pq')
  assert not parameters.trainer.preemption_on_demand_checkpoint


def test_a_second_run_in_the_folder_is_refused(tmp_path):
  model_dir = tmp_path / 'run'
  with folder_lock.held(model_dir, 'model_dir'):
    with pytest.raises(errors.UserError, match='in use by process'):
      _run(model_dir)
    assert os.listdir(model_dir) == ['.lock']
    # What only reads is not refused for it.
    with pytest.raises(errors.UserError, match='no checkpoint to evaluate'):
      _run(model_dir, mode='eval')


@pytest.mark.slow
def test_a_run_locks_its_folder_to_its_end(tmp_path, monkeypatch):
  model_dir = tmp_path / 'run'

  def inside(settings, strategy, folder, mode, stop):
    assert os.listdir(folder) == (['.lock'] if 'train' in mode else [])

  monkeypatch.setattr(run, '_run', inside)
  for mode in ('train', 'train_and_eval'):
    _run(model_dir, mode=mode)
    assert not model_dir.exists()
  (tmp_path / 'open').mkdir()
  _run(tmp_path / 'open', mode='continuous_eval')
