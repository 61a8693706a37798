import numpy as np
import pytest
import tensorflow as tf

from axial_tf.layers import attention_core


def _operands(valid=None, blocks=1):
  rng = np.random.default_rng(0)
  tensor = lambda *shape: tf.constant(rng.normal(size=shape))  # noqa: E731
  return attention_core.LogitOperands(
      tensor(3 * blocks, 2, 5, 4), tensor(3 * blocks, 2, 7, 4), True,
      tensor(5, 7, 4), tensor(5, 7, 4), valid)


def _terms(operands):
  """Logit terms [3, b, h, l, m] as the formula has them."""
  query, key, _, query_rpe, key_rpe, _ = operands
  return tf.stack([
      tf.einsum('bhld,bhmd->bhlm', query, key),
      tf.einsum('bhld,lmd->bhlm', query, query_rpe),
      tf.einsum('bhmd,lmd->bhlm', key, key_rpe)]).numpy()


def test_logits_are_the_scaled_sum_of_three_terms():
  operands = _operands()
  scales = [tf.constant(x, tf.float64) for x in ([1, 2], [3, -4], [0.5, 6])]
  shift = tf.constant([10.0, -5.0])
  expected = np.einsum('tbhlm,th->bhlm', _terms(operands), np.array(scales))
  expected += shift.numpy()[:, None, None]
  np.testing.assert_allclose(
      attention_core.logits(operands, scales, shift), expected)


@pytest.mark.parametrize('local', [False, True])
def test_moments_are_those_of_the_stored_terms(local):
  blocks = 2
  valid = None
  if local:
    valid = np.random.default_rng(3).random((blocks, 5, 7)) < 0.6
  operands = _operands(valid, blocks)
  terms = _terms(operands).reshape(3, 3, blocks, 2, 5, 7)
  terms = np.moveaxis(terms, 3, 1)  # [t, h, b, n, l, m]
  if local:
    pairs = terms[:, :, :, valid].reshape(6, -1)
  else:
    pairs = terms.reshape(6, -1)
  mean, mean_square = attention_core.logit_moments(operands)
  np.testing.assert_allclose(mean, pairs.mean(-1))
  np.testing.assert_allclose(mean_square, (pairs ** 2).mean(-1))


def test_weights_of_softmax_sum_to_one_over_valid_keys():
  valid = np.random.default_rng(3).random((2, 5, 7)) < 0.5
  valid[:, :, 3] = True
  logits = tf.random.stateless_normal([6, 2, 5, 7], [1, 2]) * 30
  weights = attention_core.attention_weights(logits, 'softmax', valid)
  np.testing.assert_allclose(tf.reduce_sum(weights, -1), 1, rtol=1e-5)
  by_block = np.reshape(weights, [3, 2, 2, 5, 7])
  assert (by_block * ~valid[:, None] == 0).all()


def test_a_query_without_any_valid_key_stays_finite():
  valid = np.zeros((1, 2, 3), bool)
  logits = tf.constant(np.full((1, 1, 2, 3), -1e30), tf.float32)
  for activation in ('softmax', 'sigmoid'):
    weights = attention_core.attention_weights(logits, activation, valid)
    assert np.isfinite(weights).all()


def test_position_embeddings_take_the_row_of_the_offset():
  rows = np.arange(509, dtype=np.float32)[:, None]
  found = attention_core.position_embeddings(
      tf.constant(rows), tf.range(4), tf.range(-2, 6))
  offsets = np.arange(-2, 6)[None, :] - np.arange(4)[:, None]
  np.testing.assert_array_equal(found[..., 0], 254 + offsets)


def test_position_embeddings_beyond_the_table_use_its_ends():
  rows = np.arange(509, dtype=np.float32)[:, None]
  found = attention_core.position_embeddings(
      tf.constant(rows), tf.range(600), tf.range(600))[..., 0].numpy()
  assert found[0, 254] == 508 and found[0, 599] == 508
  assert found[254, 0] == 0 and found[599, 0] == 0


def test_retrieval_sums_values_and_positions():
  rng = np.random.default_rng(0)
  weights, value, rpe = (
      rng.normal(size=s) for s in [(2, 3, 4, 5), (2, 3, 5, 6), (4, 5, 6)])
  content, position = attention_core.retrieve(*map(
      tf.constant, (weights, value, rpe)))
  np.testing.assert_allclose(
      content, np.einsum('bhlm,bhmd->bhld', weights, value))
  np.testing.assert_allclose(
      position, np.einsum('bhlm,lmd->bhld', weights, rpe))
