"""The costs of large data sets are measured, on one core."""

import re
import subprocess
import sys

import pytest


@pytest.mark.long
def test_the_table(project_root):
  done = subprocess.run(
      [sys.executable, 'benchmarks/scale.py', '--images=8', '--segmented=1',
       '--models=axial_deeplab_s', '--price=2'],
      cwd=project_root, capture_output=True, text=True)
  assert done.returncode == 0, done.stderr[-3000:]
  head, line, *rows = done.stdout.splitlines()
  assert head.count('|') == line.count('|') == 6
  assert [row.split(' | ')[0] for row in rows] == [
      '| conversion', '| input of a training',
      '| segmentation by axial_deeplab_s']
  for row in rows:
    rate, *costs = re.findall(r'[\d,.]+[\d]', row.partition(' | ')[2])
    hours, price = (float(x.replace(',', '')) for x in costs[-2:])
    assert hours == pytest.approx(1e9 / float(rate) / 3600, rel=0.02)
    assert price == pytest.approx(2 * hours, rel=0.02)
