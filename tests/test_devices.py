"""Available devices are used unless the user excludes them."""

import os

import pytest

from axial_tf import devices, errors

_H = 'NVIDIA H200'


@pytest.mark.parametrize('strategy, num_gpus, gpus, expected', [
    ('one_device', None, [], 'CPU (TensorFlow sees no GPU)'),
    ('one_device', None, [_H], '1 GPU (NVIDIA H200)'),
    ('one_device', None, [_H, _H], '1 GPU (NVIDIA H200)'),
    ('one_device', 1, [_H, _H], '1 GPU (NVIDIA H200)'),
    ('one_device', 0, [_H], 'CPU (RunSettings.num_gpus = 0)'),
    ('one_device', 0, [], 'CPU (RunSettings.num_gpus = 0)'),
    ('mirrored', None, [], 'CPU (TensorFlow sees no GPU)'),
    ('mirrored', None, [_H, _H, _H], '3 GPUs (NVIDIA H200)'),
    ('mirrored', 2, [_H, _H, _H], '2 GPUs (NVIDIA H200)'),
    ('mirrored', None, ['A', _H, _H], '3 GPUs (1 x A, 2 x NVIDIA H200)'),
    ('mirrored', 0, [_H], 'CPU (RunSettings.num_gpus = 0)'),
    ('multi_worker_mirrored', None, [_H, _H], '2 GPUs (NVIDIA H200)'),
    ('multi_worker_mirrored', 1, [_H, _H], '1 GPU (NVIDIA H200)'),
    ('multi_worker_mirrored', None, [], 'CPU (TensorFlow sees no GPU)'),
])
def test_chosen_devices(strategy, num_gpus, gpus, expected):
  assert str(devices.choose(strategy, num_gpus, gpus)) == expected


@pytest.mark.parametrize('strategy', [
    'one_device', 'mirrored', 'multi_worker_mirrored'])
@pytest.mark.parametrize('num_gpus, gpus', [(1, []), (3, [_H, _H])])
def test_more_gpus_than_there_are(strategy, num_gpus, gpus):
  with pytest.raises(errors.UserError) as error:
    devices.choose(strategy, num_gpus, gpus)
  assert (f'RunSettings.num_gpus: expected at most {len(gpus)}, the number of '
          f'GPUs that TensorFlow sees, got {num_gpus}') in str(error.value)


def test_a_driver_without_tensorflows_libraries_is_reported():
  assert 'tensorflow[and-cuda]' in str(
      devices.choose('one_device', None, [], has_driver=True))
  with pytest.raises(errors.UserError, match='CUDA_VISIBLE_DEVICES'):
    devices.choose('one_device', 1, [], has_driver=True)
  assert 'cuda' not in str(devices.choose('one_device', 0, [], True))


def test_the_line_of_this_machine(capsys, monkeypatch):
  monkeypatch.setattr(devices, '_has_driver', lambda: False)
  taken = devices.take('mirrored', None)
  assert taken == devices.available()
  taken.announce('mirrored')
  told = capsys.readouterr().err
  assert told == f'devices: mirrored, {taken}\n'


@pytest.mark.parametrize('line, has', [
    ('flags : fpu avx2 avx512f avx512dq\n', True),
    ('flags : fpu avx2\n', False), (None, False)])
def test_the_vector_instructions_of_the_cpu(tmp_path, monkeypatch, line, has):
  path = tmp_path / 'cpuinfo'
  if line is not None:
    path.write_text(line)
  monkeypatch.setattr(devices, '_PROCESSORS', str(path))
  devices.has_avx512.cache_clear()
  assert devices.has_avx512() == has
  devices.has_avx512.cache_clear()


def test_cores():
  assert 1 <= devices.cores() <= os.cpu_count()
