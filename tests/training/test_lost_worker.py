"""Two processes train; one is killed, and the other neither hangs nor crashes.
"""

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from axial_tf.training import checkpoints
from tests import tiny_classes


def _free_port():
  with socket.socket() as one:
    one.bind(('127.0.0.1', 0))
    return one.getsockname()[1]


def _start(project_root, records, model_dir, addresses, steps):
  """Starts all workers; they validate with the default batch of one image."""
  bindings = [
      *tiny_classes.BINDINGS, f"RECORDS = '{records}'",
      'RunSettings.validation_batch_size = 1',
      'RunSettings.checkpoint_interval = 4', f'TRAIN_STEPS = {steps}',
      "RunSettings.strategy = 'multi_worker_mirrored'"]
  return [subprocess.Popen(
      [sys.executable, '-m', 'axial_tf.train', f'--model_dir={model_dir}',
       '--gin_file=experiments/cifar10_axial_resnet.gin',
       '--mode=train_and_eval',
       *(f'--gin_params={binding}' for binding in bindings)],
      cwd=project_root, stderr=subprocess.PIPE, text=True,
      env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3', 'TF_CONFIG': json.dumps({
          'cluster': {'worker': addresses},
          'task': {'type': 'worker', 'index': index}})})
          for index in range(len(addresses))]


@pytest.mark.long
@pytest.mark.parametrize('victim', [0, 1])
def test_the_other_one_says_so_and_all_resume(tmp_path, project_root, victim):
  records = tiny_classes.write(tmp_path)
  model_dir = tmp_path / 'run'
  addresses = [f'127.0.0.1:{_free_port()}' for _ in range(2)]
  workers = _start(project_root, records, model_dir, addresses, 100000)
  while not checkpoints.latest(str(model_dir)):
    assert all(worker.poll() is None for worker in workers)
    time.sleep(0.1)
  workers[victim].kill()
  killed = time.monotonic()
  _, told = workers[1 - victim].communicate(timeout=120)
  assert time.monotonic() - killed < 60
  assert workers[1 - victim].returncode == 1
  assert 'Traceback' not in told
  assert told.splitlines()[-1].startswith(
      f'error: worker {victim} ({addresses[victim]}) no longer answers')
  workers[victim].communicate()
  step = checkpoints.step_of(checkpoints.latest(str(model_dir)))
  workers = _start(
      project_root, records, model_dir, addresses, step // 4 * 4 + 8)
  for worker in workers:
    _, told = worker.communicate(timeout=400)
    assert worker.returncode == 0, told[-3000:]
  assert checkpoints.step_of(checkpoints.latest(str(model_dir))) > step
