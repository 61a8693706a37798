"""Recomputes activations in the backward pass instead of keeping them."""

from typing import Callable, Sequence

import tensorflow as tf

from axial_tf import devices, unfolded
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
    upstream = []

    def run(tensor):
      if not upstream:
        return function(tensor, training)
      moving = [v for layer in layers for v in layer.non_trainable_variables]
      before = [tf.identity(v) for v in moving]
      outputs = function(after(tensor, upstream[0]), training)
      for variable, value in zip(moving, before):
        variable.assign(value)
      return outputs

    @tf.custom_gradient
    def observed(outputs):

      def gradient(grad):
        upstream[:] = [grad]
        return grad

      return tf.identity(outputs), gradient

    if not all(layer.built for layer in layers):
      return function(inputs, training)
    return observed(tf.recompute_grad(run)(inputs))

  return call


def after(tensor: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
  """Returns the same numbers, not before the backward pass arrives.

  All that it takes to compute activations again is there from the beginning,
  so that they would be computed early, and kept.

  Args:
    tensor: what they are computed from.
    upstream: gradient that the backward pass has by then.
  """
  if devices.of_programs() != 'cpu':
    return unfolded.after(tensor, upstream)
  with tf.control_dependencies([upstream]):
    return tf.identity(tensor)
