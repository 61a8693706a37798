"""Functions that XLA compiles, one for all layers with equal shapes."""

import functools
from typing import Any, Callable, Hashable, Tuple

import tensorflow as tf


def call(function: Callable[..., Any], static: Tuple[Hashable, ...],
         *operands: Any) -> Any:
  """Returns function(*static, *operands), compiled.

  Compiling takes seconds, so that layers whose operands have equal shapes
  share a program.

  Args:
    function: a function of a module; returns a structure of tensors and None.
    static: its first arguments; programs differ by them.
    *operands: its other arguments: structures of tensors, of static shapes,
      and None.
  """
  signature = tuple(
      None if x is None else (tuple(x.shape), x.dtype)
      for x in tf.nest.flatten(operands))
  kinds = tuple(type(x) for x in operands)
  return _compiled(function, static, kinds, signature)(*operands)


@functools.lru_cache(maxsize=256)
def _compiled(function, static, kinds, signature):
  del kinds, signature  # Parts of the key.
  return tf.function(
      functools.partial(function, *static), autograph=False, jit_compile=True)
