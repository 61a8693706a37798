"""Finds the devices of a run, and starts its tf.distribute strategy."""

import contextlib
import os
import re
import sys
from typing import Iterator, NamedTuple, Optional

from official.common import distribute_utils
import tensorflow as tf

from axial_tf import devices as devices_lib
from axial_tf import errors
from axial_tf.training import cluster as cluster_lib
from axial_tf.training import peers, run_settings, start_guard

MULTI_WORKER = 'multi_worker_mirrored'
# Seconds for TensorFlow to connect workers that are all up.
_CONNECTING = 120.0
_LOST = ('ollective', 'oordination', 'heartbeat', 'remote target /job:')


class Place(NamedTuple):
  """The devices of this process and the workers of the run.

  Attributes:
    strategy: name of the strategy, see RunSettings.
    devices: GPUs or the CPU of this process.
    cluster: all workers; None for a single-process run.
  """

  strategy: str
  devices: devices_lib.Devices
  cluster: Optional[cluster_lib.Cluster]

  @property
  def is_chief(self) -> bool:
    """Whether this process saves for the whole run."""
    return self.cluster is None or self.cluster.is_chief


def find_place(settings: run_settings.RunSettings, trains: bool) -> Place:
  """Determines the devices of a run and prints them as its first line.

  Args:
    settings: settings of the run.
    trains: whether it trains. An evaluation needs no TF_CONFIG: it runs
      alongside the workers.

  Raises:
    errors.UserError: there are fewer GPUs than requested, or TF_CONFIG is
      wrong.
  """
  text = os.environ.get(cluster_lib.VARIABLE)
  strategy, cluster = settings.strategy, None
  if strategy == MULTI_WORKER:
    if trains or text is not None:
      cluster = cluster_lib.parse(text)
    else:
      strategy = 'mirrored'
  elif text:
    print(f'notice: {cluster_lib.VARIABLE} is set, but RunSettings.strategy = '
          f'{strategy!r} does not use it; {MULTI_WORKER!r} does',
          file=sys.stderr, flush=True)
  if strategy == 'tpu':
    print('devices: tpu', file=sys.stderr, flush=True)
    return Place(strategy, devices_lib.Devices(), cluster)
  devices = devices_lib.take(strategy, settings.num_gpus)
  devices.announce(strategy if cluster is None else f'{strategy}, {cluster}')
  return Place(strategy, devices, cluster)


def start(settings: run_settings.RunSettings, place: Place
          ) -> tf.distribute.Strategy:
  """Returns the strategy, after waiting for the other workers.

  Raises:
    errors.UserError: other workers or the TPU are missing.
  """
  if place.strategy == 'tpu':
    return _start_tpu(settings)
  if place.cluster is None:
    return distribute_utils.get_distribution_strategy(
        place.strategy, num_gpus=len(place.devices.gpus))
  peers.wait(place.cluster, settings.worker_timeout)
  with start_guard.limited(_CONNECTING, (
      f'the workers met, but TensorFlow could not connect them within '
      f'{_CONNECTING:g} s; rerun the same command on all of them')):
    return distribute_utils.get_distribution_strategy(place.strategy)


@contextlib.contextmanager
def worker_errors(cluster: Optional[cluster_lib.Cluster]) -> Iterator[None]:
  """Turns the loss of another worker into a UserError.

  TensorFlow notices it within some ten seconds.
  """
  try:
    yield
  except tf.errors.OpError as error:
    if cluster is None or not any(
        words in error.message for words in _LOST):
      raise
    raise errors.UserError(
        f'{_lost_worker(cluster, error.message)} no longer answers; see what '
        f'it printed last, and rerun the same command on all workers: '
        f'the run resumes from its last checkpoint') from error


def _lost_worker(cluster: cluster_lib.Cluster, text: str) -> str:
  """Returns the worker that a TensorFlow error names."""
  for job, task in re.findall(
      r'/job:(\w+)(?:/replica:\d+)?/task:(\d+)', text):
    name = f'{job} {task}'
    if name in cluster.names and name != cluster.names[cluster.index]:
      return cluster.describe(cluster.names.index(name))
  return 'another worker'


def _start_tpu(settings: run_settings.RunSettings) -> tf.distribute.Strategy:
  where = settings.tpu_address or 'this machine'
  absent = (
      f"RunSettings.strategy = 'tpu': found no TPU at {where}; set "
      f'RunSettings.tpu_address, or another strategy')
  try:
    with start_guard.limited(settings.worker_timeout, absent):
      return distribute_utils.get_distribution_strategy(
          'tpu', tpu_address=settings.tpu_address)
  except (ImportError, LookupError, OSError, RuntimeError, ValueError,
          tf.errors.OpError) as error:
    raise errors.UserError(
        f'{absent} ({errors.first_line(error)})') from error
