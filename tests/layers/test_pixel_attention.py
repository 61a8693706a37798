"""The map of one query is the one the layer itself has used."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.layers import (
  attention_core,
  axial_attention,
  normalization,
  pixel_attention,
)

_TERMS = axial_attention.AttentionTerms


def _layer(length, rows=3, channels=6, **options):
  """A layer with variables and statistics that no initializer gives."""
  layer = axial_attention.AxialAttention(8, 12, heads=2, **options)
  random = np.random.default_rng(1)
  inputs = random.normal(size=[rows, length, channels]).astype(np.float32)
  layer(inputs)
  for variable in layer.variables:
    low, high = (0.5, 1.5) if 'variance' in variable.name else (-0.7, 0.7)
    variable.assign(random.uniform(low, high, variable.shape))
  return layer, tf.constant(inputs)


def _retrieve(layer, inputs, weights, query):
  """What the weights [r, h, m] bring from the layer's values, [r, h * e]."""
  options = layer.get_config()
  heads, channels = options['heads'], options['value_channels']
  values = inputs @ layer.qkv_kernel
  if options['norm'] is not None:
    scale, shift = layer.qkv_norm.affine(None, False)
    values = values * scale + shift
  values = tf.reshape(
      values[..., -channels:], [*inputs.shape[:2], heads, channels // heads])
  terms = []
  if options['terms']['value_content']:
    terms.append(tf.einsum('rhm,rmhe->rhe', weights, values))
  if layer.value_rpe is not None:
    embeddings = attention_core.position_embeddings(
        layer.value_rpe, tf.constant([query]), tf.range(inputs.shape[1]))[0]
    terms.append(tf.einsum('rhm,em->rhe', weights, embeddings))
  retrieved = tf.reshape(
      tf.stack(terms, 1), [inputs.shape[0], len(terms) * channels])
  if options['norm'] is not None:
    scale, shift = layer.output_norm.affine(None, False)
    retrieved = retrieved * scale + shift
  return sum(tf.split(retrieved, len(terms), -1))


@pytest.mark.parametrize('options', [
    dict(), dict(span=5), dict(norm=None), dict(scale_logits=True),
    dict(activation='sigmoid', span=7), dict(terms=_TERMS(content=False)),
    dict(terms=_TERMS(key_position=False, value_position=False)),
    dict(terms=_TERMS(query_position=False, value_content=False)),
    dict(norm=normalization.BatchNormSettings(epsilon=1e-5))])
def test_weights_times_values_reproduce_the_output(options):
  layer, inputs = _layer(23, **options)
  outputs = layer(inputs)
  for query in (0, 4, 11, 22):
    weights = pixel_attention.pixel_weights(layer, inputs, query)
    assert weights.shape == (3, 2, 23)
    np.testing.assert_allclose(
        _retrieve(layer, inputs, weights, query), outputs[:, query],
        atol=2e-5)


@pytest.mark.parametrize('length', [1, 2, 9])
def test_weights_are_shares_and_end_with_the_span(length):
  layer, inputs = _layer(length, span=3)
  for query in range(length):
    weights = pixel_attention.pixel_weights(layer, inputs, query).numpy()
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    far = np.abs(np.arange(length) - query) > 1
    assert not weights[..., far].any() and (weights[..., ~far] > 0).all()


@pytest.mark.parametrize('query', [-1, 4])
def test_positions_beyond_the_axis_are_refused(query):
  layer, inputs = _layer(4)
  with pytest.raises(errors.UserError, match='position of 0 to 3'):
    pixel_attention.pixel_weights(layer, inputs, query)
