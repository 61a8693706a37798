"""The equation against sums that are spelled out, and its tables."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.layers.attention import equation, tables


def _operands(length=4, heads=2):
  rng = np.random.default_rng(0)
  q, k = rng.normal(size=(2, 3, length, heads, 2))
  v = rng.normal(size=(3, length, heads, 5))
  r_q, r_k = rng.normal(size=(2, length, length, 2))
  return q, k, v, r_q, r_k, rng.normal(size=(length, length, 5))


@pytest.mark.parametrize('activation', ['softmax', 'sigmoid'])
@pytest.mark.parametrize('reach', [0, 1, 3])
def test_one_query_at_a_time(activation, reach):
  q, k, v, r_q, r_k, r_v = _operands()
  offsets = np.subtract.outer(np.arange(4), np.arange(4))
  w = equation.weights(
      q, k, r_q, r_k, activation=activation,
      visible=np.abs(offsets) <= reach)
  y = equation.retrieve(w, v, r_v)
  for b, h, o in np.ndindex(3, 2, 4):
    shares, retrieved = {}, 0
    for p in range(max(o - reach, 0), min(o + reach + 1, 4)):
      logit = (q[b, o, h] @ k[b, p, h] + q[b, o, h] @ r_q[o, p]
               + k[b, p, h] @ r_k[o, p])
      shares[p] = np.exp(logit) if activation == 'softmax' else (
          1 / (1 + np.exp(-logit)))
    total = sum(shares.values()) if activation == 'softmax' else 1
    for p, share in shares.items():
      np.testing.assert_allclose(w[b, h, o, p], share / total)
      retrieved += share / total * (v[b, p, h] + r_v[o, p])
    np.testing.assert_allclose(y[b, h, o], retrieved)
    assert not np.delete(w[b, h, o], list(shares)).any()


@pytest.mark.parametrize('left_out', [0, 1, 2])
def test_norms_see_the_terms_in_their_order(left_out):
  """Content, query position, key position; then content, position."""
  q, k, v, r_q, r_k, r_v = _operands()
  seen = []

  def norm(terms):
    seen.append(terms.numpy())
    return 2 * terms + 1

  kept = [None if i == left_out else x for i, x in enumerate((True, r_q, r_k))]
  w = equation.weights(q, k, *kept[1:], content=bool(kept[0]), norm=norm)
  wanted = [np.einsum('bohd,bphd->bhop', q, k),
            np.einsum('bohd,opd->bhop', q, r_q),
            np.einsum('bphd,opd->bhop', k, r_k)]
  del wanted[left_out]
  np.testing.assert_allclose(seen[0], wanted)
  np.testing.assert_allclose(w, tf.nn.softmax(2 * sum(wanted)))
  y = equation.retrieve(w, v, r_v, norm=norm)
  np.testing.assert_allclose(y, 2 * seen[1].sum(0) + 2)
  np.testing.assert_allclose(
      equation.retrieve(w, v, None) + equation.retrieve(w, None, r_v),
      seen[1].sum(0))


def test_embeddings_take_the_row_of_the_offset():
  rows = np.arange(509, dtype=np.float32)[:, None]
  found = tables.embeddings(tf.constant(rows), tf.range(4), tf.range(-2, 6))
  offsets = np.arange(-2, 6)[None, :] - np.arange(4)[:, None]
  np.testing.assert_array_equal(found[..., 0], 254 + offsets)


def test_embeddings_beyond_the_table_use_its_ends():
  rows = np.arange(509, dtype=np.float32)[:, None]
  found = tables.embeddings(
      tf.constant(rows), tf.range(600), tf.range(600))[..., 0].numpy()
  assert found[0, 254] == 508 and found[0, 599] == 508
  assert found[254, 0] == 0 and found[599, 0] == 0
