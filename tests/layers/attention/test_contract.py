import numpy as np
import pytest
import tensorflow as tf

from axial_tf.layers.attention.contract import contract

_SIZES = dict(n=3, o=4, p=5, d=2, e=6)
# All products of attention and of its gradient.
_EQUATIONS = [
    'ndo,ndp->nop', 'ndo,odp->nop', 'ndp,odp->nop', 'noe,nep->nop',
    'noe,oep->nop', 'nop,nep->noe', 'nop,oep->noe', 'nop,ndo->ndp',
    'nop,ndp->ndo', 'nop,ndo->odp', 'nop,odp->ndo', 'nop,ndp->odp',
    'nop,odp->ndp', 'nop,noe->nep', 'nop,noe->oep']


def _operands(equation):
  rng = np.random.default_rng(0)
  return [rng.normal(size=[_SIZES[letter] for letter in letters])
          for letters in equation.split('->')[0].split(',')]


@pytest.mark.parametrize('form', ['matmul', 'einsum'])
@pytest.mark.parametrize('equation', _EQUATIONS)
def test_equals_numpy(equation, form):
  operands = _operands(equation)
  np.testing.assert_allclose(
      contract(equation, *map(tf.constant, operands), form),
      np.einsum(equation, *operands), atol=1e-12)


@pytest.mark.parametrize(
    'equation', [x for x in _EQUATIONS if x.endswith('->nop')])
def test_elementwise_products_equal_numpy(equation):
  operands = _operands(equation)
  np.testing.assert_allclose(
      contract(equation, *map(tf.constant, operands), 'elementwise'),
      np.einsum(equation, *operands), atol=1e-12)


@pytest.mark.parametrize('depth', [2, 40])
@pytest.mark.parametrize('equation', [
    x for x in _EQUATIONS if all('n' in y for y in x.split('->')[0].split(','))
    and 'n' in x.split('->')[1]])
def test_products_in_lanes_equal_numpy(equation, depth):
  """Axes follow the alphabet, rows are last; large depths are not unrolled."""
  sizes = {**_SIZES, 'd': depth, 'e': depth}

  def turn(letters):
    return ''.join(sorted(letters.replace('n', ''))) + 'n'

  rng = np.random.default_rng(0)
  operands, result = equation.split('->')
  operands = list(map(turn, operands.split(',')))
  values = [rng.normal(size=[sizes[x] for x in y]) for y in operands]
  np.testing.assert_allclose(
      contract(equation, *map(tf.constant, values), 'lanes'),
      np.einsum(f'{",".join(operands)}->{turn(result)}', *values), atol=1e-11)


def test_turns_no_operand_that_need_not_be():
  """The product of queries and keys is one matrix product."""
  graph = tf.function(
      lambda q, k: contract('ndo,ndp->nop', q, k, 'matmul')
  ).get_concrete_function(tf.TensorSpec([3, 2, 4]), tf.TensorSpec([3, 2, 5]))
  assert 'Transpose' not in {o.type for o in graph.graph.get_operations()}
