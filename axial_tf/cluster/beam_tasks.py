"""Runs independent tasks on the workers of an Apache Beam runner.

The pipeline is as plain as can be, a list and one function, since runners
differ in what they can do beyond that: Beam's runner for Dask loses what a
function returns when its batch ends, so that `RunInference` is incomplete
there. Tasks and results are files in a folder that all workers can read and
write, so that none is lost without being noticed, whatever happens to a worker.
"""

import contextlib
import functools
import json
import os
import pickle
import shlex
import socket
import threading
import traceback
from typing import Any, Callable, Dict, Iterator, Mapping, Sequence

import apache_beam as beam
import tensorflow as tf
import tqdm

from axial_tf import errors
from axial_tf.cluster import beam_options
from axial_tf.files import atomic_files, paths

# Endings of the files of a task; the second exists when it is done.
_TASK, _RESULT = '.task', '.result'
_SECONDS_BETWEEN_COUNTS = 2


def run(work: Callable[[Any], Any], tasks: Mapping[str, Any], folder: str,
        arguments: Sequence[str], unit: str) -> Dict[str, Any]:
  """Calls `work` with each task, on the workers, and shows the progress.

  Args:
    work: function of a task that pickle can send to the workers. It returns
      what JSON can hold. A runner may call it again for a task whose worker was
      lost; then it must write the same files.
    tasks: tasks, which pickle can write, by names that are fit for files.
    folder: folder for the files of the tasks, which all workers can read and
      write; it is emptied before and removed after.
    arguments: options of Beam, '--runner=DirectRunner' for instance.
    unit: what a task is, for the progress bar: 'shard'.

  Returns:
    What `work` returned, by the names of the tasks.

  Raises:
    errors.UserError: as `work` for one of the tasks, after the others; or the
      runner does not accept its options, cannot be reached or has lost its
      workers, or they do not see the folder.
  """
  pipeline = beam_options.pipeline(arguments)
  with _written(tasks, folder):
    with _cluster_errors(arguments), _progress(folder, len(tasks), unit), (
        _ended(pipeline)), pipeline:
      _ = (pipeline
           | 'List tasks' >> beam.Create(
               [os.path.join(folder, name) for name in tasks])
           | 'Spread over workers' >> beam.Reshuffle()
           | 'Work' >> beam.Map(functools.partial(_run_one, work)))
    return {name: _result(os.path.join(folder, name)) for name in tasks}


@contextlib.contextmanager
def _written(tasks: Mapping[str, Any], folder: str) -> Iterator[None]:
  """Writes the tasks to files, since runners limit the size of a pipeline."""
  _remove(folder)
  try:
    for name, task in tasks.items():
      atomic_files.write(
          os.path.join(folder, name + _TASK), pickle.dumps(task))
    yield
  finally:
    _remove(folder)


def _remove(folder: str) -> None:
  if tf.io.gfile.exists(folder):
    tf.io.gfile.rmtree(folder)


def _run_one(work: Callable[[Any], Any], path: str) -> None:
  """Does a task on a worker, unless it was done already."""
  try:
    if tf.io.gfile.exists(path + _RESULT):
      return
    with tf.io.gfile.GFile(path + _TASK, 'rb') as file:
      task = pickle.loads(file.read())
  except tf.errors.OpError as error:
    raise errors.UserError(
        f'{path}{_TASK}: cannot be read on {socket.gethostname()} '
        f'({errors.first_line(error)}); all workers need the output folder '
        f'under the same, absolute path') from error
  try:
    outcome = {'returned': work(task)}
  # A runner would hide the reasons, and try again in vain.
  except errors.UserError as error:
    outcome = {'refused': str(error)}
  except (OSError, MemoryError, tf.errors.OpError) as error:
    outcome = {'refused': f'{socket.gethostname()}: {type(error).__name__}: '
                          f'{errors.first_line(error)}'}
  except Exception:
    outcome = {'failed': traceback.format_exc()}
  if tf.io.gfile.exists(path + _TASK):  # Else the program has given up.
    atomic_files.write(path + _RESULT, json.dumps(outcome).encode())


def _result(path: str) -> Any:
  if not tf.io.gfile.exists(path + _RESULT):
    raise errors.UserError(
        f'the runner of Apache Beam ended without doing {path}; run the same '
        f'command again')
  with tf.io.gfile.GFile(path + _RESULT) as file:
    outcome = json.load(file)
  if 'refused' in outcome:
    raise errors.UserError(outcome['refused'])
  if 'failed' in outcome:
    raise RuntimeError(f'failed on a worker:\n{outcome["failed"]}')
  return outcome['returned']


@contextlib.contextmanager
def _ended(pipeline: beam.Pipeline) -> Iterator[None]:
  """Cancels the pipeline on its runner if this program is interrupted."""
  try:
    yield
  except BaseException:
    with contextlib.suppress(Exception):  # Not every runner can.
      pipeline.result.cancel()
    raise
  finally:
    client = getattr(getattr(pipeline, 'result', None), 'client', None)
    if client is not None:  # Dask's, which would log that it is lost.
      client.close()


@contextlib.contextmanager
def _progress(folder: str, total: int, unit: str) -> Iterator[None]:
  """Shows how many tasks are done, until its context ends."""
  is_over = threading.Event()

  def done() -> int:
    return sum(name.endswith(_RESULT) for name in paths.listdir(folder))

  with tqdm.tqdm(total=total, unit=unit) as bar:

    def show():
      while not is_over.wait(_SECONDS_BETWEEN_COUNTS):
        bar.update(done() - bar.n)

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
      yield
    finally:
      is_over.set()
      thread.join()
      bar.update(done() - bar.n)


@contextlib.contextmanager
def _cluster_errors(arguments: Sequence[str]) -> Iterator[None]:
  """Turns errors of a runner, each of which has its own, into a UserError.

  Those of the work do not come through the runner, see `_run_one`.
  """
  try:
    yield
  except errors.UserError:
    raise
  except Exception as error:
    raise errors.UserError(
        f'Apache Beam with {shlex.join(arguments)} ended early '
        f'({type(error).__name__}: {errors.first_line(error)}); are the '
        f'cluster and its workers up, and is axial_tf installed on '
        f'them?') from error
