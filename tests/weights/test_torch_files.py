"""Files of torch.save are read without running code from them."""

import collections
import io
import os
import pickle
import re
import struct
import sys
import types
import zipfile

import hypothesis
from hypothesis import strategies
import numpy as np
import pytest

from axial_tf import errors
from axial_tf.weights import torch_files


class FloatStorage:
  """Stands for torch.FloatStorage, by name alone."""


class LongStorage:
  """Refused as well."""


def _rebuild_tensor_v2(*_):
  """Stands for torch._utils._rebuild_tensor_v2."""


class _Tensor:
  """Pickled as PyTorch pickles a tensor."""

  def __init__(self, array, key, strides=None, offset=0, size=None):
    self.array, self.key, self.offset = array, key, offset
    self.size = array.shape if size is None else size
    self.strides = strides or tuple(
        stride // array.itemsize for stride in array.strides)

  def __reduce__(self):
    return _rebuild_tensor_v2, (
        self, self.offset, self.size, self.strides, False,
        collections.OrderedDict())


class _Int64:
  """Pickled as a call of a storage's type, of all numbers that may overflow."""

  def __init__(self, value):
    self.value = value

  def __reduce__(self):
    return LongStorage, (self.value,)


class _Pickler(pickle.Pickler):
  """Writes the numbers of a tensor by reference, as torch.save does."""

  def __init__(self, file, is_old):
    super().__init__(file, protocol=2)
    self._is_old = is_old
    self._began = set()

  def persistent_id(self, value):
    # A tensor refers to itself for its storage, within its own reduction.
    if not isinstance(value, _Tensor) or id(value) not in self._began:
      if isinstance(value, _Tensor):
        self._began.add(id(value))
      return None
    kind = LongStorage if value.array.dtype == np.int64 else FloatStorage
    pid = ('storage', kind, value.key, 'cpu', value.array.size)
    return (*pid, None) if self._is_old else pid


@pytest.fixture(autouse=True)
def _torch(monkeypatch):
  """Modules of these names, so that pickles name them."""
  torch, utils = types.ModuleType('torch'), types.ModuleType('torch._utils')
  for kind in (FloatStorage, LongStorage):
    monkeypatch.setattr(kind, '__module__', 'torch')
    setattr(torch, kind.__name__, kind)
  monkeypatch.setattr(_rebuild_tensor_v2, '__module__', 'torch._utils')
  utils._rebuild_tensor_v2 = _rebuild_tensor_v2
  torch._utils = utils
  monkeypatch.setitem(sys.modules, 'torch', torch)
  monkeypatch.setitem(sys.modules, 'torch._utils', utils)


def _dumps(content, is_old=False) -> bytes:
  buffer = io.BytesIO()
  _Pickler(buffer, is_old).dump(content)
  return buffer.getvalue()


def _archive(path, data, storages) -> str:
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('model/data.pkl', data)
    for key, content in storages.items():
      archive.writestr(f'model/data/{key}', content)
  return str(path)


_WEIGHTS = np.arange(12, dtype=np.float32).reshape(3, 4)
_STEPS = np.array(7, np.int64)
_STORAGES = {'0': _WEIGHTS.tobytes(), '1': _STEPS.tobytes()}


def _state(prefix=''):
  return collections.OrderedDict([
      (f'{prefix}conv.weight', _Tensor(_WEIGHTS, '0')),
      (f'{prefix}bn.num_batches_tracked', _Tensor(_STEPS, '1')),
      (f'{prefix}turned', _Tensor(
          _WEIGHTS, '0', strides=(1, 4), offset=1, size=(3, 2)))])


def _require_state(state):
  assert list(state) == ['conv.weight', 'bn.num_batches_tracked', 'turned']
  np.testing.assert_array_equal(state['conv.weight'], _WEIGHTS)
  assert state['conv.weight'].dtype == np.float32
  assert state['bn.num_batches_tracked'] == 7
  np.testing.assert_array_equal(
      state['turned'], [[1, 5], [2, 6], [3, 7]])


@pytest.mark.parametrize('content', [
    _state(), {'net': _state('module.'), 'epoch': 129},
    {'state_dict': _state()}], ids=['state', 'net', 'state_dict'])
def test_weights_of_an_archive(tmp_path, content):
  path = _archive(tmp_path / 'a.pth', _dumps(content), _STORAGES)
  _require_state(torch_files.read_state(path))


def _old_file(content, storages=(('0', _WEIGHTS), ('1', _STEPS))) -> bytes:
  return b''.join([
      pickle.dumps(0x1950a86a20f9469cfc6c, 2), pickle.dumps(1001, 2),
      pickle.dumps({'little_endian': True}, 2), _dumps(content, is_old=True),
      pickle.dumps([key for key, _ in storages], 2),
      *(struct.pack('<q', array.size) + array.tobytes()
        for _, array in storages)])


def test_weights_of_an_old_file(tmp_path):
  (tmp_path / 'a.pth').write_bytes(_old_file({'net': _state('module.')}))
  _require_state(torch_files.read_state(str(tmp_path / 'a.pth')))


class _Evil:
  """Runs a command when it is unpickled."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return os.system, (f'touch {self.path}',)


@pytest.mark.parametrize('place', ['alone', 'beside weights', 'old'])
def test_a_pickle_that_runs_code_is_refused_and_named(tmp_path, place):
  evil = _Evil(tmp_path / 'was_run')
  content = evil if place == 'alone' else {'net': _state(), 'extra': evil}
  if place == 'old':
    path = str(tmp_path / 'a.pth')
    (tmp_path / 'a.pth').write_bytes(_old_file(content))
  else:
    path = _archive(tmp_path / 'a.pth', _dumps(content), _STORAGES)
  with pytest.raises(errors.UserError, match=r'names posix\.system'):
    torch_files.read_state(path)
  assert not (tmp_path / 'was_run').exists()


@pytest.mark.parametrize('tensor', [
    _Tensor(_WEIGHTS, '0', size=(3, 5)),
    _Tensor(_WEIGHTS, '0', offset=1),
    _Tensor(_WEIGHTS, '0', offset=-1),
    _Tensor(_WEIGHTS, '0', strides=(-4, 1)),
    _Tensor(_WEIGHTS, '0', strides=(2 ** 40, 1)),
    _Tensor(_WEIGHTS, '0', strides=(0, 1), size=(2 ** 40, 4)),
    _Tensor(_WEIGHTS, '0', strides=4 * (_Int64(2 ** 62),), size=(2, 2, 2, 2)),
    _Tensor(_WEIGHTS, '0', size=(3, 4, 1)),
    _Tensor(_WEIGHTS, '7'),
    _Tensor(np.zeros(11, np.float32), '0'),
])
def test_tensors_stay_within_their_storage(tmp_path, tensor):
  path = _archive(tmp_path / 'a.pth', _dumps({'a': tensor}), _STORAGES)
  with pytest.raises(errors.UserError, match='is damaged'):
    torch_files.read_state(path)


def test_compressed_archives_are_refused(tmp_path):
  path = tmp_path / 'a.pth'
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
    archive.writestr('a/data.pkl', _dumps(_state()))
    for key, numbers in _STORAGES.items():
      archive.writestr(f'a/data/{key}', numbers)
  with pytest.raises(errors.UserError, match='data.pkl is compressed'):
    torch_files.read_state(str(path))


def test_an_old_file_that_claims_too_much(tmp_path):
  content = {'a': _Tensor(np.broadcast_to(np.float32(0), [2 ** 50]), '0',
                          strides=(1,), size=(1,))}
  (tmp_path / 'a.pth').write_bytes(_old_file(content, ()))
  with pytest.raises(errors.UserError, match='larger than the file'):
    torch_files.read_state(str(tmp_path / 'a.pth'))


@pytest.mark.parametrize('numbers, size', [
    ([], None), ([('0', _WEIGHTS)], None), ([('0', _WEIGHTS)], -44)])
def test_truncated_old_files_are_refused(tmp_path, numbers, size):
  whole = _old_file({'weights': _Tensor(_WEIGHTS, '0')} if size else _state(),
                    numbers)
  (tmp_path / 'a.pth').write_bytes(whole[:size])  # One number left of 12.
  with pytest.raises(errors.UserError, match='is damaged'):
    torch_files.read_state(str(tmp_path / 'a.pth'))


@pytest.mark.parametrize('content, part', [
    ({7: _Tensor(_WEIGHTS, '0')}, 'a dictionary with 7'),
    ([1, 2], 'got list'), ({'epoch': 3}, 'a dictionary with epoch'),
    ({}, 'a dictionary')])
def test_files_without_weights(tmp_path, content, part):
  path = _archive(tmp_path / 'a.pth', _dumps(content), _STORAGES)
  with pytest.raises(errors.UserError, match=part):
    torch_files.read_state(path)


@hypothesis.given(data=strategies.data())
@hypothesis.settings(max_examples=60, deadline=None, suppress_health_check=[
    hypothesis.HealthCheck.function_scoped_fixture])
def test_damaged_files_give_one_clear_line(tmp_path, data):
  good = data.draw(strategies.sampled_from([
      _old_file({'net': _state()}),
      open(_archive(tmp_path / 'b.pth', _dumps(_state()), _STORAGES),
           'rb').read()]))
  start = data.draw(strategies.integers(0, len(good) - 1))
  replacement = data.draw(strategies.binary(max_size=4))
  kept = data.draw(strategies.sampled_from([0, len(good)]))
  bad = good[:start] + replacement + good[start + len(replacement):kept]
  (tmp_path / 'a.pth').write_bytes(bad)
  try:
    torch_files.read_state(str(tmp_path / 'a.pth'))
  except errors.UserError as error:
    assert '\n' not in str(error) and 'a.pth' in str(error)


def test_empty_and_missing_files(tmp_path):
  (tmp_path / 'empty.pth').write_bytes(b'')
  for path in ('empty.pth', 'missing.pth', '.'):
    with pytest.raises(errors.UserError, match=re.escape(path)):
      torch_files.read_state(str(tmp_path / path))
