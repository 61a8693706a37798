"""Out of memory on a device ends as one line on what would fit."""

import re

import pytest
import tensorflow as tf

from axial_tf import errors, memory
from axial_tf.experiment import config, run
from axial_tf.training import checkpoints, trainer
from tests import tiny_classes, tools

_EXPERIMENT = 'experiments/cifar10_axial_resnet.gin'
_OOM = (
    'Graph execution error:\n\nDetected at node \'conv\' defined at (most '
    'recent call last):\n\nOOM when allocating tensor with shape[8,512,512,64] '
    'and type float on /job:localhost/replica:0/task:0/device:GPU:0 by '
    'allocator GPU_0_bfc\n\t [[{{node conv}}]]\nHint: If you want to see a '
    'list of allocated tensors when OOM happens, add '
    'report_tensor_allocations_upon_oom to RunOptions')


@pytest.fixture(scope='module')
def records(tmp_path_factory):
  return tiny_classes.write(tmp_path_factory.mktemp('colors'))


def _fail(monkeypatch, method, step, error=None):
  """Runs out of memory in a method of the trainer, after some steps."""
  original = getattr(trainer.Trainer, method)

  def failing(self, *arguments):
    if int(self.global_step.numpy()) >= step:
      raise error or tf.errors.ResourceExhaustedError(None, None, _OOM)
    return original(self, *arguments)

  monkeypatch.setattr(trainer.Trainer, method, failing)


def _line(records, model_dir, *bindings, mode='train'):
  parsed = config.parse([_EXPERIMENT], [
      f"RECORDS = '{records}'", *tiny_classes.BINDINGS,
      *bindings])
  with pytest.raises(errors.UserError) as caught:
    run.run(parsed, str(model_dir), mode)
  return str(caught.value)


@pytest.mark.slow
def test_a_training_step_names_what_fits(records, tmp_path, monkeypatch):
  _fail(monkeypatch, 'train_loop_end', 4)
  monkeypatch.setattr(memory, '_gpu_bytes', lambda: 600_000)
  line = _line(records, tmp_path / 'run', 'RunSettings.steps_per_loop = 2',
               'RunSettings.checkpoint_interval = 2')
  assert line.startswith(
      'out of memory on the GPU, which has 0.6 MB (and needed 0.537 GB more), '
      'in a training step with 8 images at a time')
  plain, fitting, batch, parts, less = re.search(
      r'keeps about ([\d.]+) MB an image for its backward pass, so that at '
      r'most about (\d+) fit; set RunSettings.global_batch_size .BATCH_SIZE in '
      r'the gin files. = (\d+), or RunSettings.accumulate_steps = (\d+), or '
      r"variant_settings.recompute = 'all' .about ([\d.]+) MB an image.",
      line).groups()
  assert 0 < float(less) < float(plain)
  assert int(fitting) == int(batch) == int(2 / 3 * 0.6 / float(plain)) > 0
  assert 8 % int(parts) == 0 and 8 / int(parts) <= int(fitting)
  assert "mixed_precision = 'bfloat16'" in line
  assert 'resumes from ckpt-2' in line
  assert checkpoints.latest(str(tmp_path / 'run')).endswith('ckpt-2')


def test_a_validation_names_its_batch(records, tmp_path, monkeypatch):
  _fail(monkeypatch, 'eval_begin', 12)
  line = _line(records, tmp_path / 'run', mode='train_and_eval')
  assert 'in a validation with 4 images at a time; set ' in line
  assert 'RunSettings.validation_batch_size = 1, or a smaller ' in line
  assert 'resumes from ckpt-12' in line


@pytest.mark.slow
def test_a_command_prints_the_line_alone(records, tmp_path, monkeypatch):
  monkeypatch.setattr(memory, '_gpu_bytes', lambda: 8 * 10 ** 9)
  _fail(monkeypatch, 'train_loop_end', 0)
  line = tools.refused(
      'axial_tf.train', f'--gin_file={_EXPERIMENT}',
      f'--model_dir={tmp_path / "run"}', '--mode=train',
      f"--gin_params=RECORDS='{records}'",
      *(f'--gin_params={binding}' for binding in tiny_classes.BINDINGS))
  assert 'check whether another program uses the device' in line
  assert 'recompute' in line and 'resumes' not in line


@pytest.mark.slow
def test_other_errors_stay(records, tmp_path, monkeypatch):
  _fail(monkeypatch, 'train_loop_end', 0, tf.errors.ResourceExhaustedError(
      None, None, 'received message larger than max (5 vs. 4)'))
  with pytest.raises(tf.errors.ResourceExhaustedError, match='larger'):
    run.run(config.parse([_EXPERIMENT], [
        f"RECORDS = '{records}'", *tiny_classes.BINDINGS]),
            str(tmp_path / 'run'), 'train')
