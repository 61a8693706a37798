"""One process at a time works in a folder; dead ones do not block it."""

import dataclasses
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.files import folder_lock, process_identity

_HOLD = '''
import sys, time
from axial_tf.files import folder_lock
with folder_lock.held(sys.argv[1], 'output_dir', *sys.argv[2:]):
  print('held', flush=True)
  time.sleep(60)
'''


@pytest.fixture
def hold(project_root):
  """hold(folder): another process that holds its lock."""
  processes = []

  def start(folder, *name):
    processes.append(subprocess.Popen(
        [sys.executable, '-c', _HOLD, str(folder), *name],
        cwd=project_root, stdout=subprocess.PIPE, text=True))
    assert processes[-1].stdout.readline() == 'held\n'
    return processes[-1]

  yield start
  for process in processes:
    process.kill()
    process.communicate()


def test_a_living_process_is_named_and_a_dead_one_replaced(tmp_path, hold):
  other = hold(tmp_path / 'run')
  with pytest.raises(errors.UserError) as error:
    with folder_lock.held(tmp_path / 'run', 'model_dir'):
      pass
  message = str(error.value)
  assert f'in use by process {other.pid} on ' in message
  assert '--model_dir' in message and 'since 20' in message
  assert other.poll() is None
  other.kill()  # No time to remove anything.
  other.wait()
  assert os.listdir(tmp_path / 'run') == ['.lock']
  with folder_lock.held(tmp_path / 'run', 'model_dir'):
    pass
  assert os.listdir(tmp_path / 'run') == []


def test_parts_of_a_folder_are_independent(tmp_path, hold):
  hold(tmp_path, 'train')
  with folder_lock.held(tmp_path, 'output_dir', 'val'):
    pass
  with pytest.raises(errors.UserError, match='in use'):
    with folder_lock.held(tmp_path, 'output_dir', 'train'):
      pass


def test_a_waiting_process_gets_the_lock(tmp_path, hold):
  other = hold(tmp_path)
  os.kill(other.pid, signal.SIGSTOP)  # Alive, if slow.
  with pytest.raises(errors.UserError):
    with folder_lock.held(tmp_path, 'output_dir', patience=0.3):
      pass
  other.kill()
  with folder_lock.held(tmp_path, 'output_dir', patience=30):
    pass


def test_an_exception_releases_the_lock(tmp_path):
  with pytest.raises(KeyboardInterrupt):
    with folder_lock.held(tmp_path, 'output_dir'):
      assert os.listdir(tmp_path) == ['.lock']
      raise KeyboardInterrupt
  assert os.listdir(tmp_path) == []


def _count(folder, number, rounds):
  for _ in range(rounds):
    with folder_lock.held(folder, 'output_dir', patience=60):
      value = int(number.read_text())
      time.sleep(0.001)
      number.write_text(str(value + 1))


def test_no_two_processes_hold_the_lock(tmp_path):
  number = tmp_path / 'number'
  number.write_text('0')
  processes = [
      multiprocessing.get_context('fork').Process(
          target=_count, args=(tmp_path / 'x', number, 5)) for _ in range(4)]
  for process in processes:
    process.start()
  for process in processes:
    process.join(100)
  assert number.read_text() == '20'


def _leave(folder, **changes):
  """Writes the lock file that another process would have left."""
  owner = dataclasses.replace(
      process_identity.ProcessIdentity.current(), **changes)
  pathlib.Path(folder, '.lock').write_bytes(owner.to_json())


def _is_free(folder):
  try:
    with folder_lock.held(folder, 'output_dir'):
      return True
  except errors.UserError:
    return False


def test_another_machine_is_dead_when_its_lock_is_old(tmp_path):
  _leave(tmp_path, machine='another', host='far')
  with pytest.raises(errors.UserError, match='on far .*after 3 minutes'):
    with folder_lock.held(tmp_path, 'output_dir'):
      pass
  old = time.time() - folder_lock.EXPIRY - 1
  os.utime(tmp_path / '.lock', (old, old))
  assert _is_free(tmp_path)


def test_a_lock_is_renewed(tmp_path, monkeypatch):
  monkeypatch.setattr(folder_lock, 'RENEWAL', 0.05)
  with folder_lock.held(tmp_path, 'output_dir'):
    os.utime(tmp_path / '.lock', (1, 1))
    deadline = time.monotonic() + 20
    while os.stat(tmp_path / '.lock').st_mtime < 2:
      assert time.monotonic() < deadline
      time.sleep(0.01)


@pytest.mark.parametrize('changes, is_free', [
    ({}, False),
    ({'pid': 2 ** 22 + 1}, True),  # Above Linux's largest number.
    ({'started': '1'}, True),  # Its number went to another process.
    ({'container': 'pid:[1]'}, False),  # The same number in another container.
])
def test_a_disk_without_locks(tmp_path, monkeypatch, changes, is_free):
  monkeypatch.setattr(folder_lock, '_flock', lambda file: None)
  _leave(tmp_path, **changes)
  assert _is_free(tmp_path) == is_free


def test_a_lock_truncated_by_a_power_cut_is_free(tmp_path):
  (tmp_path / '.lock').write_bytes(b'{"host": "x", "ma')
  assert _is_free(tmp_path)


class TestRemote:

  @pytest.fixture
  def bucket(self, monkeypatch):
    monkeypatch.setattr(folder_lock, '_SETTLING', 0.01)
    folder = 'ram://bucket/' + os.urandom(8).hex()
    tf.io.gfile.makedirs(folder)
    return folder

  def test_the_second_is_refused(self, bucket):
    with folder_lock.held(bucket, 'output_dir'):
      assert tf.io.gfile.listdir(bucket) == ['.lock']
      with pytest.raises(errors.UserError, match='in use by process'):
        with folder_lock.held(bucket, 'output_dir'):
          pass
    assert tf.io.gfile.listdir(bucket) == []

  def test_a_dead_process_is_replaced(self, bucket):
    owner = dataclasses.replace(
        process_identity.ProcessIdentity.current(), pid=2 ** 22 + 1)
    with tf.io.gfile.GFile(f'{bucket}/.lock', 'wb') as file:
      file.write(owner.to_json())
    assert _is_free(bucket)


def test_a_folder_that_cannot_be_made(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(errors.UserError, match='cannot write .*--output_dir'):
    with folder_lock.held(tmp_path / 'file' / 'x', 'output_dir'):
      pass
