"""The path from images to a SavedModel, through the command-line tools."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests import tools

_TINY = [
    # The README's commands, which have a test, train attention.
    "variant_settings.spatial = 'convolution'",
    'BLOCKS = (1, 1, 1, 1)', 'WIDTH = 0.125', 'HEADS = 2', 'BATCH_SIZE = 2',
    'AugmentationSettings.crop_size = (65, 65)',
    'RunSettings.validate_at_start = True',
    'RunSettings.steps_per_loop = 1', 'RunSettings.checkpoint_interval = 1',
    'RunSettings.validation_interval = 2']


def _train(records, model_dir, steps, *more, mode='train_and_eval'):
  bindings = [f"RECORDS = '{records}'", f'TRAIN_STEPS = {steps}', *_TINY, *more]
  return ['axial_tf.train', '--gin_file=experiments/demo.gin',
          f'--model_dir={model_dir}', f'--mode={mode}',
          *(f'--gin_params={binding}' for binding in bindings)]


@pytest.fixture(scope='module')
def records(tmp_path_factory):
  folder = tmp_path_factory.mktemp('digits')
  tools.succeeds('data_prep.sample_digits', f'--output_dir={folder / "data"}',
            '--train_images=6', '--val_images=3')
  for split in ('train', 'val'):
    tools.succeeds('data_prep.convert', '--dataset=custom',
              '--spec=gin_configs/datasets/digits.json',
              f'--input_dir={folder / "data"}', f'--split={split}',
              f'--output_dir={folder / "records"}', '--num_shards=2')
  return folder / 'records'


@pytest.fixture(scope='module')
def trained(records, tmp_path_factory):
  model_dir = tmp_path_factory.mktemp('run')
  done = tools.succeeds(*_train(records, model_dir, 2))
  return model_dir, done


def test_training_leaves_checkpoints_metrics_and_configuration(trained):
  model_dir, done = trained
  names = {path.name for path in model_dir.iterdir()}
  assert {'config.gin', 'operative_config.gin', 'dataset_spec.json',
          'metrics.jsonl', 'checkpoint', 'train', 'validation'} <= names
  metrics = [json.loads(line) for line in
             (model_dir / 'metrics.jsonl').read_text().splitlines()]
  assert [m['step'] for m in metrics] == [0, 2]
  for m in metrics:
    assert 0 <= m['pq'] <= 1 and 0 <= m['miou'] <= 1
  assert 'step 2/2' in done.stderr and 'images/s' in done.stderr
  summaries = b''.join(
      path.read_bytes() for path in (model_dir / 'train').iterdir())
  for tag in (b'training/1', b'training_loss', b'gin/operative_config'):
    assert tag in summaries
  assert not any(name.endswith('.tmp') for name in names)


@pytest.mark.slow
def test_a_run_is_continued_and_evaluated_again(trained, records, eager):
  """On request, and each new checkpoint until that of the last step."""
  model_dir, _ = trained
  done = tools.succeeds(*_train(records, model_dir, 3, mode='train'))
  assert 'step 3/3' in done.stderr and 'step 1/3' not in done.stderr
  for mode in ('eval', 'continuous_eval'):
    tools.succeeds(
        'axial_tf.train', f'--model_dir={model_dir}', f'--mode={mode}')
  last, first, second = [
      json.loads(line) for line in
      (model_dir / 'metrics.jsonl').read_text().splitlines()[1:]]
  assert last['step'] == 2 and first['step'] == 3 and first == second


def test_export_then_predict_on_photographs(trained, tmp_path, eager):
  from PIL import Image
  model_dir, _ = trained
  tools.succeeds('axial_tf.export', f'--model_dir={model_dir}',
            f'--export_dir={tmp_path / "export"}')
  done = tools.succeeds('axial_tf.export', f'--model_dir={model_dir}',
                   f'--export_dir={tmp_path / "export"}', '--check')
  assert 'equals ckpt-' in done.stdout and not list(
      (tmp_path / 'export').glob('writing-*'))
  photos = tmp_path / 'photos'
  photos.mkdir()
  noise = np.random.default_rng(0).integers(0, 255, [70, 90, 3], np.uint8)
  Image.fromarray(noise).save(photos / 'color.jpg')
  Image.fromarray(noise[:50, :, 0]).save(photos / 'grey.png')
  output = tmp_path / 'out'
  tools.succeeds('axial_tf.predict', f'--model={tmp_path / "export"}',
            f'--input={photos}/*', f'--output_dir={output}')
  for stem, size in (('color', (90, 70)), ('grey', (90, 50))):
    assert Image.open(output / f'{stem}_panoptic.png').size == size
    assert Image.open(output / f'{stem}_overlay.png').size[0] >= size[0]
    json.loads((output / f'{stem}.json').read_text())
  # A training run serves as a model, too, and segments alike.
  tools.succeeds('axial_tf.predict', f'--model={model_dir}',
            f'--input={photos}/color.jpg', f'--output_dir={tmp_path / "run"}')
  same = (np.asarray(Image.open(tmp_path / 'run' / 'color_panoptic.png'))
          == np.asarray(Image.open(output / 'color_panoptic.png')))
  assert same.mean() > 0.99


def test_a_model_dir_of_another_model_is_refused(trained, records):
  model_dir, _ = trained
  before = (model_dir / 'config.gin').read_text()
  line = tools.refused(*_train(records, model_dir, 4, 'WIDTH = 0.25'))
  assert 'another model' in line and '--model_dir' in line
  assert (model_dir / 'config.gin').read_text() == before


def test_a_truncated_shard_is_named(records, tmp_path):
  for path in records.glob('*.tfrecord'):
    content = path.read_bytes()
    cut = path.name.startswith('train-00001')
    (tmp_path / path.name).write_bytes(content[:-40] if cut else content)
  line = tools.refused(*_train(tmp_path, tmp_path / 'run', 2))
  assert 'train-00001-of-00002.tfrecord' in line and 'cut off' in line


def test_a_damaged_record_is_named_while_training(records, tmp_path, eager):
  for path in records.glob('*.tfrecord'):
    content = bytearray(path.read_bytes())
    if path.name.startswith('train-00000'):
      content[200] ^= 255
    (tmp_path / path.name).write_bytes(content)
  line = tools.refused(*_train(tmp_path, tmp_path / 'run', 2, mode='train'))
  assert 'train-00000-of-00002.tfrecord' in line


@pytest.mark.parametrize('arguments, words', [
    (['--mode=eval', '--model_dir=/nowhere/run',
      '--gin_file=experiments/demo.gin', "--gin_params=RECORDS='x'"],
     ['/nowhere/run', 'checkpoint']),
    (['--gin_file=experiments/demo.gin'], ['--model_dir']),
    (['--model_dir=/nowhere/run'], ['--gin_file']),
    (['--gin_file=no_such.gin', '--model_dir=/nowhere/run'], ['no_such.gin']),
    (['--gin_file=experiments/demo.gin', '--model_dir=/nowhere/run',
      "--gin_params=RECORDS='x'", '--gin_params=TRAIN_STEP=2',
      '--gin_params=RunSettings.step=2'], ['RunSettings', 'step']),
])
def test_mistakes_on_the_command_line_are_named(arguments, words):
  line = tools.refused('axial_tf.train', *arguments)
  for word in words:
    assert word in line
  assert not os.path.exists('/nowhere')


@pytest.mark.parametrize('module', [
    'axial_tf.train', 'axial_tf.tune', 'axial_tf.export', 'axial_tf.predict',
    'axial_tf.classify', 'axial_tf.demo', 'data_prep.convert',
    'data_prep.sample_digits'])
def test_help_explains_itself_with_an_example(module):
  done = tools.succeeds(module, '--help')
  assert f'python -m {module} ' in done.stdout


@pytest.mark.slow
def test_a_separate_process_prints_the_same(project_root):
  done = subprocess.run(
      [sys.executable, '-m', 'axial_tf.train', '--model_dir=/nowhere/run'],
      capture_output=True, text=True, check=False, cwd=project_root)
  assert done.returncode == 1 and 'Traceback' not in done.stderr
  assert tools.refused('axial_tf.train', '--model_dir=/nowhere/run') in (
      done.stderr.splitlines())
