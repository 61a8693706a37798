"""Fixtures for all tests: the real data and reference numbers, if present."""

import ctypes
import functools
import gc
import os
import pathlib
import random
import shutil

import hypothesis
import numpy as np
import pytest
import tensorflow as tf

from axial_tf.experiment import run
from axial_tf.keras2 import keras

# Two devices, for tests of replicas; must be set before TensorFlow starts.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices('CPU')[0],
    [tf.config.LogicalDeviceConfiguration()] * 2)

# The same examples in each run; HYPOTHESIS_PROFILE=explore draws new ones.
hypothesis.settings.register_profile(
    'repeatable', derandomize=True, deadline=None)
hypothesis.settings.register_profile('explore', deadline=None)
hypothesis.settings.load_profile(
    os.environ.get('HYPOTHESIS_PROFILE', 'repeatable'))

_ROOT = pathlib.Path(__file__).resolve().parent.parent

# A disk may take seconds for each of the many small checkpoints.
_MEMORY = '/dev/shm'
if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > 2e9:
  os.environ.setdefault('PYTEST_DEBUG_TEMPROOT', _MEMORY)


def pytest_collection_finish():
  """Searches for garbage less, and not among imported modules' objects."""
  gc.collect()
  gc.freeze()
  gc.set_threshold(10_000, 20, 50)


@pytest.fixture(scope='module', autouse=True)
def free_memory():
  """Frees graphs and models of a module when its tests have ended."""
  yield
  keras.backend.clear_session()
  gc.collect()
  # glibc keeps freed memory for this process; other systems lack the call.
  trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
  if trim is not None:
    trim(0)


@pytest.fixture(scope='session', autouse=True)
def delete_iterators_early():
  """Deletes those of a run when it ends: later takes longer, see `cli`."""
  def deleting(function):
    @functools.wraps(function)
    def call(*args, **kwargs):
      try:
        return function(*args, **kwargs)
      finally:
        gc.collect()
    return call

  with pytest.MonkeyPatch.context() as patch:
    for name in ('run', 'dry_run', 'measure'):
      patch.setattr(run, name, deleting(getattr(run, name)))
    yield


@pytest.fixture(autouse=True)
def same_numbers():
  """Draws the same weights and random numbers whenever a test runs."""
  random.seed(0)
  np.random.seed(0)
  tf.random.set_seed(0)


@pytest.fixture
def eager():
  """Runs what tf.function wraps without a graph, which is slow to trace."""
  tf.config.run_functions_eagerly(True)
  yield
  tf.config.run_functions_eagerly(False)


@pytest.fixture(scope='session')
def two_replicas() -> tf.distribute.Strategy:
  """Two CPU devices; made once, as strategies in one process share keys.

  Reductions of two strategies on the same devices interfere.
  """
  return tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])


@pytest.fixture(scope='session')
def project_root() -> pathlib.Path:
  return _ROOT


@pytest.fixture(scope='session')
def shared_dir() -> pathlib.Path:
  """Folder with real data sets and reference numbers, or a skip."""
  folder = pathlib.Path(
      os.environ.get('AXIAL_TF_SHARED', _ROOT.parent / 'shared'))
  if not (folder / 'oracles').is_dir():
    pytest.skip(
        f'{folder} has no reference data; set AXIAL_TF_SHARED to a folder '
        f'with data/ and oracles/')
  return folder


@pytest.fixture(scope='session')
def oracle(shared_dir):
  """Loads reference arrays: oracle('deeplab2/attn1d_full')['input']."""

  def load(name: str):
    return np.load(shared_dir / 'oracles' / f'{name}.npz', allow_pickle=False)

  return load
