"""Multiply-adds of convolutions as TensorFlow's own profiler counts them."""

import tensorflow as tf


def multiply_adds(function, input_shape) -> int:
  """Traces a function of one tensor and counts its convolutions' work.

  Dilated convolutions are counted on tiles, which fill the image exactly only
  where the dilation divides its size.
  """
  concrete = tf.function(function).get_concrete_function(
      tf.TensorSpec(input_shape, tf.float32))
  builder = tf.compat.v1.profiler.ProfileOptionBuilder
  options = (builder(builder.float_operation())
             .with_accounted_types(['Conv2D', 'DepthwiseConv2dNative'])
             .with_empty_output().build())
  profile = tf.compat.v1.profiler.profile(concrete.graph, options=options)
  return profile.total_float_ops // 2
