"""Equation 3 of the paper, as it is written.

  y_o = sum_p softmax_p(q_o.k_p + q_o.r^q_{p-o} + k_p.r^k_{p-o})
              (v_p + r^v_{p-o})

q, k and v are the queries, keys and values of the positions of one axis
(equation 4); r^q, r^k and r^v embed the offset from a query o to a key p and
are shared by the heads. q.k lets each query meet each key wherever they are,
q.r^q is what a query seeks at an offset, and k.r^k where a key wants to be
seen from. Section 4.1 puts a batch norm on each term of the logits (per head)
and of what is retrieved (per channel), ahead of the sums.

Letters: b rows, h heads, o queries, p keys, d channels of a head.
"""

from typing import Callable, Optional

import tensorflow as tf

Norm = Callable[[tf.Tensor], tf.Tensor]


def weights(q: tf.Tensor, k: tf.Tensor, r_q: Optional[tf.Tensor],
            r_k: Optional[tf.Tensor], *, norm: Norm = tf.identity,
            content: bool = True, activation: str = 'softmax',
            visible: Optional[tf.Tensor] = None) -> tf.Tensor:
  """Returns the weight of each key p for each query o, [b, h, o, p].

  Args:
    q: queries [b, o, h, d].
    k: keys [b, p, h, d].
    r_q: embeddings [o, p, d], or None to leave q.r^q out.
    r_k: embeddings [o, p, d], or None to leave k.r^k out.
    norm: batch norm of the stacked terms [terms, b, h, o, p].
    content: whether to have q.k.
    activation: 'softmax' over the keys or 'sigmoid' of each logit.
    visible: bool [o, p], pairs within the span; None if all are.
  """
  terms = []
  if content:
    terms.append(tf.einsum('bohd,bphd->bhop', q, k))
  if r_q is not None:
    terms.append(tf.einsum('bohd,opd->bhop', q, r_q))
  if r_k is not None:
    terms.append(tf.einsum('bphd,opd->bhop', k, r_k))
  logits = tf.reduce_sum(norm(tf.stack(terms)), 0)
  if visible is not None:
    logits = tf.where(visible, logits, -float('inf'))
  return tf.sigmoid(logits) if activation == 'sigmoid' else (
      tf.nn.softmax(logits))


def retrieve(w: tf.Tensor, v: Optional[tf.Tensor], r_v: Optional[tf.Tensor], *,
             norm: Norm = tf.identity) -> tf.Tensor:
  """Returns y, what the queries retrieve, [b, h, o, d].

  Args:
    w: weights [b, h, o, p].
    v: values [b, p, h, d], or None to leave them out.
    r_v: embeddings [o, p, d], or None to leave them out.
    norm: batch norm of the stacked terms [terms, b, h, o, d].
  """
  terms = []
  if v is not None:
    terms.append(tf.einsum('bhop,bphd->bhod', w, v))
  if r_v is not None:
    terms.append(tf.einsum('bhop,opd->bhod', w, r_v))
  return tf.reduce_sum(norm(tf.stack(terms)), 0)
