"""The table of accelerators has a row for each formulation of a case."""

import re
import subprocess
import sys


def _rows(project_root, *arguments):
  """Runs the benchmark on the CPU; returns its heading, and rows of cells."""
  # A process of its own, as flags of two benchmarks have one name.
  done = subprocess.run(
      [sys.executable, 'benchmarks/accelerator.py', '--device=cpu', '--tiny',
       *arguments],
      cwd=project_root, check=True, capture_output=True, text=True)
  assert 'Traceback' not in done.stderr
  heading, blank, *lines = done.stdout.splitlines()
  assert not blank
  return heading, [
      [cell.strip() for cell in line.strip('|').split('|')] for line in lines]


def test_a_case_has_a_row_for_each_formulation(project_root):
  heading, (names, rule, *rows) = _rows(
      project_root, '--cases=resnet_s_224_infer', '--columns=graph_float32',
      '--runs=1')
  assert re.match(r'CPU, \d+ cores, TensorFlow \d', heading)
  assert names[1:] == ['formulation', 'graph, float32']
  assert set(map(len, (rule, *rows))) == {3}
  assert [row[:2] for row in rows] == [
      ['Axial-ResNet-S, 33, 2, inference', 'published'],
      ['Axial-ResNet-S, 33, 2, inference', 'ours']]
  for *_, cell in rows:
    rate, megabytes, first = map(float, cell.split(' / '))
    assert rate > 0 and megabytes > 0 and first > 0


def test_a_cell_that_takes_too_long_says_so(project_root):
  _, (_, _, *rows) = _rows(
      project_root, '--cases=coco_train', '--columns=xla_float32',
      '--limit=0.1')
  assert [row[1:] for row in rows] == [
      ['published', 'not compiled in 0.1 s'],
      ['ours', 'not compiled in 0.1 s'],
      ["ours, `recompute='axial'`", 'not compiled in 0.1 s']]
