"""A classifier from records to the classes of a user's images."""

import json
import os
import shutil

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

import axial_tf
from axial_tf import errors
from axial_tf.experiment import config, restore, run
from axial_tf.prediction import predicted_classes, predictor
from axial_tf.tasks import classification
from axial_tf.training import initialization
from benchmarks import classified_pictures
from tests import tiny_classes, tools

_EXPERIMENT = 'experiments/cifar10_axial_resnet.gin'


@pytest.fixture(scope='module')
def run_dir(tmp_path_factory):
  """A run that was stopped and continued."""
  folder = tmp_path_factory.mktemp('classifier')
  records = tiny_classes.write(folder)
  bindings = [f"RECORDS = '{records}'", *tiny_classes.BINDINGS,
              'BatchNormSettings.momentum = 0.5',
              'LEARNING_RATE = 0.1', 'RunSettings.profile_steps = (8, 9)']
  model_dir = str(folder / 'run')
  run.run(config.parse([_EXPERIMENT], [*bindings, 'TRAIN_STEPS = 6']),
          model_dir, 'train')
  metrics = run.run(
      config.parse([_EXPERIMENT], bindings), model_dir, 'train_and_eval')
  assert metrics['top1'] > 0.5
  return folder / 'run'


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
  folder = tmp_path_factory.mktemp('photos')
  for number, entry in enumerate(tiny_classes.SPEC.classes):
    (folder / f'{entry.name}.png').write_bytes(
        tiny_classes.png(number, 100 + number, side=24 + number))
  return folder


def _run(module, *arguments):
  return tools.run(module, *arguments)


def test_the_run_can_be_read_again(run_dir):
  records = [json.loads(line)
             for line in (run_dir / 'metrics.jsonl').open()]
  assert records[-1]['step'] == 12 and 0 <= records[-1]['top1'] <= 1
  inference = restore.load_inference(str(run_dir))
  assert inference.spec == tiny_classes.SPEC
  assert inference.image_size == (16, 16)
  assert inference.model.count_params() > 0
  metrics = run.run(
      config.parse([str(run_dir / 'config.gin')]), str(run_dir), 'eval')
  assert {'step': 12, **metrics} == records[-1]


def test_validation_images_can_be_drawn_with_their_classes(run_dir):
  picture = classified_pictures.draw(str(run_dir), 9)
  # Two rows of images of 8 * 16 pixels below their titles.
  assert picture.shape[0] > 2 * 128 and picture.shape[1] > 8 * 128
  with pytest.raises(errors.UserError, match='only .* images are looked at'):
    classified_pictures.draw(str(run_dir), 10 ** 6)


def test_the_requested_profile(run_dir):
  assert list((run_dir / 'train' / 'plugins' / 'profile').glob('*/*.pb'))


def test_classes_of_images(run_dir, photos):
  classify = axial_tf.ImageClassifier(str(run_dir))
  paths = sorted(photos.iterdir())
  together = classify.batch(paths, top=9)
  for path, found in zip(paths, together):
    alone = classify(str(path), top=9)
    assert [entry.label for entry in found] == [
        entry.label for entry in alone]
    np.testing.assert_allclose(
        [entry.probability for entry in found],
        [entry.probability for entry in alone], atol=1e-5)
    assert sum(entry.probability for entry in found) == pytest.approx(1)
    assert len(found) == 3
  right = [found[0].name == path.stem
           for path, found in zip(paths, together)]
  assert sum(right) >= 2
  assert len(classify(Image.open(paths[0]), top=1)) == 1


def test_too_many_images_at_a_time_are_named(run_dir, monkeypatch):
  model = axial_tf.ImageClassifier(run_dir)

  def fail(images):
    raise tf.errors.ResourceExhaustedError(
        None, None, 'OOM when allocating tensor with shape[9] and type float')

  monkeypatch.setattr(model, '_model', model._model._replace(
      probabilities=fail))
  with pytest.raises(errors.UserError, match='2 images at a time .*batch_size'):
    model.batch([np.zeros([9, 9, 3], np.uint8)] * 2)


def test_segmentation_of_a_classifier_is_refused(run_dir):
  with pytest.raises(errors.UserError, match='got one of classification'):
    predictor.Predictor(str(run_dir))


@pytest.mark.parametrize('module', ['axial_tf.classify', 'axial_tf.predict'])
def test_the_commands_print_json_lines_and_continue(run_dir, photos, module):
  (photos / 'broken.png').write_bytes(b'no picture')
  done = _run(module, f'--model={run_dir}', f'--input={photos}', '--json',
              '--top=2', '--batch_size=2')
  (photos / 'broken.png').unlink()
  assert done.returncode == 1 and 'broken.png' in done.stderr
  assert 'Traceback' not in done.stderr
  lines = [json.loads(line) for line in done.stdout.splitlines()]
  assert [os.path.basename(line['file']) for line in lines] == [
      'blue.png', 'green.png', 'red.png']
  for line in lines:
    assert len(line['classes']) == 2
    assert line['classes'][0]['name'] in ('red', 'green', 'blue')
    assert (line['classes'][0]['probability']
            >= line['classes'][1]['probability'])


