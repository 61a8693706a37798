"""An interrupted run ends as if it had not been, or says why not."""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.experiment import config, restore, run, run_folder
from axial_tf.export import saved_model
from axial_tf.prediction import image_classifier
from axial_tf.training import checkpoints, progress
from tests import tiny_classes

_EXPERIMENT = 'experiments/cifar10_axial_resnet.gin'
_BINDINGS = (*tiny_classes.BINDINGS, 'RunSettings.seed = 3',
             'RunSettings.steps_per_loop = 2',
             'RunSettings.checkpoint_interval = 4')


@pytest.fixture(scope='module')
def records(tmp_path_factory):
  return tiny_classes.write(tmp_path_factory.mktemp('colors'))


def _run(records, model_dir, *bindings, mode='train'):
  parsed = config.parse(
      [_EXPERIMENT], [f"RECORDS = '{records}'", *_BINDINGS, *bindings])
  return run.run(parsed, str(model_dir), mode)


def _weights(model_dir):
  """All numbers of the newest checkpoint: weights, slots and the step."""
  path = checkpoints.latest(str(model_dir))
  reader = tf.train.load_checkpoint(path)
  return {key: reader.get_tensor(key)
          for key in reader.get_variable_to_shape_map()
          if key.endswith('VARIABLE_VALUE') and 'save_counter' not in key}


def _at_step(monkeypatch, step, do):
  """Calls `do` when the progress line of a step is due."""
  call = progress.ProgressLine.__call__

  def hooked(self, output):
    if int(self._global_step.numpy()) == step:
      do()
    call(self, output)

  monkeypatch.setattr(progress.ProgressLine, '__call__', hooked)


@pytest.fixture(scope='module')
def undisturbed(records, tmp_path_factory):
  model_dir = tmp_path_factory.mktemp('runs') / 'undisturbed'
  _run(records, model_dir, mode='train_and_eval')
  return model_dir


@pytest.mark.slow
def test_an_interrupted_run_ends_with_the_same_weights(
    records, undisturbed, tmp_path, monkeypatch):
  def interrupt():
    raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    _at_step(patch, 6, interrupt)
    with pytest.raises(KeyboardInterrupt):
      _run(records, tmp_path / 'run')
  assert checkpoints.step_of(checkpoints.latest(str(tmp_path / 'run'))) < 6
  # What a kill in the middle of a checkpoint leaves behind.
  (tmp_path / 'run' / 'ckpt-8_temp').mkdir()
  (tmp_path / 'run' / 'ckpt-8.data-00000-of-00001').write_bytes(b'half')
  _run(records, tmp_path / 'run')
  expected, actual = _weights(undisturbed), _weights(tmp_path / 'run')
  assert expected.keys() == actual.keys()
  for key, value in expected.items():
    np.testing.assert_allclose(actual[key], value, rtol=1e-4, atol=1e-6,
                               err_msg=key)


@pytest.mark.slow
def test_an_interrupted_validation_is_repeated(
    records, tmp_path, monkeypatch, eager):
  """A kill within a validation leaves it incomplete."""
  def interrupt(*_):
    raise KeyboardInterrupt

  bindings = ('RunSettings.validation_interval = 4',)
  with monkeypatch.context() as patch:
    patch.setattr(progress, 'append_metrics', interrupt)
    with pytest.raises(KeyboardInterrupt):
      _run(records, tmp_path / 'run', *bindings, mode='train_and_eval')
  (tmp_path / 'run' / 'metrics.jsonl').write_text('{"step": 0, "to\n')
  for _ in range(2):  # The second has nothing to repeat but the last one.
    _run(records, tmp_path / 'run', *bindings, mode='train_and_eval')
  steps = [json.loads(line)['step'] for line in
           (tmp_path / 'run' / 'metrics.jsonl').read_text().splitlines()[1:]]
  assert steps == [4, 8, 12, 12]


def test_the_best_checkpoint_is_kept(undisturbed):
  best = undisturbed / 'best'
  info = json.loads((best / 'info.json').read_text())
  metrics = [json.loads(line) for line in
             (undisturbed / 'metrics.jsonl').read_text().splitlines()]
  assert info['top1'] == max(m['top1'] for m in metrics)
  assert checkpoints.step_of(checkpoints.latest(str(best))) == (
      info['best_ckpt_global_step'])


def test_sigterm_saves_and_ends(
    records, tmp_path, monkeypatch, capsys, eager):
  _at_step(monkeypatch, 6, lambda: os.kill(os.getpid(), signal.SIGTERM))
  before = signal.getsignal(signal.SIGTERM)
  with pytest.raises(SystemExit) as stopped:
    _run(records, tmp_path / 'run')
  assert stopped.value.code == 143
  assert 'at step 6' in capsys.readouterr().err
  assert checkpoints.step_of(checkpoints.latest(str(tmp_path / 'run'))) == 6
  assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.slow
def test_a_diverging_loss_stops_and_names_the_step(records, tmp_path, eager):
  with pytest.raises(errors.UserError) as error:
    _run(records, tmp_path / 'run', 'RunSettings.max_loss = 1e-3')
  assert 'step 1 (images 1 to 8 in the order of seed 3)' in str(error.value)
  assert 'none yet' in str(error.value)
  assert checkpoints.latest(str(tmp_path / 'run')) is None


