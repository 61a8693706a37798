"""Recomputes activations in the backward pass instead of keeping them."""

from typing import Callable, Sequence

import tensorflow as tf

from axial_tf.keras2 import keras


def recomputed(
    function: Callable, layers: Sequence[keras.layers.Layer]) -> Callable:
  """Returns `function`, wrapped so that its gradient runs it a second time.

  Outputs, gradients and moving statistics are those of `function` itself: the
  second run leaves the statistics where the first one moved them. It must draw
  no random numbers.

  Args:
    function: (tensor, training) -> tensor, made of `layers`.
    layers: layers whose moving statistics the second run must not move again.
      While one of them is not built, the function runs unwrapped.
  """

  def call(inputs, training):
    runs = 0

    def run(tensor):
      nonlocal runs
      runs += 1
      moving = [] if runs == 1 else [
          v for layer in layers for v in layer.non_trainable_variables]
      before = [tf.identity(v) for v in moving]
      outputs = function(tensor, training)
      for variable, value in zip(moving, before):
        variable.assign(value)
      return outputs

    if not all(layer.built for layer in layers):
      return function(inputs, training)
    return tf.recompute_grad(run)(inputs)

  return call
