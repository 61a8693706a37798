"""Image files of unknown origin to pixels, inside the graph.

A server must not fall over what it is sent: the size that a file claims is
known before a pixel is decoded, and a file that cannot be decoded is a value,
not an error, so that the caller can name it or go on with the others.
"""

from typing import Tuple

import tensorflow as tf

from axial_tf.serving import gif_frames

# A PNG must begin so. The decoder would pass over other parts before this one,
# whose bytes would stand where the size is looked for.
_PNG = b'\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR'

NO_IMAGE = 'is not a readable JPEG, PNG, GIF or BMP file'


def decode(content: tf.Tensor, max_pixels: int
           ) -> Tuple[tf.Tensor, tf.Tensor]:
  """Decodes an image unless it is too large or damaged.

  Args:
    content: string [], a JPEG, PNG, GIF (its first frame) or BMP file.
    max_pixels: height times width that are still decoded, of a GIF all its
      frames together.

  Returns:
    uint8 RGB [height, width, 3], or [0, 0, 3] if there is a problem; string
    [], the problem as the rest of a sentence, '' if there is none.
  """
  count = tf.cond(
      _starts_with(content, b'\xff\xd8\xff'),
      lambda: _unless_it_fails(_jpeg_pixels, content, tf.constant(0, tf.int64)),
      lambda: _claimed_pixels(content))
  blank = tf.raw_ops.PlaceholderWithDefault(  # Hides the size.
      input=tf.zeros([0, 0, 3], tf.uint8), shape=[None, None, 3])
  image = tf.cond(
      (count > 0) & (count <= max_pixels),
      lambda: _unless_it_fails(_decoded, content, blank), lambda: blank)
  problem = tf.where(
      count > max_pixels,
      tf.strings.join([
          'claims ', tf.strings.as_string(count),
          f' pixels, more than the {max_pixels} that this model takes']),
      tf.where(tf.size(image) > 0, '', NO_IMAGE))
  return image, problem


def _unless_it_fails(function, content: tf.Tensor, default: tf.Tensor
                     ) -> tf.Tensor:
  """Returns function(content), or the default where it fails.

  A data set that leaves out what fails is a graph's only way to go on after
  an error; the default then comes first. (To reduce it would take many times as
  long.)
  """
  options = tf.data.Options()  # Nothing to gain for one element.
  options.autotune.enabled = False
  options.experimental_optimization.apply_default_optimizations = False
  results = tf.data.Dataset.from_tensors(content).map(function)
  results = results.ignore_errors().concatenate(
      tf.data.Dataset.from_tensors(default)).take(1)
  return results.with_options(options).get_single_element()


def _decoded(content: tf.Tensor) -> tf.Tensor:
  image = tf.io.decode_image(content, channels=3, expand_animations=False)
  image = tf.ensure_shape(image, [None, None, 3])
  has_palette = _starts_with(content, b'BM') & tf.equal(
      tf.strings.substr(content, 28, 1), b'\x08')
  return tf.cond(has_palette, lambda: tf.gather(
      _bmp_palette(content), tf.cast(image[..., 0], tf.int32)), lambda: image)


def _bmp_palette(content: tf.Tensor) -> tf.Tensor:
  """Returns the colors of a BMP, which the decoder leaves out, [n, 3]."""
  pixels, size = tf.unstack(_integers(content, 10, 2))
  table = tf.io.decode_raw(
      tf.strings.substr(content, 14 + size, pixels - 14 - size), tf.uint8)
  return tf.reshape(table, [-1, 4])[:, 2::-1]  # Blue, green, red, nothing.


def _jpeg_pixels(content: tf.Tensor) -> tf.Tensor:
  return _product(tf.io.extract_jpeg_shape(content, tf.int64)[:2])


def _starts_with(content: tf.Tensor, prefix: bytes) -> tf.Tensor:
  return tf.equal(tf.strings.substr(content, 0, len(prefix)), prefix)


def _claimed_pixels(content: tf.Tensor) -> tf.Tensor:
  """Returns height times width, int64; 0 if it is no PNG, GIF or BMP."""
  padded = tf.strings.join([content, tf.constant(bytes(34))])
  return tf.case([
      (_starts_with(content, _PNG), lambda: _product(
          _integers(padded, 16, 2, little_endian=False))),
      (_starts_with(content, b'BM'), lambda: _bmp_pixels(padded)),
      (_starts_with(content, b'GIF8'), lambda: gif_frames.pixels(padded)),
  ], default=lambda: tf.constant(0, tf.int64))


def _bmp_pixels(content: tf.Tensor) -> tf.Tensor:
  """As `_claimed_pixels`; 0 for kinds of BMP that the decoder mistakes."""
  size, width, height, _, compression = tf.unstack(_integers(content, 14, 5))
  # Older heads have other fields; 3 tells the bits of each color only.
  is_plain = tf.equal(compression, 0) | tf.equal(compression, 3)
  return tf.where(
      (size >= 40) & is_plain, _product(tf.stack([width, height])), 0)


def _integers(content: tf.Tensor, offset: int, count: int,
              little_endian: bool = True) -> tf.Tensor:
  """Returns `count` int32 at an offset as int64."""
  values = tf.io.decode_raw(
      tf.strings.substr(content, offset, 4 * count), tf.int32,
      little_endian=little_endian)
  return tf.cast(tf.ensure_shape(values, [count]), tf.int64)


def _product(sides: tf.Tensor) -> tf.Tensor:
  # A negative height in a BMP says that its rows go down.
  return tf.reduce_prod(tf.abs(sides))
