"""Products of two tensors with three axes each, named by letters.

`contract('ndo,ndp->nop', q, k)` sums q[n, d, o] k[n, d, p] over d. Of the four
letters, one is in all three tensors, and one in the operands only: the product
is one matrix product for each value of the first, summed over the second.
"""

import functools
from typing import List, NamedTuple, Optional

import tensorflow as tf

from axial_tf.layers import graph_ops, precision
from axial_tf.layers.shapes import sizes

# Sums over maps in lanes are unrolled up to this depth.
_DEEPEST_UNROLLED = 16


class _Operand(NamedTuple):
  """How an operand becomes the left or right side of a matrix product.

  Attributes:
    order: order of its axes that brings the shared one to the front, or None.
    transposed: whether its matrices are to be transposed.
  """
  order: Optional[List[int]]
  transposed: bool


class _Plan(NamedTuple):
  swapped: bool
  left: _Operand
  right: _Operand
  order: Optional[List[int]]  # Order of the product's axes, or None.


def contract(equation: str, a: tf.Tensor, b: tf.Tensor, form: str
             ) -> tf.Tensor:
  """Returns the product of `a` and `b`.

  Args:
    equation: letters of both operands and of the result, as for tf.einsum.
    a: first operand.
    b: second operand.
    form: 'matmul', transposes around one matrix product, which is quickest on
      CPUs; 'einsum', one operation, whose layout the compiler of an
      accelerator chooses; 'elementwise', a sum of elementwise products in the
      type of sums, which XLA fuses with what follows; 'lanes', for tensors of
      lanes, and those of dense in place of operands without n.
  """
  if form == 'einsum':
    return tf.einsum(equation, a, b)
  if form == 'lanes':
    return _in_lanes(equation, a, b)
  if form == 'elementwise':
    return _elementwise(equation, a, b)
  plan = _plan(equation)
  left, right = (b, a) if plan.swapped else (a, b)
  product = tf.matmul(
      _transpose(left, plan.left.order), _transpose(right, plan.right.order),
      transpose_a=plan.left.transposed, transpose_b=plan.right.transposed)
  return _transpose(product, plan.order)


@functools.lru_cache(None)
def _plan(equation):
  operands, result = equation.split('->')
  a, b = operands.split(',')
  shared, = set(a) & set(b) & set(result)
  summed, = set(a) & set(b) - set(result)
  rows, columns = (letter for letter in result if letter != shared)
  swapped = rows in b
  left, right = (b, a) if swapped else (a, b)

  def operand(letters, first):
    order = shared + letters.replace(shared, '')
    return _Operand(_order(letters, order), order[1] != first)

  return _Plan(swapped, operand(left, rows), operand(right, summed),
               _order(shared + rows + columns, result))


def _order(letters, wanted):
  return None if letters == wanted else [letters.index(x) for x in wanted]


def _transpose(tensor, order):
  return tensor if order is None else graph_ops.transpose(tensor, order)


def _elementwise(equation, a, b):
  """Expects the letters of an operand in the order of those of the result."""
  operands, result = equation.split('->')
  summed, = set(operands) - {',', *result}

  def slices(tensor, letters):
    before = letters[:letters.index(summed)]
    axis = result.index(before[-1]) + 1 if before else 0
    return tf.unstack(tensor[tuple(
        slice(None) if x in letters else None
        for x in result[:axis] + summed + result[axis:])], axis=axis)

  return functools.reduce(tf.add, (
      x * y for x, y in zip(*map(
          slices, map(precision.widen, (a, b)), operands.split(',')))))


def _in_lanes(equation, a, b):
  """Expects [.., lane] with the letters in front by the alphabet.

  Computes in the type of sums, as the vector units of a TPU do anyway.
  """
  operands, result = equation.split('->')
  left, right = operands.split(',')
  a, b = map(precision.widen, (a, b))
  if 'n' not in result:
    return tf.matmul(_flat(a), _flat(b), transpose_b=True)
  if 'n' in right:
    return _sum_in_lanes(*map(_in_front, (left, right, result)), a, b)
  product = tf.matmul(b, _flat(a), transpose_a=left == 'nop')
  known = dict(zip(_in_front(left), sizes(a)))
  total, lanes = sizes(product)
  first, second = _in_front(result)
  if first in known:
    shape = known[first], total // known[first], lanes
  else:
    shape = total // known[second], known[second], lanes
  return graph_ops.reshape(product, shape)


def _sum_in_lanes(left, right, result, a, b):
  # In this order, nothing is to be turned.
  letters = sorted({*left, *right})
  summed, = {*letters} - {*result}
  depth = letters[0]  # d or e

  def aligned(tensor, own):
    return tensor[tuple(slice(None) if x in own else None for x in letters)]

  a, b = aligned(a, left), aligned(b, right)
  deepest = max(a.shape[0], b.shape[0])
  if deepest > _DEEPEST_UNROLLED:
    return graph_ops.reduce_sum(a * b, letters.index(summed))
  # The compiler makes fewer passes over maps of slices.
  parts = [
      x * y for x, y in zip(*(
          tf.unstack(x) if x.shape[0] == deepest else [x[0]] * deepest
          for x in (a, b)))]
  if summed == depth:
    return functools.reduce(tf.add, parts)
  return tf.stack([
      graph_ops.reduce_sum(x, letters.index(summed) - 1) for x in parts])


def _in_front(letters):
  return sorted(letters.replace('n', ''))


def _flat(tensor):
  """[a, b, lane] -> [a * b, lane]."""
  first, second, lanes = sizes(tensor)
  return graph_ops.reshape(tensor, [first * second, lanes])
