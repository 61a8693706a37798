"""The map of one query is the one the layer itself has used."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.layers import normalization
from axial_tf.layers.attention import equation, plain, tables
from axial_tf.layers.attention import layer as attention_layer
from axial_tf.layers.attention import settings as attention_settings

_TERMS = attention_settings.AttentionTerms


def _layer(length, rows=3, channels=6, **options):
  """A layer with variables and statistics that no initializer gives."""
  layer = attention_layer.AxialAttention(8, 12, heads=2, **options)
  random = np.random.default_rng(1)
  inputs = random.normal(size=[rows, length, channels]).astype(np.float32)
  layer(inputs)
  for variable in layer.variables:
    low, high = (0.5, 1.5) if 'variance' in variable.name else (-0.7, 0.7)
    variable.assign(random.uniform(low, high, variable.shape))
  return layer, tf.constant(inputs)


def _retrieve(layer, inputs, weights, query):
  """Applies weights [r, h, m] to the layer's values; returns [r, h * e]."""
  heads, channels = layer.settings.heads, layer.value_channels
  values = inputs @ layer.qkv_kernel
  norm = tf.identity
  if layer.settings.norm is not None:
    scale, shift = layer.qkv_norm.affine(None, False)
    values = values * scale + shift
    scale, shift = (
        tf.reshape(x, [-1, 1, heads, 1, channels // heads])
        for x in layer.output_norm.affine(None, False))
    norm = lambda terms: terms * scale + shift  # noqa: E731
  values = tf.reshape(
      values[..., -channels:], [*inputs.shape[:2], heads, channels // heads])
  embeddings = None if layer.value_rpe is None else tables.embeddings(
      layer.value_rpe, tf.constant([query]), tf.range(inputs.shape[1]))
  retrieved = equation.retrieve(
      weights[:, :, None],
      values if layer.settings.terms.value_content else None, embeddings,
      norm=norm)
  return tf.reshape(retrieved, [inputs.shape[0], channels])


@pytest.mark.parametrize('options', [
    dict(), dict(span=5), dict(norm=None),
    dict(activation='sigmoid', span=7), dict(terms=_TERMS(content=False)),
    dict(terms=_TERMS(key_position=False, value_position=False)),
    dict(terms=_TERMS(query_position=False, value_content=False)),
    dict(norm=normalization.BatchNormSettings(epsilon=1e-5))])
def test_weights_times_values_reproduce_the_output(options):
  layer, inputs = _layer(23, **options)
  outputs = layer(inputs)
  for query in (0, 4, 11, 22):
    weights = plain.pixel_weights(layer, inputs, query)
    assert weights.shape == (3, 2, 23)
    np.testing.assert_allclose(
        _retrieve(layer, inputs, weights, query), outputs[:, query],
        atol=2e-5)


@pytest.mark.parametrize('length', [1, 2, 9])
def test_weights_are_shares_and_end_with_the_span(length):
  layer, inputs = _layer(length, span=3)
  for query in range(length):
    weights = plain.pixel_weights(layer, inputs, query).numpy()
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    far = np.abs(np.arange(length) - query) > 1
    assert not weights[..., far].any() and (weights[..., ~far] > 0).all()


@pytest.mark.parametrize('query', [-1, 4])
def test_positions_beyond_the_axis_are_refused(query):
  layer, inputs = _layer(4)
  with pytest.raises(errors.UserError, match='position of 0 to 3'):
    plain.pixel_weights(layer, inputs, query)


def test_statistics_of_a_span_of_one_are_those_of_the_pairs_with_themselves():
  layer, inputs = _layer(9, span=1, backend='equation')
  before = {v.name.split('/', 1)[1]: v.numpy() for v in layer.variables}
  layer(inputs, training=True)
  qkv = inputs.numpy() @ before['qkv_kernel:0']
  qkv = (qkv - qkv.mean((0, 1))) / np.sqrt(qkv.var((0, 1)) + 1e-3)
  qkv = qkv * before['qkv_norm/gamma:0'] + before['qkv_norm/beta:0']
  q, k = (x.reshape(*x.shape[:2], 2, 4) for x in (qkv[..., :8], qkv[..., 8:16]))
  zero = tables.TABLE_ROWS // 2
  terms = np.concatenate([
      (q * k).sum(-1), q @ before['query_rpe:0'][zero],
      k @ before['key_rpe:0'][zero]], -1)  # [b, l, terms * h]
  for name, moved in (('moving_mean', terms.mean((0, 1))),
                      ('moving_variance', terms.var((0, 1)))):
    np.testing.assert_allclose(
        getattr(layer.logit_norm, name),
        0.99 * before[f'logit_norm/{name}:0'] + 0.01 * moved, atol=1e-5)