@pytest.mark.slow
def test_a_nan_loss_rolls_back_at_a_lower_rate(
    records, tmp_path, monkeypatch, capsys):
  from axial_tf.tasks import classification
  values = classification.ClassificationTask.training_values

  def poisoned(self, inputs, model):
    """From step 6 on NaN, until the rate was lowered."""
    result = values(self, inputs, model)
    step = tf.summary.experimental.get_step()
    bad = (step >= 5) & (self.rate_scale == 1)
    return {**result, 'total_loss': tf.where(
        bad, float('nan'), result['total_loss'])}

  monkeypatch.setattr(
      classification.ClassificationTask, 'training_values', poisoned)
  _run(records, tmp_path / 'run', 'RunSettings.recoveries = 1')
  told = capsys.readouterr().err
  assert 'the loss of step 6' in told and 'ckpt-2' in told
  assert '0.5 times the learning rate' in told
  for key, value in _weights(tmp_path / 'run').items():
    if value.dtype.kind == 'f':
      assert np.isfinite(value).all(), key
  # The next start of the program keeps the lower rate.
  _run(records, tmp_path / 'run', 'TRAIN_STEPS = 14')
  kept = _weights(tmp_path / 'run')
  assert kept['rate_scale/.ATTRIBUTES/VARIABLE_VALUE'] == 0.5
  assert kept['global_step/.ATTRIBUTES/VARIABLE_VALUE'] == 14


def test_a_folder_of_other_files_is_refused(records, tmp_path):
  (tmp_path / 'letters.txt').write_text('dear')
  with pytest.raises(errors.UserError, match='files .such as letters.txt'):
    _run(records, tmp_path)
  assert os.listdir(tmp_path) == ['letters.txt']


def test_too_small_a_disk_is_found_first(records, tmp_path, monkeypatch):
  usage = shutil.disk_usage('/')
  monkeypatch.setattr(
      run_folder.shutil, 'disk_usage', lambda _: usage._replace(free=1000))
  with pytest.raises(errors.UserError, match='checkpoints need up to .* GB'):
    _run(records, tmp_path / 'run')


def test_a_full_disk_is_named():
  with pytest.raises(errors.UserError, match='No space left.*same command'):
    with run_folder.writing_errors('runs/x'):
      raise tf.errors.ResourceExhaustedError(
          None, None, 'ckpt-8.data; No space left on device')
  with pytest.raises(tf.errors.ResourceExhaustedError):
    with run_folder.writing_errors('runs/x'):
      raise tf.errors.ResourceExhaustedError(None, None, 'OOM')


def _command(records, model_dir):
  bindings = [f"RECORDS = '{records}'", *_BINDINGS,
              'RunSettings.deterministic = True', 'TRAIN_STEPS = 200']
  return [sys.executable, '-m', 'axial_tf.train', f'--gin_file={_EXPERIMENT}',
          f'--model_dir={model_dir}', '--mode=train',
          *(f'--gin_params={binding}' for binding in bindings)]


@pytest.mark.long
def test_runs_killed_at_random_points_end_with_identical_weights(
    records, tmp_path):
  root = pathlib.Path(__file__).resolve().parents[2]
  options = dict(cwd=root, env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3'},
                 stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
  subprocess.run(_command(records, tmp_path / 'whole'), check=True, **options)
  drawn, target = random.Random(0), tmp_path / 'killed'
  for number in range(5):
    latest = checkpoints.latest(str(target))
    goal = drawn.randrange(8, 40) + (
        checkpoints.step_of(latest) if latest else 0)
    process = subprocess.Popen(_command(records, target), **options)
    while process.poll() is None:
      # Every other time in the middle of writing a checkpoint.
      begun = list(target.glob('*_temp*')) + list(target.glob('*.tempstate*'))
      latest = checkpoints.latest(str(target))
      if latest and int(latest.rpartition('-')[2]) >= goal and (
          begun or number % 2):
        break
      time.sleep(0.0005)
    process.kill()
    process.wait()
  subprocess.run(_command(records, target), check=True, **options)
  expected, actual = _weights(tmp_path / 'whole'), _weights(target)
  assert expected.keys() == actual.keys()
  for key, value in expected.items():
    np.testing.assert_array_equal(actual[key], value, err_msg=key)


@pytest.mark.slow
def test_folders_named_like_patterns(tmp_path, capsys, eager):
  """A run in such a folder continues, is scored, read again and exported."""
  folder = tmp_path / 'a[1] *?'
  folder.mkdir()
  records = tiny_classes.write(folder)
  model_dir, exports = folder / 'run', str(folder / 'exports')
  keep = 'RunSettings.checkpoints_to_keep = 1'
  _run(records, model_dir, keep, 'TRAIN_STEPS = 4')
  _run(records, model_dir, keep, 'TRAIN_STEPS = 8', mode='train_and_eval')
  assert [path.name for path in model_dir.glob('*.index')] == ['ckpt-8.index']
  assert len(list(model_dir.glob('best/*.index'))) == 1
  _run(records, model_dir, mode='eval')
  assert 'validation at step 8' in capsys.readouterr().err
  inference = restore.load_inference(
      str(model_dir), str(model_dir / 'ckpt-8.index'))
  saved_model.export_saved_model(inference, exports)
  image = np.full([16, 16, 3], 99, np.uint8)
  from_export, from_run = (
      image_classifier.ImageClassifier(path)(image)[0].probability
      for path in (exports, str(model_dir)))
  assert from_export == pytest.approx(from_run, rel=1e-4)
