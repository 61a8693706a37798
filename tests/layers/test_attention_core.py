import numpy as np
import pytest
import tensorflow as tf

from axial_tf.layers import attention_core, attention_gradient

_DEPTHS = 4, 6  # Of queries and keys, and of values.
_HEADS = 2


def _form(activation='softmax'):
  return attention_core.Form(
      _HEADS, *(_HEADS * d for d in _DEPTHS), True, True, activation)


def _operands(rows=3, queries=5, keys=7):
  """Random operands; those of as many keys as queries have no windows."""
  rng = np.random.default_rng(0)
  tensor = lambda *shape: tf.constant(rng.normal(size=shape))  # noqa: E731
  band = np.where(rng.random((queries, keys)) < 0.7, 0, -1e30)
  outside = np.where(rng.random((rows, keys)) < 0.7, 0, -1e30)
  band[:, 2] = outside[:, 2] = 0
  key, value = _DEPTHS
  query_channels, channels = _HEADS * key, _HEADS * (key + value)
  if keys == queries:
    vectors = tensor(rows, query_channels + channels, queries), None
  else:
    vectors = (tensor(rows, query_channels, queries),
               tensor(rows, channels, keys))
  return (
      attention_core.RowOperands(*vectors, tf.constant(outside)),
      attention_core.SharedOperands(
          tensor(_HEADS), tensor(_HEADS), tensor(_HEADS),
          tensor(queries, key, keys), tensor(queries, key, keys),
          tensor(queries, value, keys), tensor(_HEADS), tf.constant(band)))


def _plain(rows, shared, activation):
  """Equation 3 in einsums; returns what is retrieved."""
  sizes = [_HEADS * d for d in (_DEPTHS[0], *_DEPTHS)]
  if rows.windows is None:
    vectors = tf.split(rows.projected, sizes, 1)
  else:
    vectors = [rows.projected, *tf.split(rows.windows, sizes[1:], 1)]
  query, key, value = (
      tf.reshape(x, [-1, _HEADS, x.shape[1] // _HEADS, x.shape[2]])
      for x in vectors)
  scales = [x[:, None, None] for x in shared[:3]]
  logits = (
      scales[0] * tf.einsum('rhdl,rhdm->rhlm', query, key)
      + scales[1] * tf.einsum('rhdl,ldm->rhlm', query, shared.query_rpe)
      + scales[2] * tf.einsum('rhdm,ldm->rhlm', key, shared.key_rpe)
      + shared.shift[:, None, None]
      + shared.band + rows.outside[:, None, None])
  weights = tf.nn.softmax(logits) if activation == 'softmax' else (
      tf.sigmoid(logits))
  return (tf.einsum('rhlm,rhem->rlhe', weights, value),
          tf.einsum('rhlm,lem->rlhe', weights, shared.value_rpe))


@pytest.mark.parametrize('keys', [5, 7, 45])
@pytest.mark.parametrize('fused', [False, True])
@pytest.mark.parametrize('activation', ['softmax', 'sigmoid'])
def test_attend_and_its_gradient_are_those_of_the_formula(
    activation, fused, keys):
  rows, shared = _operands(keys=keys)
  watched = [x for x in (*rows[:-1], *shared[:-1]) if x is not None]
  upstream = [tf.random.stateless_normal([3, 5, 2, 6], [1, i], dtype=tf.float64)
              for i in range(2)]
  with tf.GradientTape() as tape:
    tape.watch(watched)
    expected = _plain(rows, shared, activation)
  expected_gradients = tape.gradient(expected, watched, upstream)
  form = _form(activation)
  retrieved = attention_core.attend(rows, shared, form, fused)
  for actual, wanted in zip(retrieved[:2], expected):
    np.testing.assert_allclose(actual, wanted, atol=1e-12)
  of_rows, of_shared = attention_gradient.attend_gradient(
      rows, shared, retrieved, attention_core.Retrieved(*upstream, None),
      form, fused)
  gradients = [x for x in (*of_rows, *of_shared) if x is not None]
  assert len(gradients) == len(watched)
  for actual, wanted in zip(gradients, expected_gradients):
    np.testing.assert_allclose(actual, wanted, atol=1e-12)


@pytest.mark.parametrize('fused', [False, True])
def test_gains_sum_what_is_retrieved(fused):
  rows, shared = _operands()
  value = _DEPTHS[1]
  gains = attention_core.Gains(*tf.unstack(tf.random.stateless_normal(
      [3, _HEADS, value], [3, 4], dtype=tf.float64)))
  upstream = tf.random.stateless_normal(
      [3, 5, _HEADS, value], [5, 6], dtype=tf.float64)
  content, position = _plain(rows, shared, 'softmax')
  with tf.GradientTape() as tape:
    tape.watch([content, position, gains])
    expected = content * gains[0] + position * gains[1] + gains[2]
  wanted = tape.gradient(expected, [content, position, *gains], upstream)
  actual = attention_core.attend(rows, shared, _form(), fused, gains)
  np.testing.assert_allclose(actual.content, expected, atol=1e-12)
  assert actual.position is None and actual.log_normalizer is None
  of_terms, of_gains = attention_gradient.sum_gradient(
      attention_core.Retrieved(content, position, None), gains, upstream)
  for gradient, one in zip([*of_terms[:2], *of_gains], wanted):
    np.testing.assert_allclose(gradient, one, atol=1e-12)


def test_large_logits_do_not_overflow():
  rows, shared = _operands()
  rows, shared = (type(x)(*[tf.cast(y, tf.float32) for y in x])
                  for x in (rows, shared))
  rows = rows._replace(projected=100 * rows.projected)
  shared = shared._replace(content_scale=100 * shared.content_scale)
  for fused in (False, True):
    retrieved = attention_core.attend(rows, shared, _form(), fused)
    assert np.isfinite(retrieved.content).all()
    np.testing.assert_allclose(
        retrieved.content, _plain(rows, shared, 'softmax')[0], atol=1e-4)


@pytest.mark.parametrize('activation', ['softmax', 'sigmoid'])
def test_a_query_without_any_valid_key_stays_finite(activation):
  rows, shared = _operands()
  rows, shared = (type(x)(*[tf.cast(y, tf.float32) for y in x])
                  for x in (rows, shared))
  lowest = tf.float32.min / 4
  rows = rows._replace(outside=lowest * tf.ones([3, 7]))
  shared = shared._replace(band=lowest * tf.ones([5, 7]))
  for fused in (False, True):
    retrieved = attention_core.attend(rows, shared, _form(activation), fused)
    assert all(np.isfinite(x).all() for x in retrieved if x is not None)


def test_position_embeddings_take_the_row_of_the_offset():
  rows = np.arange(509, dtype=np.float32)[:, None]
  found = attention_core.position_embeddings(
      tf.constant(rows), tf.range(4), tf.range(-2, 6))
  offsets = np.arange(-2, 6)[None, :] - np.arange(4)[:, None]
  np.testing.assert_array_equal(found[:, 0], 254 + offsets)


def test_position_embeddings_beyond_the_table_use_its_ends():
  rows = np.arange(509, dtype=np.float32)[:, None]
  found = attention_core.position_embeddings(
      tf.constant(rows), tf.range(600), tf.range(600))[:, 0].numpy()
  assert found[0, 254] == 508 and found[0, 599] == 508
  assert found[254, 0] == 0 and found[599, 0] == 0
