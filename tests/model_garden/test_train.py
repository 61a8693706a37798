"""Each experiment trains a step from records of its own format."""

import pytest

from tests import tools
from tests.model_garden import tiny_experiments

_COMMAND = 'axial_tf.model_garden.train'
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
@pytest.mark.parametrize('name', [
    pytest.param(name, marks=pytest.mark.slow if 'maskrcnn' in name else ())
    for name in tiny_experiments.NAMES])
def test_trains_a_step(eager, tmp_path, name):
  _train(tmp_path, name, tiny_experiments.CONVOLUTIONS)


@pytest.mark.slow
@pytest.mark.parametrize('name', tiny_experiments.NAMES)
def test_trains_a_step_in_a_graph_with_attention(tmp_path, name):
  _train(tmp_path, name, tiny_experiments.BACKBONE)


@pytest.mark.parametrize('arguments, message', [
    (['--experiment=resnet_imagenett'], '--experiment: expected one that'),
    (['--params_override=task.model.bakbone.type=resnet'],
     "The key 'bakbone' does not exist"),
    (['--config_file=missing.yaml'], 'missing.yaml'),
    ([], 'task.train_data.input_path: expected TFRecord files'),
    (['--mode=train', '--model_dir='], '--model_dir is missing'),
    (['--params_override=task.model.backbone.axial_resnet.variant=x,'
      'task.train_data.tfds_name=none'], 'variant: expected one of')])
def test_mistakes(tmp_path, arguments, message):
  line = tools.refused(
      _COMMAND, f'--experiment={_CLASSES}', '--mode=train',
      f'--model_dir={tmp_path}', *arguments)
  assert message in line
