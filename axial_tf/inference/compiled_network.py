"""Makes the forward pass of a network one XLA program for each shape."""

from typing import Any, Callable

import tensorflow as tf


def compiled(model: Callable[..., Any]) -> Callable[..., Any]:
  """Returns a network that XLA compiles as a whole, in inference.

  `compilation` decides where this pays.

  Args:
    model: network, called as model(images, training=False, **options); sizes
      among its options are numbers, not tensors.
  """
  run = tf.function(
      lambda images, **options: model(images, training=False, **options),
      autograph=False, jit_compile=True)

  def call(images, training, **options):
    del training
    return run(images, **options)

  return call
