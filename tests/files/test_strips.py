"""Strips cover arrays, and are short where rows are long."""

import numpy as np
import pytest

from axial_tf.files import strips


@pytest.mark.parametrize('shape, count', [
    ((0, 5), 0), ((5, 0), 1), ((1, 1, 3), 1), ((100, 100), 1),
    ((3, 2 ** 23), 3), ((5000, 1500), 2)])
def test_strips_cover_all_rows_once(shape, count):
  rows = np.zeros(shape[0], int)
  for strip in strips.of(shape):
    rows[strip] += 1
  assert np.all(rows == 1)
  assert len(list(strips.of(shape))) == count
