"""Fits images to the strides of a network, and its maps to the images."""

from typing import Optional, Tuple

import tensorflow as tf

from axial_tf.layers import padding as padding_lib
from axial_tf.layers import resize

Sizes = Tuple[resize.Size, resize.Size]


def legal(size: resize.Size, output_stride: int) -> resize.Size:
  """Returns the next k * output_stride + 1, with k at least 1.

  With such sizes the corners of all feature maps coincide.
  """
  count = -(-(size - 1) // output_stride)
  if isinstance(count, int):
    count = max(count, 1)
  else:
    count = tf.maximum(count, 1)
  return count * output_stride + 1


def pad(images: tf.Tensor, output_stride: int, padding: padding_lib.Padding
        ) -> tf.Tensor:
  """Pads images [batch, height, width, 3] to legal sizes, right and bottom."""
  margins = [
      legal(size, output_stride) - size for size in resize.size_of(images)]
  if all(isinstance(margin, int) and margin == 0 for margin in margins):
    return images
  return padding_lib.enlarge(images, margins, padding)


def enlarge(maps: tf.Tensor, stride: int, size: Sizes, output_stride: int,
            output_size: Optional[Sizes] = None) -> tf.Tensor:
  """Resizes maps of the padded images to the images.

  Args:
    maps: [batch, h, w, channels].
    stride: pixels of the images between two of the maps.
    size: height and width of the images.
    output_stride: see `legal`.
    output_size: size of the result, whose corners are those of the images;
      None for theirs. Such maps are sampled from the small ones directly: a map
      of all classes at the size of a larger image would take gigabytes.
  """
  if output_size is not None:
    return resize.sample(maps, output_size, tuple(
        tf.cast(n - 1, tf.float32)
        / tf.cast(stride * tf.maximum(m - 1, 1), tf.float32)
        for n, m in zip(size, output_size)))
  padded = tuple(legal(n, output_stride) for n in size)
  return resize.resize(maps, padded)[:, :size[0], :size[1]]
