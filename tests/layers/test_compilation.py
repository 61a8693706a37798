"""What XLA compiles, by mode, device and shape."""

import pytest
import tensorflow as tf

from axial_tf import devices
from axial_tf.layers import compilation

_MODES = ('auto', 'always', 'never')


@pytest.mark.parametrize('device, whole, of_run', [
    ('cpu', (False, True, False), (None, 'compiled', 'matmul')),
    ('gpu', (True, True, False), (None, 'compiled', 'einsum')),
    ('tpu', (False, False, False), (None, None, None))])
def test_modes_on_devices(device, whole, of_run):
  with devices.target(device):
    assert tuple(map(compilation.pays, _MODES)) == whole
    assert tuple(map(compilation.backend_of_run, _MODES)) == of_run


def test_a_shape_that_comes_often_is_compiled(monkeypatch):
  monkeypatch.setattr(compilation, 'CALLS_BEFORE_COMPILING', 2)
  with devices.target('gpu'):
    is_compiled = compilation.Recurring('auto')
    never = compilation.Recurring('never')
  often, rare = tf.TensorShape([1, 9, 9, 3]), tf.TensorShape([1, 9, 8, 3])
  found = [is_compiled(shape) for shape in (often, rare, often, often, often)]
  assert found == [False, False, False, True, True]
  assert not any(never(often) for _ in range(9))
  with devices.target('cpu'):
    is_compiled = compilation.Recurring('auto')
  assert not any(is_compiled(often) for _ in range(9))


def test_a_folder_of_many_sizes_has_few_programs():
  is_compiled = compilation.Recurring('always')
  shapes = [tf.TensorShape([1, side, 9, 3]) for side in range(3, 12)]
  for _ in range(2):
    assert [is_compiled(shape) for shape in shapes] == [
        place < compilation.PROGRAMS for place in range(len(shapes))]
