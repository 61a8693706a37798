"""What a training step keeps, and its number of operations, stay small."""

import re

import pytest

from tests import tools


@pytest.mark.slow
@pytest.mark.parametrize('precision, most_kept, most_operations', [
    ('float32', 110, 15_000), ('bfloat16', 60, 17_500)])
def test_a_training_step_stays_small(
    precision, most_kept, most_operations):
  done = tools.succeeds(
      'benchmarks.kept_for_backward', f'--precision={precision}')
  kept, operations = re.search(
      r'([\d.]+) MB an image kept; (\d+) operations', done.stdout).groups()
  assert float(kept) < most_kept
  assert int(operations) < most_operations
