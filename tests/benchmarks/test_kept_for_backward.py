"""What a training step keeps, and its number of operations, stay small."""

import re
import subprocess
import sys


def test_a_training_step_stays_small(project_root):
  # A process of its own, as flags of two benchmarks have one name.
  done = subprocess.run(
      [sys.executable, 'benchmarks/kept_for_backward.py', '--batch_size=2'],
      cwd=project_root, check=True, stdout=subprocess.PIPE, text=True)
  kept, operations = re.search(
      r'([\d.]+) MB an image kept; (\d+) operations', done.stdout).groups()
  assert float(kept) < 110
  assert int(operations) < 15_000
