"""Loops over maps that XLA compiles for CPUs.

Making a map of queries and keys costs more time than all matrix products with
it. Where the depth is small, the quickest way on a CPU is to sum over it by
elementwise products and let XLA turn everything from the products to the
exponential into one loop over the map.
"""

import functools

import tensorflow as tf

from axial_tf.layers.attention import compiled


def call(function, settings, form: str, *operands):
  """Returns function(settings, form, *operands), compiled if form is 'fused'.

  Args:
    function: makes maps; returns a structure of tensors and None.
    settings: its first argument, an AttentionSettings.
    form: its second argument.
    *operands: tensors, or named tuples of tensors and None.
  """
  if form != 'fused':
    return function(settings, form, *operands)
  return compiled.call(function, (settings, form), *operands)


def largest(pairs: tf.Tensor) -> tf.Tensor:
  """Returns the maximum over the last axis, whose size is kept as 1."""
  keys = pairs.shape[-1]
  if keys is not None and keys >= 32:
    # The compiler has vector instructions for the maximum of arrays, but not
    # along the innermost axis. The pieces overlap where 8 is no divisor.
    size = -(-keys // 8)
    pairs = functools.reduce(tf.maximum, (
        pairs[..., start:start + size] for start in (
            min(i * size, keys - size) for i in range(8))))
  return tf.reduce_max(pairs, -1, keepdims=True)
