"""Fixtures shared by the tests of the panoptic functions."""

import pytest
import tensorflow as tf


@pytest.fixture(params=['eager', 'function', 'xla'])
def compiled(request):
  """Wraps a function so that it runs eagerly, as a graph or through XLA."""
  if request.param == 'eager':
    return lambda function: function
  return lambda function: tf.function(
      function, jit_compile=request.param == 'xla')
