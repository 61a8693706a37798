import numpy as np
import pytest

from axial_tf.planning import symmetry

_RNG = np.random.default_rng(0)


def _pictures(shape_of, count=60):
  """Noisy pictures of a shape, [SIDE, SIDE] in 0..1 each."""
  return [symmetry.grid(shape_of() + 0.3 * _RNG.standard_normal([32, 32]))
          for _ in range(count)]


def _square(top, left):
  picture = np.zeros([32, 32])
  picture[top:top + 16, left:left + 16] = 1
  return picture


def test_chance_is_told_from_difference():
  found = symmetry.of_kinds([_pictures(lambda: _square(8, 8))])
  assert max(found.mirrored, found.upside_down, found.turned) < 0.1
  found = symmetry.of_kinds([_pictures(lambda: _square(0, 8))])
  assert found.mirrored < 0.1
  assert found.upside_down > 1 and found.turned > 1
  # Each picture differs from its mirrored self, but their kind does not.
  found = symmetry.of_kinds(
      [_pictures(lambda: _square(8, _RNG.choice([0, 16])), 200)])
  assert found.mirrored < 0.3


def test_the_most_different_kind_counts():
  even = _pictures(lambda: _square(8, 8))
  odd = _pictures(lambda: _square(8, 0))
  assert symmetry.of_kinds([even, odd]).mirrored > 1


def test_few_pictures_say_nothing():
  few = _pictures(lambda: _square(8, 0), symmetry.LEAST - 1)
  assert symmetry.of_kinds([few]) == symmetry.Symmetry(None, None, None)
  assert symmetry.of_kinds([]) == symmetry.Symmetry(None, None, None)


@pytest.mark.parametrize('shape', [(1, 1), (3, 40), (40, 3), (16, 16)])
def test_grids_keep_proportions(shape):
  grid = symmetry.grid(np.ones(shape, bool))
  assert grid.shape == (16, 16)
  assert grid.mean() == pytest.approx(
      min(shape) / max(shape), abs=0.07)
  assert symmetry.squeezed(np.ones(shape)).shape == (min(shape),) * 2
