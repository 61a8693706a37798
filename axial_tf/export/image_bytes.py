"""Decodes image files of unknown origin, inside the graph.

A server must not crash on bad input: the size that a file claims is checked
before a pixel is decoded, and a file that cannot be decoded yields a value,
not an error, so that the caller can report it and continue with the others.
"""

from typing import Tuple

import tensorflow as tf

from axial_tf.files import exif, image_decoding

# A PNG must start like this. The decoder would skip other chunks before this
# one, whose bytes would then be read as the size.
_PNG = exif.PNG + b'\x00\x00\x00\rIHDR'

NO_IMAGE = 'is not a readable JPEG or PNG file'
UNMARKED_CMYK = (
    'is a CMYK JPEG without the mark of Adobe; send it as RGB or as PNG')
_UNMARKED = -1  # Instead of a number of pixels.
# Signatures of other file types, at some position.
_OTHER_KINDS = (
    (0, b'GIF8', 'GIF'), (0, b'BM', 'BMP'), (0, b'II*\0', 'TIFF'),
    (0, b'MM\0*', 'TIFF'), (8, b'WEBP', 'WebP'), (4, b'ftypavi', 'AVIF'),
    (4, b'ftyp', 'HEIC'))


def decode(content: tf.Tensor, max_pixels: int
           ) -> Tuple[tf.Tensor, tf.Tensor]:
  """Decodes an image unless it is too large or damaged.

  Args:
    content: string [], a JPEG or PNG file.
    max_pixels: largest height times width that is decoded.

  Returns:
    uint8 RGB [height, width, 3], or [0, 0, 3] if there is a problem; string
    [], the problem as the rest of a sentence, '' if there is none.
  """
  count = tf.cond(
      _starts_with(content, exif.JPEG),
      lambda: _unless_it_fails(_jpeg_pixels, content, tf.constant(0, tf.int64)),
      lambda: _png_pixels(content))
  blank = tf.raw_ops.PlaceholderWithDefault(  # Hides the size.
      input=tf.zeros([0, 0, 3], tf.uint8), shape=[None, None, 3])
  image = tf.cond(
      (count > 0) & (count <= max_pixels),
      lambda: _unless_it_fails(image_decoding.decode, content, blank),
      lambda: blank)
  problem = tf.where(
      count > max_pixels,
      tf.strings.join([
          'claims ', tf.strings.as_string(count),
          f' pixels, more than the {max_pixels} that this model takes']),
      tf.where(
          tf.equal(count, _UNMARKED), UNMARKED_CMYK,
          tf.where(tf.size(image) > 0, '', _kind(content))))
  return image, problem


def _unless_it_fails(function, content: tf.Tensor, default: tf.Tensor
                     ) -> tf.Tensor:
  """Returns function(content), or the default if it fails.

  A tf.data pipeline that ignores errors is a graph's only way to continue after
  one; the default is then its first element. (Reducing the data set would take
  many times as long.)
  """
  options = tf.data.Options()  # Nothing to gain for one element.
  options.autotune.enabled = False
  options.experimental_optimization.apply_default_optimizations = False
  results = tf.data.Dataset.from_tensors(content).map(function)
  results = results.ignore_errors().concatenate(
      tf.data.Dataset.from_tensors(default)).take(1)
  return results.with_options(options).get_single_element()


def _kind(content: tf.Tensor) -> tf.Tensor:
  """Returns the problem of a file that cannot be decoded, by its type."""
  result = tf.constant(NO_IMAGE)
  head = tf.strings.join([tf.strings.substr(content, 0, 16), bytes(16)])
  for place, mark, name in reversed(_OTHER_KINDS):
    result = tf.where(
        tf.equal(tf.strings.substr(head, place, len(mark)), mark),
        f'is a {name} file; send JPEG or PNG', result)
  return result


def _jpeg_pixels(content: tf.Tensor) -> tf.Tensor:
  count = tf.reduce_prod(tf.io.extract_jpeg_shape(content, tf.int64)[:2])
  return tf.where(image_decoding.is_unmarked_cmyk(content),
                  tf.constant(_UNMARKED, tf.int64), count)


def _starts_with(content: tf.Tensor, prefix: bytes) -> tf.Tensor:
  return tf.equal(tf.strings.substr(content, 0, len(prefix)), prefix)


def _png_pixels(content: tf.Tensor) -> tf.Tensor:
  """Returns height times width, int64; 0 if it is not a PNG."""
  padded = tf.strings.join([tf.strings.substr(content, 0, 24), bytes(24)])
  sides = tf.io.decode_raw(
      tf.strings.substr(padded, 16, 8), tf.int32, little_endian=False)
  sides = tf.cast(tf.ensure_shape(sides, [2]), tf.int64)
  return tf.where(
      _starts_with(content, _PNG) & tf.reduce_all(sides > 0),
      tf.reduce_prod(sides), 0)
