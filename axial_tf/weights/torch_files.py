"""Reads the tensors of a PyTorch file without running code in it.

Such a file is a pickle, and a pickle may call any function that it names. Here
only functions that build tensors and dictionaries are known, and are emulated;
a file that names anything else is rejected. PyTorch is not needed.

Both formats of `torch.save` are read: zip archives, since version 1.6, and the
pickles of older ones.
"""

import collections
import io
import math
import operator
import os
import pickle
import struct
from typing import Any, BinaryIO, Callable, Dict, Mapping
import zipfile

import numpy as np

from axial_tf import errors

# Names, not types: a pickle may call anything callable.
_TYPES = {
    'FloatStorage': 'float32', 'DoubleStorage': 'float64',
    'HalfStorage': 'float16', 'LongStorage': 'int64',
    'IntStorage': 'int32', 'ShortStorage': 'int16', 'CharStorage': 'int8',
    'ByteStorage': 'uint8', 'BoolStorage': 'bool',
}
# Keys of the weights in files that also store, say, the epoch.
_STATE_KEYS = ('net', 'state_dict', 'model', 'model_state_dict')
_MAGIC = 0x1950a86a20f9469cfc6c  # The first number of an old file.
_PARALLEL = 'module.'  # Prefix that DataParallel adds to all names.


def read_state(path: str) -> Dict[str, np.ndarray]:
  """Returns the weights of a file by their names.

  Args:
    path: path of a state_dict, or of a dictionary with one under 'net',
      'state_dict' or 'model'; names may start with 'module.'.

  Raises:
    errors.UserError: there is no such file, it is damaged or contains
      something else, or it would run code.
  """
  content = _read(path)
  for key in _STATE_KEYS:
    if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
      content = content[key]
      break
  if not isinstance(content, Mapping) or not content or not all(
      isinstance(name, str) and isinstance(value, np.ndarray)
      for name, value in content.items()):
    raise errors.UserError(
        f'{path}: expected a dictionary of tensors (a state_dict), or one '
        f'under {", ".join(_STATE_KEYS)}; got {_kind(content)}')
  return {
      name[len(_PARALLEL):] if name.startswith(_PARALLEL) else name: value
      for name, value in content.items()}


def _read(path: str) -> Any:
  """Returns the object that the pickle in a file describes."""
  try:
    with open(path, 'rb') as file:
      if zipfile.is_zipfile(file):
        return _read_archive(path, file)
      file.seek(0)
      return _read_old(path, file)
  except OSError as error:
    raise errors.UserError(
        f'{path}: cannot be read ({error.strerror or error}); expected a .pth '
        f'file') from error
  except errors.UserError:
    raise
  except Exception as error:  # A damaged pickle may raise anything.
    raise errors.UserError(
        f'{path}: is damaged or not from torch.save ({type(error).__name__}: '
        f'{errors.first_line(error)}); download it again') from error


def _read_archive(path: str, file: BinaryIO) -> Any:
  """Reads a zip archive of data.pkl and the storages data/0, data/1, ..."""
  with zipfile.ZipFile(file) as archive:
    names = [name for name in archive.namelist()
             if name == 'data.pkl' or name.endswith('/data.pkl')]
    if len(names) != 1:
      raise errors.UserError(
          f'{path}: is a zip archive, but not from torch.save (no data.pkl); '
          f'give a .pth file')
    folder = names[0][:-len('data.pkl')]

    def storage(dtype, key, count):
      numbers = np.frombuffer(
          _stored(archive, f'{folder}data/{key}'), dtype)
      if numbers.size != count:
        raise ValueError(f'storage {key} has {numbers.size} numbers, expected '
                         f'{count}')
      return numbers

    content = io.BytesIO(_stored(archive, names[0]))
    return _Unpickler(path, content, storage).load()


def _stored(archive: zipfile.ZipFile, name: str) -> bytes:
  """Returns a member that is no larger than the archive."""
  if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
    raise ValueError(f'{name} is compressed, which torch.save never does')
  return archive.read(name)


