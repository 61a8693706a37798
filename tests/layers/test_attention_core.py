import numpy as np
import pytest
import tensorflow as tf

from axial_tf.layers import attention_core


def _operands(rows=3, heads=2, depth=4, queries=5, keys=7):
  rng = np.random.default_rng(0)
  tensor = lambda *shape: tf.constant(rng.normal(size=shape))  # noqa: E731
  band = np.where(rng.random((queries, keys)) < 0.7, 0, -1e30)
  outside = np.where(rng.random((rows, keys)) < 0.7, 0, -1e30)
  band[:, 2] = outside[:, 2] = 0
  return (
      attention_core.RowOperands(
          tensor(rows, heads, depth, queries), tensor(rows, heads, depth, keys),
          tensor(rows, heads, depth, queries), tensor(rows, heads, depth, keys),
          tensor(rows, heads, 6, keys), tf.constant(outside)),
      attention_core.SharedOperands(
          tensor(queries, depth, keys), tensor(queries, depth, keys),
          tensor(queries, 6, keys), tensor(heads),
          tf.constant(band)))


def _plain(rows, shared, activation):
  """Equation 3 in einsums; returns what is retrieved."""
  logits = (
      tf.einsum('rhdl,rhdm->rhlm', rows.query_content, rows.key_content)
      + tf.einsum('rhdl,ldm->rhlm', rows.query_position, shared.query_rpe)
      + tf.einsum('rhdm,ldm->rhlm', rows.key_position, shared.key_rpe)
      + shared.shift[:, None, None]
      + shared.band + rows.outside[:, None, None])
  weights = tf.nn.softmax(logits) if activation == 'softmax' else (
      tf.sigmoid(logits))
  return (tf.einsum('rhlm,rhem->rlhe', weights, rows.value),
          tf.einsum('rhlm,lem->rlhe', weights, shared.value_rpe))


@pytest.mark.parametrize('keys', [7, 45])
@pytest.mark.parametrize('fused', [False, True])
@pytest.mark.parametrize('activation', ['softmax', 'sigmoid'])
def test_attend_and_its_gradient_are_those_of_the_formula(
    activation, fused, keys):
  rows, shared = _operands(keys=keys)
  watched = [*rows[:-1], *shared[:-1]]
  upstream = [tf.random.stateless_normal([3, 5, 2, 6], [1, i], dtype=tf.float64)
              for i in range(2)]
  with tf.GradientTape() as tape:
    tape.watch(watched)
    expected = _plain(rows, shared, activation)
  expected_gradients = tape.gradient(expected, watched, upstream)
  retrieved = attention_core.attend(rows, shared, activation, fused)
  for actual, wanted in zip(retrieved[:2], expected):
    np.testing.assert_allclose(actual, wanted, atol=1e-12)
  of_rows, of_shared = attention_core.attend_gradient(
      rows, shared, retrieved, attention_core.Retrieved(*upstream, None),
      activation, fused)
  for actual, wanted in zip(
      [*of_rows[:-1], *of_shared[:-1]], expected_gradients):
    np.testing.assert_allclose(actual, wanted, atol=1e-12)


def test_large_logits_do_not_overflow():
  rows, shared = _operands()
  rows = rows._replace(query_content=1e4 * rows.query_content)
  rows, shared = (type(x)(*[tf.cast(y, tf.float32) for y in x])
                  for x in (rows, shared))
  for fused in (False, True):
    retrieved = attention_core.attend(rows, shared, 'softmax', fused)
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
    retrieved = attention_core.attend(rows, shared, activation, fused)
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
