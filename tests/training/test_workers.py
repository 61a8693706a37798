"""Two processes train one model over the loopback device."""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.training import checkpoints
from tests import tiny_classes


def _free_ports(count):
  sockets = [socket.socket() for _ in range(count)]
  for one in sockets:
    one.bind(('127.0.0.1', 0))
  ports = [one.getsockname()[1] for one in sockets]
  for one in sockets:
    one.close()
  return ports


def _train(records, model_dir, steps, workers):
  """Returns what each worker printed."""
  bindings = [
      *tiny_classes.BINDINGS, "SPATIAL = 'convolution'",
      f"RECORDS = '{records}'", 'RunSettings.seed = 3',
      "OptimizerSettings.decay = 'constant'", f'TRAIN_STEPS = {steps}',
      'RunSettings.strategy = '
      + ("'multi_worker_mirrored'" if workers > 1 else "'one_device'")]
  cluster = {'worker': [f'127.0.0.1:{p}' for p in _free_ports(workers)]}
  processes = []
  for index in range(workers):
    environment = {**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3'}
    if workers > 1:
      environment['TF_CONFIG'] = json.dumps(
          {'cluster': cluster, 'task': {'type': 'worker', 'index': index}})
    processes.append(subprocess.Popen(
        [sys.executable, '-m', 'axial_tf.train', f'--model_dir={model_dir}',
         '--gin_file=experiments/cifar10_axial_resnet.gin', '--mode=train',
         *(f'--gin_params={binding}' for binding in bindings)],
        env=environment, stderr=subprocess.PIPE, text=True,
        cwd=pathlib.Path(__file__).resolve().parents[2]))
  printed = [process.communicate(timeout=500)[1] for process in processes]
  for process, text in zip(processes, printed):
    assert process.returncode == 0, text[-3000:]
  return printed


def _losses(text):
  return re.findall(r'step (\d+)/.*cross_entropy (\S+)', text)


@pytest.mark.slow
def test_workers_train_save_once_and_continue(tmp_path):
  records = tiny_classes.write(tmp_path)
  model_dir = tmp_path / 'run'
  first, second = _train(records, model_dir, 8, workers=2)
  assert _losses(first) == _losses(second) and _losses(first)[-1][0] == '8'
  names = {path.name for path in model_dir.iterdir()}
  assert names == {
      'checkpoint', 'config.gin', 'operative_config.gin', 'class_spec.json',
      'train', *(f'ckpt-{step}.{part}' for step in (4, 8)
                 for part in ('index', 'data-00000-of-00001'))}
  assert len(list((model_dir / 'train').iterdir())) == 1
  # Both go on from there: their losses, over all replicas, are still one.
  first, second = _train(records, model_dir, 12, workers=2)
  assert _losses(first) == _losses(second)
  assert [step for step, _ in _losses(first)] == ['12']
  reader = tf.train.load_checkpoint(checkpoints.latest(str(model_dir)))
  assert checkpoints.step_of(checkpoints.latest(str(model_dir))) == 12
  for key in reader.get_variable_to_shape_map():
    if key.startswith('model/'):
      assert np.isfinite(reader.get_tensor(key)).all(), key
