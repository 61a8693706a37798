import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.layers import aspp
from tests.layers import harness, profiler


def _inputs(*shape):
  return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def _built(layer, inputs):
  layer(inputs)
  harness.randomize(layer)
  return layer


@pytest.mark.parametrize('options', [
    {}, {'separable': False}], ids=str)
def test_harness(options):
  harness.check_layer(
      lambda: aspp.ASPP(4, (1, 2), **options), [2, 6, 7, 3])


@pytest.mark.parametrize('separable', [False, True])
def test_an_impulse_is_seen_at_the_rates_and_by_pooling(separable):
  """Without pooling, a change of one pixel reaches only the kernels' taps."""
  inputs = _inputs(1, 21, 21, 3)
  layer = _built(aspp.ASPP(4, (2, 5), separable=separable), inputs)
  changed = inputs.copy()
  changed[0, 10, 10] += 1
  # The mean of the image must not move: the corner takes the change back.
  changed[0, 0, 0] -= 1
  moved = np.abs(layer(changed) - layer(inputs)).max(axis=(0, 3)) > 1e-5
  taps = {(10 + r * y, 10 + r * x)
          for r in (2, 5) for y in (-1, 0, 1) for x in (-1, 0, 1)}
  corner = {(r * y, r * x) for r in (2, 5) for y in (0, 1) for x in (0, 1)}
  seen = set(zip(*(i.tolist() for i in np.nonzero(moved))))
  assert seen <= taps | corner
  assert len(seen) > 15
  changed[0, 0, 0] += 1
  moved = np.abs(layer(changed) - layer(inputs)).max(axis=(0, 3)) > 1e-5
  assert not set(zip(*(i.tolist() for i in np.nonzero(moved)))) <= taps | corner


def test_features_that_are_the_same_everywhere_are_so_inside():
  """Pixels further than the largest rate from the edge see no padding."""
  inputs = np.tile(_inputs(1, 1, 1, 3), [1, 9, 9, 1])
  outputs = _built(aspp.ASPP(4, (1, 2)), inputs)(inputs)[0, 2:-2, 2:-2]
  np.testing.assert_allclose(
      outputs, np.broadcast_to(outputs[0, 0], outputs.shape), atol=1e-5)


@pytest.mark.parametrize('size', [(1, 1), (1, 30), (2, 3)])
def test_images_smaller_than_the_rates(size):
  inputs = _inputs(1, *size, 3)
  outputs = aspp.ASPP(4)(inputs)
  assert outputs.shape == (1, *size, 4)
  assert np.isfinite(outputs).all()


@pytest.mark.parametrize('options', [
    {}, {'separable': False}], ids=str)
def test_multiply_adds_meet_the_profiler(options):
  layer = aspp.ASPP(5, (2, 3), **options)
  expected = profiler.multiply_adds(layer, [1, 12, 6, 7])
  assert layer.multiply_adds(12, 6) == expected


def test_counts_of_table_6():
  """Two ASPPs of 2048 -> 256 explain the rows with ASPP, see the docstring.

  Without ASPP the decoders' first 5x5 separable convolutions (to 256 and 128
  channels, at stride 8) see all 2048 channels of 'res5' instead of 256.
  """
  layer = aspp.ASPP(256)
  layer(tf.zeros([1, 1, 1, 2048]))
  fusions = (2048 - 256) * (25 + 256 + 25 + 128)
  multiply_adds = 2 * layer.multiply_adds(64, 128) - fusions * 128 * 256
  assert abs(multiply_adds - 15.2e9) < 0.1e9
  kernels = sum(np.prod(v.shape) for v in layer.trainable_variables
                if 'kernel' in v.name)
  assert kernels == 3_004_416
  assert abs(2 * kernels - fusions - 5.2e6) < 0.05e6


def test_bad_options():
  with pytest.raises(errors.UserError, match='filters: expected at least 1'):
    aspp.ASPP(0)
  for rates in ((0, 6), (6, 6)):
    with pytest.raises(errors.UserError, match='rates: expected different'):
      aspp.ASPP(4, rates)
  with pytest.raises(errors.UserError, match='seen no input'):
    aspp.ASPP(4).multiply_adds(5, 5)
