import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.layers.attention import axial_2d
from axial_tf.layers.attention import settings as attention_settings
from tests.layers import harness, oracle_check


@pytest.mark.parametrize('name,strides', [
    ('attn2d_s1', 1), ('attn2d_s2', 2), ('attn2d_s2_even', 2)])
def test_meets_reference(name, strides, oracle):
  oracle_check.check_against(
      axial_2d.AxialAttention2D(16, 32, heads=4, strides=strides),
      oracle(f'deeplab2/{name}'))


@pytest.mark.parametrize('options', [
    dict(strides=2, span=3), dict(
        strides=2, average_pooling=True,
        terms=attention_settings.AttentionTerms(key_position=False))])
def test_harness(options):
  harness.check_layer(
      lambda: axial_2d.AxialAttention2D(8, 8, heads=2, **options),
      [2, 7, 20, 6])


@pytest.mark.parametrize('size', [(1, 1), (1, 6), (5, 1), (4, 3)])
def test_transposed_image_with_swapped_axes_gives_rows_before_columns(size):
  """The height layer works on columns alone, the width layer on rows."""
  layer = axial_2d.AxialAttention2D(4, 8, heads=2)
  inputs = np.random.default_rng(0).normal(size=(1, *size, 4))
  inputs = inputs.astype(np.float32)
  outputs = layer(inputs)
  columns = np.stack(
      [layer.height_axis(inputs[:, :, x]) for x in range(size[1])], axis=2)
  rows = np.stack(
      [layer.width_axis(columns[:, y]) for y in range(size[0])], axis=1)
  np.testing.assert_allclose(outputs, rows, atol=1e-5)


def test_stride_below_one():
  with pytest.raises(errors.UserError, match='strides of at least 1'):
    axial_2d.AxialAttention2D(4, 4, strides=0)


def test_stride_keeps_every_second_row_and_column():
  options = dict(heads=2)
  full = axial_2d.AxialAttention2D(4, 4, **options)
  strided = axial_2d.AxialAttention2D(4, 4, strides=2, **options)
  inputs = tf.random.stateless_normal([2, 6, 5, 4], [1, 2])
  full(inputs)
  strided(inputs)
  strided.set_weights(full.get_weights())
  np.testing.assert_allclose(
      strided(inputs), full(inputs)[:, ::2, ::2], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('size,strides', [
    ((4, 6), 2), ((5, 7), 2), ((7, 4), 3), ((1, 5), 2), ((3, 2), 1)])
def test_average_pooling_averages_the_pixels_that_exist(size, strides):
  options = dict(heads=2)
  full = axial_2d.AxialAttention2D(4, 4, **options)
  pooled = axial_2d.AxialAttention2D(
      4, 4, strides=strides, average_pooling=True, **options)
  inputs = tf.random.stateless_normal([2, *size, 4], [1, 2])
  everything = full(inputs).numpy()
  pooled(inputs)
  pooled.set_weights(full.get_weights())
  # Where the stride does not divide a size, what is missing is shared by both
  # edges, the larger part at the end.
  missing = [-length % strides for length in size]
  padded = np.pad(
      everything, [(0, 0), *((m // 2, m - m // 2) for m in missing), (0, 0)],
      constant_values=np.nan)
  height, width = (length // strides for length in padded.shape[1:3])
  windows = padded.reshape(2, height, strides, width, strides, 4)
  np.testing.assert_allclose(
      pooled(inputs), np.nanmean(windows, axis=(2, 4)), atol=1e-6)


def test_multiply_adds_of_the_paper_formula():
  """Per layer px * (C * 2C + 1.5 m C + 2 m C), with C values and C/2 keys."""
  layer = axial_2d.AxialAttention2D(64, 128)
  layer.build([None, None, None, 128])

  def axis(pixels, span):
    return pixels * (128 * 256 + span * 128 * 7 // 2)

  assert layer.multiply_adds(56, 40) == axis(56 * 40, 56) + axis(56 * 40, 40)
  local = axial_2d.AxialAttention2D(64, 128, span=45)
  local.build([None, None, None, 128])
  assert local.multiply_adds(56, 40) == axis(56 * 40, 45) + axis(56 * 40, 40)


@pytest.mark.parametrize('average_pooling,rows', [(False, 3), (True, 5)])
def test_multiply_adds_respect_strides_and_terms(average_pooling, rows):
  layer = axial_2d.AxialAttention2D(
      4, 6, heads=2, strides=2, average_pooling=average_pooling,
      terms=attention_settings.AttentionTerms(
          key_position=False, value_position=False))
  layer.build([None, None, None, 10])
  height = 5 * 8 * (10 * 14 + 5 * (2 * 4 + 6))
  width = rows * 8 * (6 * 14 + 8 * (2 * 4 + 6))
  assert layer.multiply_adds(5, 8) == height + width


def test_multiply_adds_of_a_layer_that_is_not_built():
  layer = axial_2d.AxialAttention2D(4, 4, heads=2)
  with pytest.raises(errors.UserError, match='expected a built layer'):
    layer.multiply_adds(5, 5)