def test_results_in_a_file(run_dir, photos, tmp_path):
  predicted_classes.classify_all(
      axial_tf.ImageClassifier(str(run_dir)), [str(photos / 'red.png')],
      top=5, batch_size=4, as_json=False, output_dir=str(tmp_path))
  line = json.loads((tmp_path / 'classes.jsonl').read_text())
  assert line['file'].endswith('red.png') and len(line['classes']) == 3


def test_a_stopped_command_keeps_its_results(
    run_dir, photos, tmp_path):
  class Stops(axial_tf.ImageClassifier):
    calls = 0

    def batch(self, batch, top=5):
      self.calls += 1
      if self.calls == 3:
        raise KeyboardInterrupt
      return super().batch(batch, top)

  files = [str(photos / f'{name}.png') for name in ('red', 'green', 'blue')]
  with pytest.raises(KeyboardInterrupt):
    predicted_classes.classify_all(
        Stops(str(run_dir)), files, top=1, batch_size=1, as_json=False,
        output_dir=str(tmp_path))
  lines = (tmp_path / 'classes.jsonl').read_text().splitlines()
  assert [json.loads(line)['file'] for line in lines] == files[:2]


def test_a_name_that_is_not_utf8(run_dir, photos, tmp_path):
  odd = os.fsdecode(os.fsencode(tmp_path) + b'/caf\xe9.png')
  shutil.copy(photos / 'red.png', odd)
  predicted_classes.classify_all(
      axial_tf.ImageClassifier(str(run_dir)), [odd], top=1, batch_size=1,
      as_json=False, output_dir=str(tmp_path))
  line = json.loads((tmp_path / 'classes.jsonl').read_text('utf-8'))
  assert line['file'] == f'{tmp_path}/caf\\xe9.png'


def test_options_of_segmentation_are_refused(run_dir, photos):
  done = _run('axial_tf.predict', f'--model={run_dir}', f'--input={photos}',
              '--scales=1')
  assert done.returncode == 1
  assert done.stderr.startswith('error: --scales belongs to segmentation')


@pytest.mark.slow
def test_a_new_run_starts_from_the_weights_of_another(
    run_dir, tmp_path, capfd, eager):
  """And the optimizer's slow weights start there, too."""
  records = tiny_classes.write(tmp_path)
  bindings = [f"RECORDS = '{records}'", *tiny_classes.BINDINGS,
              'TRAIN_STEPS = 6',
              "OptimizerSettings.name = 'radam_lookahead'",
              'LEARNING_RATE = 1e-6',
              f"RunSettings.init_checkpoint = '{run_dir}'"]
  run.run(config.parse([_EXPERIMENT], bindings), str(tmp_path / 'a'), 'train')
  assert 'mismatched (other shape): 0' in capfd.readouterr().err
  before = restore.load_inference(str(run_dir)).model
  after = restore.load_inference(str(tmp_path / 'a')).model
  for a, b in zip(before.trainable_variables, after.trainable_variables):
    np.testing.assert_allclose(a, b, atol=1e-4)
  with pytest.raises(errors.UserError, match='/gone: holds no checkpoint'):
    run.run(config.parse([_EXPERIMENT], [
        *bindings, "RunSettings.init_checkpoint = '/gone'"]),
        str(tmp_path / 'b'), 'train')
  assert not (tmp_path / 'b').exists()


@pytest.mark.slow
@pytest.mark.parametrize('optimizer', [
    ('LEARNING_RATE = 0.1', 'OptimizerSettings.average_decay = 0.9'),
    ('LEARNING_RATE = 0.01', "OptimizerSettings.name = 'radam_lookahead'",
     'OptimizerSettings.beta_2 = 0.9',
     'OptimizerSettings.lookahead_period = 5',
     "OptimizerSettings.decay = 'constant'")], ids=['average', 'lookahead'])
def test_averaged_weights_are_validated_and_restored(
    tmp_path, optimizer, eager):
  records = tiny_classes.write(tmp_path)
  bindings = [f"RECORDS = '{records}'", *tiny_classes.BINDINGS, *optimizer,
              'RunSettings.validate_at_start = True']
  model_dir = str(tmp_path / 'run')
  metrics = run.run(
      config.parse([_EXPERIMENT], bindings), model_dir, 'train_and_eval')
  model = restore.load_inference(model_dir).model
  experiment = config.parse([_EXPERIMENT], bindings)
  task = classification.ClassificationTask(
      experiment.task, experiment.run, experiment.optimizer)
  state = None
  for batch in task.build_inputs('validation'):
    logs = task.validation_step(batch, model)
    state = task.aggregate_logs(state, {k: [v] for k, v in logs.items()})
  assert metrics['cross_entropy'] == pytest.approx(
      task.reduce_aggregated_logs(state)['cross_entropy'], rel=1e-4)
  # The weights of the last step are others.
  reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(model_dir))
  last = reader.get_tensor('model/last/kernel/.ATTRIBUTES/VARIABLE_VALUE')
  assert np.abs(last - model.last.kernel.numpy()).max() > 1e-4
  # Averages begin with the weights, not with zeros.
  start = json.loads((tmp_path / 'run' / 'metrics.jsonl').open().readline())
  assert start['step'] == 0 and abs(start['cross_entropy'] - np.log(3)) > 1e-3
  # Another run starts from them, too.
  other = task.build_model()
  initialization.load(other, model_dir)
  for a, b in zip(model.variables, other.variables):
    np.testing.assert_array_equal(a, b)
