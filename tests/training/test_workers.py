"""Two processes train one model over the loopback device."""

import json
import re
import signal
import time

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.experiment import config, run
from axial_tf.training import checkpoints
from tests import tiny_classes, worker_processes

_EXPERIMENT = 'experiments/cifar10_axial_resnet.gin'


def _arguments(records, model_dir, steps, strategy, *bindings, mode='train'):
  bindings = [
      *tiny_classes.BINDINGS, f"RECORDS = '{records}'", 'RunSettings.seed = 3',
      "OptimizerSettings.decay = 'constant'", f'TRAIN_STEPS = {steps}',
      f"RunSettings.strategy = '{strategy}'", *bindings]
  return [f'--model_dir={model_dir}', f'--gin_file={_EXPERIMENT}',
          f'--mode={mode}', *(f'--gin_params={one}' for one in bindings)]


def _train(records, model_dir, steps, *bindings, mode='train'):
  """Returns what each of two workers printed."""
  return worker_processes.finish(worker_processes.start(2, *_arguments(
      records, model_dir, steps, 'multi_worker_mirrored', *bindings,
      mode=mode)))


def _nearly(metrics):
  """Losses of an image differ in the last bits of float32 between programs."""
  return {**metrics, 'cross_entropy': pytest.approx(
      metrics['cross_entropy'], rel=1e-5)}


def _losses(text):
  return re.findall(r'step (\d+)/.*cross_entropy (\S+)', text)


@pytest.mark.long
def test_workers_train_save_once_and_continue(tmp_path):
  records = tiny_classes.write(tmp_path)
  model_dir = tmp_path / 'run'
  first, second = _train(records, model_dir, 8)
  assert _losses(first) == _losses(second) and _losses(first)[-1][0] == '8'
  names = {path.name for path in model_dir.iterdir()}
  assert names == {
      'checkpoint', 'config.gin', 'operative_config.gin', 'class_spec.json',
      'train', *(f'ckpt-{step}.{part}' for step in (4, 8)
                 for part in ('index', 'data-00000-of-00001'))}
  assert len(list((model_dir / 'train').iterdir())) == 1
  # Both continue from there: their losses, over all replicas, are still one.
  first, second = _train(records, model_dir, 12)
  assert _losses(first) == _losses(second)
  assert [step for step, _ in _losses(first)] == ['12']
  reader = tf.train.load_checkpoint(checkpoints.latest(str(model_dir)))
  assert checkpoints.step_of(checkpoints.latest(str(model_dir))) == 12
  for key in reader.get_variable_to_shape_map():
    if key.startswith('model/'):
      assert np.isfinite(reader.get_tensor(key)).all(), key


@pytest.mark.long
def test_workers_validate_together_and_keep_the_best(tmp_path):
  """Five images in one file; the last batch leaves a worker without any."""
  records = tiny_classes.write(tmp_path, val=5)
  model_dir = tmp_path / 'run'
  first, second = _train(
      records, model_dir, 8, 'RunSettings.validation_interval = 4',
      'RunSettings.validation_batch_size = 2', mode='train_and_eval')
  tables = [re.findall(r'validation at step .*\n5 images: .*', text)
            for text in (first, second)]
  assert tables[0] == tables[1] and len(tables[0]) == 2
  measured = [json.loads(line) for line in
              (model_dir / 'metrics.jsonl').read_text().splitlines()]
  assert [metrics['step'] for metrics in measured] == [4, 8]
  # One device, with the last weights and with the best ones.
  _, *bindings = (
      argument.partition('=')[2] for argument in _arguments(
          records, '', 8, 'one_device', 'RunSettings.validation_batch_size = 1'
      ) if argument.startswith('--gin'))
  alone = run.run(
      config.parse([_EXPERIMENT], bindings), str(model_dir), 'eval')
  assert measured[-1] == _nearly({'step': 8, **alone})
  info = json.loads((model_dir / 'best' / 'info.json').read_text())
  best = max(measured, key=lambda metrics: metrics['top1'])
  assert info['top1'] == best['top1']
  assert info['best_ckpt_global_step'] == best['step']
  alone = run.run(config.parse([_EXPERIMENT], bindings),
                  str(model_dir / 'best'), 'eval')
  assert best == _nearly({'step': best['step'], **alone})


@pytest.mark.long
@pytest.mark.parametrize('told', [(0,), (1,), (0, 1)])
def test_workers_stop_together_without_losing_steps(tmp_path, told):
  """Whichever of them gets the signal."""
  records = tiny_classes.write(tmp_path)
  model_dir = tmp_path / 'run'
  processes = worker_processes.start(2, *_arguments(
      records, model_dir, 100000, 'multi_worker_mirrored',
      'RunSettings.steps_per_loop = 5000',
      'RunSettings.checkpoint_interval = 5000'))
  try:
    while not (model_dir / 'config.gin').exists():
      assert processes[0].poll() is None
      time.sleep(0.5)
    time.sleep(20)  # Some steps of the first loop.
  finally:
    for index in told:
      processes[index].send_signal(signal.SIGTERM)
  printed = worker_processes.finish(processes, status=143)
  steps = {re.search(r'stopped by SIGTERM.* at step (\d+);', text).group(1)
           for text in printed}
  assert len(steps) == 1
  step = int(steps.pop())
  assert checkpoints.step_of(checkpoints.latest(str(model_dir))) == step
  assert step % 10 == 0 and step > 0
  if told == (1,):
    first, second = _train(records, model_dir, step + 4)
    assert _losses(first) == _losses(second)
    assert _losses(first)[0][0] == str(step + 4)