def _read_old(path: str, file: BinaryIO) -> Any:
  """Reads pickles, one after the other, followed by the storages."""
  size = os.path.getsize(path)
  storages: Dict[str, np.ndarray] = {}

  def storage(dtype, key, count):
    if not 0 <= count * np.dtype(dtype).itemsize <= size:
      raise ValueError(f'storage {key} is larger than the file')
    storages[key] = np.empty(count, dtype)  # Its values follow later.
    return storages[key]

  def load():
    return _Unpickler(path, file, storage).load()

  if load() != _MAGIC:
    raise ValueError('wrong magic number')
  load(), load()  # The format's version and the machine.
  content = load()
  complete = set()
  for key in load():
    count, = struct.unpack('<q', file.read(8))
    if count != storages[key].size:
      raise ValueError(f'storage {key} has {count} numbers, expected '
                       f'{storages[key].size}')
    data = file.read(storages[key].nbytes)
    if len(data) != storages[key].nbytes:
      raise ValueError(f'storage {key} ends early')
    storages[key][:] = np.frombuffer(data, storages[key].dtype)
    complete.add(key)
  if complete != set(storages):
    raise ValueError(f'lacks storages {sorted(set(storages) - complete)}')
  return content


class _Unpickler(pickle.Unpickler):
  """Builds tensors and containers, and nothing else."""

  def __init__(self, path: str, file: BinaryIO,
               storage: Callable[[np.dtype, str, int], np.ndarray]):
    super().__init__(file)
    self._path = path
    self._storage = storage
    self._storages: Dict[str, np.ndarray] = {}

  def find_class(self, module: str, name: str):
    if (module, name) not in _KNOWN:
      raise errors.UserError(
          f'{self._path}: names {module}.{name}, which builds no tensor; files '
          f'that would run code are rejected. Save only the state_dict: '
          f'torch.save(model.state_dict(), ...)')
    return _KNOWN[module, name]

  def persistent_load(self, pid):
    _, dtype, key, _, count, *_ = pid
    if dtype not in _TYPES.values():
      raise ValueError(f'storage {key} is of an unknown type')
    if key not in self._storages:
      self._storages[key] = self._storage(
          np.dtype(dtype).newbyteorder('<'), key, operator.index(count))
    return self._storages[key]


def _tensor(storage: np.ndarray, offset: int, size, strides, *_) -> np.ndarray:
  """Returns a view of a storage; sizes and strides count elements.

  Raises:
    ValueError: it would reach beyond the storage.
  """
  # Python's own integers, as others may overflow.
  offset = operator.index(offset)
  size, strides = (tuple(map(operator.index, s)) for s in (size, strides))
  if len(size) != len(strides):
    raise ValueError('a tensor has no stride for some axis')
  last = offset + sum(
      (side - 1) * stride for side, stride in zip(size, strides))
  if min((offset, *size, *strides)) < 0 or (
      0 not in size and last >= storage.size) or (
          math.prod(size) > storage.size):  # Repeats values, with stride 0.
    raise ValueError('a tensor reaches beyond its storage')
  if 0 in size:
    return np.zeros(size, storage.dtype)
  return np.lib.stride_tricks.as_strided(
      storage[offset:], size, [s * storage.itemsize for s in strides],
      writeable=False)


_KNOWN = {
    ('collections', 'OrderedDict'): collections.OrderedDict,
    ('torch._utils', '_rebuild_tensor_v2'): _tensor,
    ('torch._utils', '_rebuild_parameter'): lambda data, *_: data,
    ('torch', 'Size'): tuple,
    **{('torch', name): dtype for name, dtype in _TYPES.items()},
}


def _kind(content: Any) -> str:
  if isinstance(content, Mapping):
    return f'a dictionary with {", ".join(map(str, list(content)[:5]))}'
  return type(content).__name__
