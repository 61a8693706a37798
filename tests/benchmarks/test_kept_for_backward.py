"""What a training step keeps, and its number of operations, stay small."""

import re
import subprocess
import sys

import pytest


@pytest.mark.parametrize('precision, most_kept, most_operations', [
    ('float32', 110, 15_000), ('bfloat16', 60, 17_500)])
def test_a_training_step_stays_small(
    project_root, precision, most_kept, most_operations):
  # A process of its own, as flags of two benchmarks have one name.
  done = subprocess.run(
      [sys.executable, 'benchmarks/kept_for_backward.py',
       f'--precision={precision}'],
      cwd=project_root, check=True, stdout=subprocess.PIPE, text=True)
  kept, operations = re.search(
      r'([\d.]+) MB an image kept; (\d+) operations', done.stdout).groups()
  assert float(kept) < most_kept
  assert int(operations) < most_operations
