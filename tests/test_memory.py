"""Errors of full devices are told from others, with their figures."""

import ctypes
import resource
import subprocess
import sys

import pytest
import tensorflow as tf

from axial_tf import memory

_TPU = (
    'RESOURCE_EXHAUSTED: Compilation failure: Ran out of memory in memory '
    'space hbm. Used 20.00G of 15.50G hbm. Exceeded hbm capacity by 4.50G.')


def _exhausted(message):
  return tf.errors.ResourceExhaustedError(None, None, message)


@pytest.mark.parametrize('error, words', [
    (_exhausted('OOM when allocating tensor with shape[2,500,1000] and type '
                'half on /job:localhost/replica:0/task:0/device:GPU:1 by '
                'allocator GPU_1_bfc'), 'the GPU, which has 80 GB (and needed '
     '2 MB more)'),
    (tf.errors.InternalError(None, None, 'Failed to allocate 3221225472 bytes '
                             'on device:GPU:0: CUDA_ERROR_OUT_OF_MEMORY'),
     'the GPU, which has 80 GB (and needed 3.22 GB more)'),
    (_exhausted('Out of memory while trying to allocate 6.00GiB on device:GPU:0'
                ), '(and needed 6.44 GB more)'),
    (_exhausted(_TPU), 'the TPU, which has 16.6 GB'),
    (MemoryError('Unable to allocate 2.00 GiB for an array'),
     '(and needed 2.15 GB more)')])
def test_the_device_and_its_figures_are_found(error, words, monkeypatch):
  monkeypatch.setattr(memory, '_gpu_bytes', lambda: 80 * 10 ** 9)
  assert memory.is_exhausted(error)
  assert words in memory.describe(error)


@pytest.mark.parametrize('error', [
    _exhausted('ckpt-8.data; No space left on device'),
    _exhausted('received message larger than max'),
    tf.errors.InternalError(None, None, 'an illegal instruction'),
    ValueError('out of memory')])
def test_other_errors_are_not_about_memory(error):
  assert not memory.is_exhausted(error)


def test_the_driver_is_asked_for_a_gpus_memory(monkeypatch):
  class Driver:
    status = 0

    def cuInit(self, flags):
      return flags

    def cuDeviceGet(self, device, number):
      return number

    def cuDeviceTotalMem_v2(self, total, device):
      ctypes.cast(total, ctypes.POINTER(ctypes.c_size_t))[0] = 5
      return self.status

  error = _exhausted('OOM when allocating on device:GPU:0')
  monkeypatch.setattr(memory.ctypes, 'CDLL', lambda name: Driver())
  assert memory.capacity(error) == 5
  Driver.status = 100
  assert memory.capacity(error) is None


@pytest.mark.slow
def test_a_cpu_that_cannot_allocate_is_recognized(project_root):
  program = f"""
import resource
import tensorflow as tf
from axial_tf import memory
tf.zeros([1])
limit = int(open('/proc/self/statm').read().split()[0]) * (
    resource.getpagesize()) + 2 ** 30
resource.setrlimit(resource.RLIMIT_AS, (limit, {resource.RLIM_INFINITY}))
try:
  tf.fill([2 ** 32], 1.0)
except tf.errors.OpError as error:
  assert memory.is_exhausted(error) and memory.capacity(error) == limit
  print(memory.describe(error))
"""
  done = subprocess.run(
      [sys.executable, '-c', program], cwd=project_root, check=True,
      stdout=subprocess.PIPE, text=True)
  assert done.stdout.startswith('out of memory on the CPU, which has ')
  assert '(and needed 17.2 GB more)' in done.stdout
