"""Products of two tensors with three axes each, named by letters.

`contract('ndo,ndp->nop', q, k)` sums q[n, d, o] k[n, d, p] over d. Of the four
letters, one is in all three tensors, and one in the operands only: the product
is one matrix product for each value of the first, summed over the second.
"""

import functools
from typing import List, NamedTuple, Optional

import tensorflow as tf

from axial_tf.layers import graph_ops


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
      accelerator chooses; 'elementwise', a sum of elementwise products, which
      XLA fuses with what follows.
  """
  if form == 'einsum':
    return tf.einsum(equation, a, b)
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
    kept = letters.replace(summed, '')
    place = tuple(slice(None) if x in kept else None for x in result)
    for part in tf.unstack(tensor, axis=letters.index(summed)):
      yield part[place]

  return functools.reduce(tf.add, (
      x * y for x, y in zip(*map(slices, (a, b), operands.split(',')))))
