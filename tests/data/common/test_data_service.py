"""A tf.data service of three processes: a dispatcher and two workers."""

import collections
import contextlib
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from axial_tf import errors
from axial_tf.data.common import data_service
from axial_tf.data.panoptic import augmentation
from axial_tf.data.panoptic import pipeline as panoptic_pipeline
from tests import tools

_MODULE = 'axial_tf.data_service'


@contextlib.contextmanager
def _started(*arguments):
  """Runs the command; gives its process when it is ready."""
  process = subprocess.Popen(
      [sys.executable, '-m', _MODULE, *arguments], stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT, text=True,
      env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3'})
  try:
    for line in process.stdout:
      if ' grpc://' in line:
        break
    yield process
  finally:
    process.kill()
    process.wait()


def _free_port():
  with socket.socket() as one:
    one.bind(('127.0.0.1', 0))
    return one.getsockname()[1]


@pytest.mark.slow
def test_workers_share_the_records_and_may_die(
    write_shards, examples, tiny_spec):
  port = _free_port()
  serialized = [example[2] for example in examples]
  worker = [f'--dispatcher=127.0.0.1:{port}', '--address=127.0.0.1']
  settings = panoptic_pipeline.PanopticDataSettings(
      train_pattern=write_shards(serialized[:5], serialized[5:]),
      augmentation=augmentation.AugmentationSettings(
          crop_size=(14, 16), scale_range=(1.0, 1.0), horizontal_flip=False),
      shuffle_buffer=9, data_service=f'grpc://127.0.0.1:{port}')
  with _started(f'--port={port}'), _started(*worker) as one, _started(*worker):
    batches = panoptic_pipeline.train_dataset(
        settings, tiny_spec, 3, seed=1).as_numpy_iterator()
    insides = np.concatenate([next(batches)['inside'] for _ in range(60)])
    areas = (insides[:, 2:] - insides[:, :2]).prod(1).tolist()
    # They are of about 20 epochs: workers may be in different ones.
    counts = collections.Counter(areas)
    assert len(counts) == 9 and min(counts.values()) >= 10
    one.kill()
    for _ in range(60):
      assert next(batches)['image'].shape == (3, 14, 16, 3)


def test_a_port_in_use():
  with socket.socket() as busy:
    busy.bind(('', 0))
    busy.listen()
    port = busy.getsockname()[1]
    assert f'cannot listen on {port}' in tools.refused(
        _MODULE, f'--port={port}')


@pytest.mark.parametrize('arguments, told', [
    ([], '--port is required'),
    (['--dispatcher=machine'], "expected host:port of the dispatcher, got 'm"),
    (['--dispatcher=machine:1', '--work_dir=x'], '--work_dir belongs to'),
    (['--port=1', '--address=x'], '--address belongs to a worker'),
])
def test_flags(arguments, told):
  assert told in tools.refused(_MODULE, *arguments)


def test_a_dispatcher_that_is_not_there():
  with pytest.raises(errors.UserError, match='setting: no dispatcher answers'):
    data_service.require(f'127.0.0.1:{_free_port()}', 'setting', patience=0)
