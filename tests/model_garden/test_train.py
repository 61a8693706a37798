"""Each experiment trains a step from records of its own format."""

import pathlib

import pytest

from tests import doc_commands, tools
from tests.model_garden import tiny_experiments

_COMMAND = 'axial_tf.model_garden.train'
_PAGE = (pathlib.Path(__file__).resolve().parents[2] / 'docs'
         / 'model_garden.md')
_CLASSES = tiny_experiments.NAMES[0]


def _train(folder, name, backbone, mode='train'):
  """Trains a step as a user does, with parameters in a file."""
  records = folder / 'records'
  tiny_experiments.write_records(records, name)
  config = folder / 'config.yaml'
  config.write_text(tiny_experiments.overrides(name, records, backbone))
  done = tools.succeeds(
      _COMMAND, f'--experiment={name}', f'--config_file={config}',
      '--params_override=trainer.max_to_keep=1', f'--mode={mode}',
      f'--model_dir={folder}/run')
  assert 'step:      1' in done.stdout and 'loss' in done.stdout
  assert (folder / 'run/params.yaml').exists()
  assert (folder / 'run/ckpt-1.index').exists()
  return done.stdout


# Without a graph, and of convolutions: tracing takes most of the time.
@pytest.mark.slow
@pytest.mark.parametrize('name', tiny_experiments.NAMES[:-1])
def test_trains_a_step(eager, tmp_path, name):
  _train(tmp_path, name, tiny_experiments.CONVOLUTIONS)


@pytest.mark.slow
def test_trains_and_validates(eager, tmp_path):
  output = _train(tmp_path, tiny_experiments.NAMES[-1],
                  tiny_experiments.CONVOLUTIONS, 'train_and_eval')
  assert 'eval | step:      1' in output and 'mean_iou' in output


@pytest.mark.long
@pytest.mark.parametrize('name', tiny_experiments.NAMES)
def test_trains_a_step_in_a_graph_with_attention(tmp_path, name):
  _train(tmp_path, name, tiny_experiments.BACKBONE)


@pytest.mark.parametrize('arguments, message', [
    (['--experiment=resnet_imagenett'], '--experiment: expected one that'),
    (['--params_override=task.model.bakbone.type=resnet'],
     "The key 'bakbone' does not exist"),
    (['--config_file=missing.yaml'], 'missing.yaml'),
    (['--config_file=/dev/null'], 'expected names with values in YAML'),
    (['--gin_file=some.gin'], '--gin_file: not used here'),
    ([], 'task.train_data.input_path: expected TFRecord files'),
    (['--mode=train', '--model_dir='], '--model_dir is missing'),
    (['--params_override=task.model.backbone.axial_resnet.variant=x,'
      'task.train_data.tfds_name=none'], 'variant: expected one of')])
def test_mistakes(tmp_path, arguments, message):
  line = tools.refused(
      _COMMAND, f'--experiment={_CLASSES}', '--mode=train',
      f'--model_dir={tmp_path}', *arguments)
  assert message in line


def test_the_commands_of_the_page_want_nothing_but_records(tmp_path):
  wanted = []
  for _, block, note in doc_commands.all_blocks(_PAGE):
    if not note.startswith('run by'):
      continue
    for option, module, *arguments in doc_commands.commands(
        block, tmp_path, {}):
      assert (option, module) == ('-m', _COMMAND)
      line = tools.refused(module, *arguments)
      assert 'train_data.input_path: expected TFRecord files' in line
      wanted.append(line.split("'")[1])
  assert wanted == [
      'imagenet/train*', 'coco/train*', 'coco/train*', 'pascal/train_aug*']
