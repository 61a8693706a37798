"""Cells of the table of accelerators have a cost, or say why not."""

import threading

import pytest
import tensorflow as tf

from benchmarks import accelerator, steps

_NAME = 'resnet_s_224_infer'
_CASE = accelerator.tiny(accelerator.CASES[_NAME])


def test_a_table_has_a_row_for_each_formulation():
  compiled = threading.Event()
  cost = accelerator.cost(
      _CASE, 'published', 'graph_float32', 'cpu', 2, compiled)
  assert compiled.is_set()
  assert all(value > 0 for value in cost)
  table = accelerator.table({_NAME: _CASE}, {
      (_NAME, 'published', 'graph_float32'): cost,
      (_NAME, 'published', 'xla_bfloat16'): accelerator.Cost(1234.5, 67.8, 9.1),
      (_NAME, 'ours', 'graph_float32'): 'out of memory'})
  assert table.splitlines() == [
      '| model, pixels, images, work | formulation | graph, float32 '
      '| xla, bfloat16 |',
      '|---|---|---|---|',
      f'| Axial-ResNet-S, 33, 2, inference | published | {cost} '
      f'| 1234 / 68 / 9 |',
      '| Axial-ResNet-S, 33, 2, inference | ours | out of memory | - |']


@pytest.mark.parametrize('error, text', [
    (tf.errors.InternalError(
        None, None, 'Out of memory while trying to allocate 8 bytes.'),
     'out of memory'),
    (tf.errors.InternalError(None, None, 'no kernel | image\nmore'),
     'failed: no kernel / image')])
def test_what_cannot_be_measured_says_why(monkeypatch, error, text):
  def fail(*_):
    raise error

  monkeypatch.setattr(steps, 'backbone', fail)
  assert accelerator.cost(
      _CASE, 'ours', 'xla_float32', 'cpu', 1, threading.Event()) == text


def test_a_cell_that_takes_too_long_says_so():
  assert accelerator.measured(
      0.1, _CASE, 'ours', 'graph_float32', 'cpu', 1) == 'not compiled in 0.1 s'
