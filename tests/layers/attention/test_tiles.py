"""Inference in tiles, on either line of TensorFlow."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import devices
from axial_tf.layers import compilation
from axial_tf.layers.attention import backends, tiles
from axial_tf.layers.attention import layer as attention_layer
from axial_tf.layers.attention import settings as attention_settings
from tests.layers import harness

AttentionTerms = attention_settings.AttentionTerms


@pytest.fixture
def calls(monkeypatch):
  """The shapes of the vectors that tiles are made of."""
  found = []
  attend = tiles.attend

  def recorded(settings, depth, vectors, *others):
    found.append([None if x is None else x.shape.as_list() for x in vectors])
    return attend(settings, depth, vectors, *others)

  monkeypatch.setattr(compilation, 'tiles_pay', lambda: True)
  monkeypatch.setattr(tiles, 'attend', recorded)
  return found


def _outputs(layer, backend, inputs, **options):
  with backends.use(layer, backend):
    return tf.function(
        lambda x: layer(x, **options), autograph=False)(inputs).numpy()


def _check(inputs, channels, heads, stride=1, **options):
  """Compares with the equation, in float64."""
  with harness.precision('float64'):
    layer = attention_layer.AxialAttention(*channels, heads=heads, **options)
    layer(inputs)
  harness.randomize(layer)
  expected = _outputs(layer, 'equation', inputs)[:, ::stride]
  np.testing.assert_allclose(
      _outputs(layer, 'fused', inputs, stride=stride), expected,
      atol=1e-10 * np.abs(expected).max())


def _inputs(*shape):
  return tf.random.stateless_normal(shape, [1, 2], dtype=tf.float64)


# Heads that fill a tile, with others, alone, and not.
@pytest.mark.parametrize('heads', [1, 3, 8, 16, 20])
def test_rows_and_heads_are_lanes(calls, heads):
  _check(_inputs(3, 9, 5, 6), (2 * heads, 4 * heads), heads)
  # Rows of 15, in a group for each core.
  assert all(x[0][1:] == [9, 8 * heads] for x in calls)


@pytest.mark.parametrize('terms', [
    AttentionTerms(content=False), AttentionTerms(query_position=False),
    AttentionTerms(key_position=False),
    AttentionTerms(content=False, query_position=False),
    AttentionTerms(value_content=False), AttentionTerms(value_position=False)])
@pytest.mark.parametrize('activation', ['softmax', 'sigmoid'])
def test_terms(calls, terms, activation):
  _check(_inputs(2, 7, 3, 6), (8, 16), 4, terms=terms, activation=activation)
  assert calls


@pytest.mark.parametrize('activation', ['softmax', 'sigmoid'])
@pytest.mark.parametrize('length', [
    tiles._MOST_KEYS, tiles._MOST_KEYS + 1, 2 * tiles._MOST_KEYS + 6])
def test_keys_of_long_axes_come_in_parts(calls, length, activation):
  _check(_inputs(1, length, 2, 6), (4, 8), 2, activation=activation)
  assert calls


def test_parts_without_position_embeddings(calls):
  """Nothing but the mask of keys that fill the last part is shared."""
  _check(_inputs(1, tiles._MOST_KEYS + 1, 2, 6), (4, 8), 2,
         terms=AttentionTerms(query_position=False, key_position=False,
                              value_position=False))
  assert calls


@pytest.mark.parametrize('options', [
    {}, dict(norm=None), dict(activation='sigmoid')])
@pytest.mark.parametrize('length, span, stride', [
    (9, None, 2), (40, 7, 1), (41, 7, 2), (30, 21, 1), (150, 99, 3)])
def test_spans_and_strides(calls, length, span, stride, options):
  _check(_inputs(2, length, 3, 6), (8, 16), 2, stride, span=span, **options)
  assert calls


def test_short_types_are_widened(calls):
  inputs = tf.random.stateless_normal([2, 9, 5, 6], [1, 2])
  layer = attention_layer.AxialAttention(8, 16, heads=2)
  layer(inputs)
  harness.randomize(layer)
  with harness.precision('mixed_bfloat16'):
    short = attention_layer.AxialAttention(8, 16, heads=2)
    short(inputs)
  short.set_weights(layer.get_weights())
  expected = _outputs(layer, 'equation', inputs)
  outputs = _outputs(short, 'fused', inputs)
  assert calls
  assert np.abs(outputs - expected).max() < 2e-2 * np.abs(expected).max()


def test_gradients_are_those_of_the_equation(calls):
  """Of a layer whose batch norms are frozen."""
  inputs = _inputs(2, 9, 5, 6)
  with harness.precision('float64'):
    layer = attention_layer.AxialAttention(8, 16, heads=2)
    layer(inputs)
  harness.randomize(layer)

  def gradients(backend):
    with backends.use(layer, backend), tf.GradientTape() as tape:
      tape.watch(inputs)
      loss = tf.reduce_sum(tf.function(layer)(inputs) ** 3)
    return tape.gradient(loss, inputs)

  expected = gradients('equation')
  np.testing.assert_allclose(
      gradients('fused'), expected, atol=1e-10 * np.abs(expected).max())
  assert calls


def test_each_core_has_a_group_of_rows(calls, monkeypatch):
  monkeypatch.setattr(devices, 'cores', lambda: 4)
  _check(_inputs(8, 9, 8, 6), (16, 32), 8)
  assert {tuple(x[0]) for x in calls} == {(16, 9, 64)}


def test_the_size_of_a_chunk_bounds_the_vectors_of_a_group(calls):
  inputs = _inputs(8, 9, 8, 6)
  with harness.precision('float64'):
    layer = attention_layer.AxialAttention(16, 32, heads=8)
    layer(inputs)
  # Half of it, and a row has 9 positions and 64 channels of 4 bytes.
  layer.settings = dataclasses.replace(
      layer.settings, backend='fused', chunk_bytes=2 * 6 * 9 * 64 * 4)
  tf.function(layer)(inputs)
  assert {tuple(x[0]) for x in calls} == {(4, 9, 64)}


def test_unknown_sizes_are_computed_in_chunks(calls):
  layer = attention_layer.AxialAttention(8, 16, heads=2, backend='fused')
  layer(tf.zeros([1, 9, 5, 6]))
  calls.clear()
  function = tf.function(layer, input_signature=[
      tf.TensorSpec([None, 9, 5, 6], tf.float32)])
  assert function(tf.ones([3, 9, 5, 6])).shape == [3, 9, 5, 16]
  assert not calls


def test_chunks_of_the_other_line(monkeypatch):
  """Without tiles, the backend has maps, as in TensorFlow 2.20."""
  monkeypatch.setattr(compilation, 'tiles_pay', lambda: False)
  monkeypatch.setattr(tiles, 'attend', None)
  _check(_inputs(2, 40, 3, 6), (8, 16), 2, span=7)
