"""A cluster of Dask, one of whose workers dies, does what one machine does."""

import concurrent.futures
import contextlib
import functools
import json
import os
import subprocess
import sys
import time

from PIL import Image
import pytest

from axial_tf import errors
from axial_tf.cluster import beam_tasks
from axial_tf.export import saved_model
from data_prep import convert
from data_prep.readers import splits
from tests import color_model
from tests.cluster import dask_cluster
from tests.data_prep import tiny_coco

_LONG = 1000


@pytest.fixture(scope='module')
def export_dir(tmp_path_factory):
  folder = str(tmp_path_factory.mktemp('export'))
  saved_model.export_saved_model(color_model.inference(), folder, version=3)
  return folder


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
  with dask_cluster.started(tmp_path_factory.mktemp('dask'), 3) as processes:
    yield processes


def _trapped(folder, number):
  """Squares a number; the first worker here waits to be killed."""
  try:
    (folder / 'trap').rename(folder / f'caught {os.getpid()}')
  except FileNotFoundError:
    return number ** 2
  time.sleep(_LONG)


@pytest.mark.slow
def test_a_worker_dies_at_its_task(cluster, tmp_path):
  (tmp_path / 'trap').touch()

  def kill():
    caught = dask_cluster.wait_for(
        lambda: next(tmp_path.glob('caught *'), None))
    cluster.kill(int(caught.name.split()[1]))

  with _meanwhile(kill):
    assert beam_tasks.run(
        functools.partial(_trapped, tmp_path),
        {f'task{n}': n for n in range(20)}, str(tmp_path / 'tasks'),
        cluster.arguments, 'task') == {f'task{n}': n ** 2 for n in range(20)}
  assert not (tmp_path / 'tasks').exists()


@pytest.mark.slow
def test_records_are_those_of_one_machine(cluster, tmp_path):
  spec = tmp_path / 'spec.json'
  spec.write_text(json.dumps(tiny_coco.SPEC.to_json()))
  tiny = tiny_coco.TinyCoco(tmp_path / 'tiny', 'train', num_images=150)
  folders = {name: tmp_path / name for name in ('dask', 'local')}

  def kill():
    dask_cluster.wait_for(lambda: list(folders['dask'].glob('train-*')))
    cluster.kill_a_busy_one()

  def make(name, arguments=()):
    convert.run('custom', str(tiny.root), 'train', str(folders[name]),
                splits.ReadOptions(spec=str(spec)), num_shards=75,
                beam_arguments=arguments)

  with _meanwhile(kill):
    make('dask', cluster.arguments)
  make('local')
  assert _contents(folders['dask']) == _contents(folders['local'])
  assert len(_contents(folders['dask'])) == 76


@pytest.mark.long
def test_segments_are_those_of_one_machine(cluster, export_dir, tmp_path):
  (tmp_path / 'in').mkdir()
  for number in range(80):
    image = color_model.scene(scale=1 + number % 3)[0]
    image[0, 0] = number
    Image.fromarray(image).save(tmp_path / 'in' / f'{number}.png')
  (tmp_path / 'in' / '9.png').write_bytes(b'no image')
  folders = {name: tmp_path / name for name in ('dask', 'local')}

  def kill():
    dask_cluster.wait_for(lambda: list(folders['dask'].glob('*_panoptic.png')))
    cluster.kill_a_busy_one()

  def segment(name, *arguments):
    # The devices of this process differ in number, and thus in rounding.
    ended = subprocess.run(
        [sys.executable, '-m', 'axial_tf.predict', f'--model={export_dir}',
         f'--input={tmp_path}/in', f'--output_dir={folders[name]}',
         *arguments], capture_output=True, text=True)
    assert ended.returncode == 1 and (
        'error: 1 of 80 images could not be' in ended.stderr)

  with _meanwhile(kill):
    segment('dask', '--runner=DaskRunner', '--pipeline_options='
            + cluster.arguments[0])
  segment('local')
  assert _contents(folders['dask']) == _contents(folders['local'])
  assert len(_contents(folders['dask'])) == 79 * 3


def test_a_cluster_that_is_not_there(tmp_path):
  with pytest.raises(errors.UserError, match='ended early.*Timed out'):
    beam_tasks.run(
        len, {'a': []}, str(tmp_path / 'tasks'),
        ['--runner=DaskRunner', '--dask_client_address=tcp://127.0.0.1:1',
         '--dask_connection_timeout=1'], 'task')
  assert not (tmp_path / 'tasks').exists()


@pytest.mark.parametrize('content, told', [
    (None, 'scheduler.json.*give the file that it wrote'),
    ('', 'not a readable JSON'), ('[]', 'has no address')])
def test_a_scheduler_that_is_not_described(tmp_path, content, told):
  path = tmp_path / 'scheduler.json'
  if content is not None:
    path.write_text(content)
  with pytest.raises(errors.UserError, match=told):
    beam_tasks.run(
        len, {'a': []}, str(tmp_path / 'tasks'),
        ['--runner=DaskRunner', f'--dask_scheduler_file={path}'], 'task')


def _contents(folder):
  return {path.relative_to(folder): path.read_bytes()
          for path in folder.rglob('*') if path.is_file()}


@contextlib.contextmanager
def _meanwhile(action):
  """Runs a function beside the body, and raises its errors."""
  with concurrent.futures.ThreadPoolExecutor() as threads:
    running = threads.submit(action)
    yield
    running.result()
