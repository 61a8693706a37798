"""All settings of an experiment as text, without data."""

import ast
import re

import pytest

from axial_tf.experiment import complete_text, config
from tests import tools

_FILES = ['experiments/demo.gin', 'experiments/cifar10_axial_resnet.gin']


def _following(text):
  """Returns the settings in the comments, by their dotted names."""
  return {name: ast.literal_eval(value) for name, value in re.findall(
      r'^# ([\w.]+) = (.+)$', text, re.MULTILINE)}


@pytest.mark.parametrize('file', _FILES)
def test_the_text_recreates_the_experiment(file, tmp_path):
  bindings = ["RECORDS = 'some/records'", 'TRAIN_STEPS = 7']
  settings = config.parse([file], bindings)
  text = complete_text.of(settings)
  (tmp_path / 'printed.gin').write_text(text)
  again = config.parse([str(tmp_path / 'printed.gin')])
  assert again == settings and again.run.train_steps == 7
  assert complete_text.of(again) == text


def test_each_setting_is_there_once():
  """Those that gin does not know are comments with the value in use."""
  settings = config.parse(
      ['experiments/demo.gin'],
      ["RECORDS = 'x'", 'variant_settings.drop_path_rate = 0.25'])
  text = complete_text.of(settings)
  following = _following(text)
  for name, value in following.items():
    found = settings
    for part in name.split('.'):
      found = getattr(found, part)
    assert found == value, name
  assert following['task.model.backbone.drop_path_rate'] == 0.25
  assert following['task.data.targets.sigma'] == 8.0
  assert following['task.model.backbone.norm.momentum'] == 0.99
  assert not any(name.startswith(('run.', 'optimizer.')) for name in following)
  assert 'RunSettings.seed = 1\n' in text


def test_the_command_needs_neither_records_nor_a_folder(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  done = tools.succeeds(
      'axial_tf.train', '--gin_file=experiments/demo.gin', '--print_config',
      '--gin_params=TRAIN_STEPS = 7')
  assert 'TRAIN_STEPS = 7\n' in done.stdout
  # Who uses the text has to give what the file requires.
  assert 'RECORDS = %gin.REQUIRED\n' in done.stdout
  assert not list(tmp_path.iterdir())
  (tmp_path / 'printed.gin').write_text(done.stdout)
  assert 'RECORDS' in tools.refused(
      'axial_tf.train', f'--gin_file={tmp_path / "printed.gin"}',
      f'--model_dir={tmp_path / "run"}')


def test_mistakes_are_found(tmp_path):
  for arguments, words in (
      (['--gin_file=experiments/demo.gin', '--gin_params=TRAIN_STEP = 7'],
       'TRAIN_STEP is not used'),
      (['--gin_file=none.gin'], 'none.gin'), ([], '--model_dir')):
    assert words in tools.refused(
        'axial_tf.train', '--print_config', *arguments)
