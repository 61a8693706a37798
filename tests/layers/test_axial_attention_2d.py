import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.layers import axial_attention, axial_attention_2d
from tests.layers import harness, oracle_check


@pytest.mark.parametrize('name,strides', [
    ('attn2d_s1', 1), ('attn2d_s2', 2), ('attn2d_s2_even', 2)])
def test_meets_reference(name, strides, oracle):
  oracle_check.check_against(
      axial_attention_2d.AxialAttention2D(16, 32, heads=4, strides=strides),
      oracle(f'deeplab2/{name}'))


@pytest.mark.parametrize('options', [
    dict(strides=2), dict(span=3), dict(
        terms=axial_attention.AttentionTerms(key_position=False))])
def test_harness(options):
  harness.check_layer(
      lambda: axial_attention_2d.AxialAttention2D(8, 8, heads=2, **options),
      [2, 7, 20, 6])


@pytest.mark.parametrize('size', [(1, 1), (1, 6), (5, 1), (4, 3)])
def test_transposed_image_with_swapped_axes_gives_rows_before_columns(size):
  """The height layer works on columns alone, the width layer on rows."""
  layer = axial_attention_2d.AxialAttention2D(4, 8, heads=2)
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
    axial_attention_2d.AxialAttention2D(4, 4, strides=0)


def test_stride_keeps_every_second_row_and_column():
  options = dict(heads=2)
  full = axial_attention_2d.AxialAttention2D(4, 4, **options)
  strided = axial_attention_2d.AxialAttention2D(4, 4, strides=2, **options)
  inputs = tf.random.stateless_normal([2, 6, 5, 4], [1, 2])
  full(inputs)
  strided(inputs)
  strided.set_weights(full.get_weights())
  np.testing.assert_allclose(
      strided(inputs), full(inputs)[:, ::2, ::2], atol=1e-6)
