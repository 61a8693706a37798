"""Converts sizes and values of images for the model.

Pixels are unit squares, so resizing maps centers to centers
((y + 0.5) / scale - 0.5); images are interpolated bilinearly, labels take the
nearest pixel. DeepLab2 resizes with aligned corners instead; what matters for
training is that image and label agree, and tf.image.resize has only this
convention.
"""

from typing import Optional, Tuple

import numpy as np
import tensorflow as tf


def to_model_range(image: tf.Tensor) -> tf.Tensor:
  """Maps 0..255 to float32 in [-1, 1]."""
  return (tf.cast(image, tf.float32) - 127.5) / 127.5


def to_uint8(image: tf.Tensor) -> tf.Tensor:
  """Rounds to integers, clipped to 0..255."""
  return tf.cast(tf.round(tf.clip_by_value(image, 0.0, 255.0)), tf.uint8)


def resize(image: tf.Tensor, panoptic: tf.Tensor, size: tf.Tensor):
  """Resizes to `size`, int32 [2]; returns float32 image and int32 label."""
  image = tf.image.resize(image, size, 'bilinear')
  panoptic = tf.image.resize(panoptic[..., tf.newaxis], size, 'nearest')
  return image, panoptic[..., 0]


def nearest(index, source, target):
  """Returns for each of `target` pixels the one of `source` it lies in.

  Integers, so that NumPy and TensorFlow agree on every pixel.
  """
  return (2 * index + 1) * source // (2 * target)


def nearest_array(values: np.ndarray, height: int, width: int) -> np.ndarray:
  """Resizes an array [h, w, ...] to [height, width, ...]."""
  if values.shape[:2] == (height, width):
    return values
  rows, columns = (
      nearest(np.arange(new), old, new)
      for new, old in zip((height, width), values.shape))
  return values[rows[:, np.newaxis], columns]


def nearest_maps(maps: tf.Tensor, height: tf.Tensor, width: tf.Tensor
                 ) -> tf.Tensor:
  """Resizes tensors [batch, h, w] to [batch, height, width]."""
  for axis, size in ((1, height), (2, width)):
    source = tf.shape(maps, tf.int64)[axis]
    size = tf.cast(size, tf.int64)
    maps = tf.gather(maps, nearest(tf.range(size), source, size), axis=axis)
  return maps


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


def center_crop(image: tf.Tensor, image_size: Tuple[int, int],
                short_side: Optional[int]) -> tf.Tensor:
  """Resizes an image and crops its center.

  Args:
    image: uint8 [..., height, width, 3], one or a batch.
    image_size: height and width of the result.
    short_side: shorter side of the resized image; None resizes to `image_size`
      directly.

  Returns:
    float32 [..., *image_size, 3] in [-1, 1].
  """
  if short_side is None:
    cropped = tf.image.resize(image, image_size, 'bilinear')
  else:
    size = tf.cast(tf.shape(image)[-3:-1], tf.float32)
    resized = tf.round(size * short_side / tf.reduce_min(size))
    top_left = (tf.cast(resized, tf.int32) - image_size) // 2
    # Only the crop is computed: a whole resized strip could have any length.
    cropped = tf.raw_ops.ScaleAndTranslate(
        images=tf.reshape(image, tf.concat([[-1], tf.shape(image)[-3:]], 0)),
        size=image_size, scale=resized / size,
        translation=-tf.cast(top_left, tf.float32), kernel_type='triangle',
        antialias=False)
    cropped = tf.reshape(cropped, tf.concat(
        [tf.shape(image)[:-3], image_size, [3]], 0))
  return tf.ensure_shape(
      to_model_range(cropped), [*image.shape[:-3], *image_size, 3])
