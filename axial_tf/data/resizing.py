"""Sizes and values of images on their way to the model.

Pixels are unit squares, so resizing maps centers to centers
((y + 0.5) / scale - 0.5); images are interpolated bilinearly, labels take the
nearest pixel. DeepLab2 resizes with aligned corners instead; what matters for
training is that image and label agree, and tf.image.resize has only this
convention.
"""

import tensorflow as tf


def to_model_range(image: tf.Tensor) -> tf.Tensor:
  """Maps 0..255 to float32 in [-1, 1]."""
  return (tf.cast(image, tf.float32) - 127.5) / 127.5


def to_uint8(image: tf.Tensor) -> tf.Tensor:
  """Rounds 0..255, cutting off what is beyond."""
  return tf.cast(tf.round(tf.clip_by_value(image, 0.0, 255.0)), tf.uint8)


def resize(image: tf.Tensor, panoptic: tf.Tensor, size: tf.Tensor):
  """Resizes to `size`, int32 [2]; returns float32 image and int32 label."""
  image = tf.image.resize(image, size, 'bilinear')
  panoptic = tf.image.resize(panoptic[..., tf.newaxis], size, 'nearest')
  return image, panoptic[..., 0]


def long_side_size(height: tf.Tensor, width: tf.Tensor, long_side: int,
                   enlarge: bool) -> tf.Tensor:
  """Returns int32 [2]: the size whose longest side is `long_side`.

  Keeps the aspect ratio (rounded, at least one pixel). Images whose longest
  side is smaller keep their size unless `enlarge`.
  """
  size = tf.stack([height, width])
  longest = tf.reduce_max(size)
  scale = tf.cast(long_side, tf.float64) / tf.cast(longest, tf.float64)
  if not enlarge:
    scale = tf.minimum(scale, 1.0)
  scaled = tf.cast(tf.round(tf.cast(size, tf.float64) * scale), tf.int32)
  return tf.maximum(scaled, 1)
