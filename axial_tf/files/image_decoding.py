"""Decodes JPEG and PNG files inside a TensorFlow graph.

The pixels are those of `images`, bit for bit: records, training and a served
model see what a prediction from a file sees.
"""

from typing import Callable, Tuple

import tensorflow as tf

from axial_tf.files import exif

# The default is faster and up to 20 of 255 levels off.
DCT_METHOD = 'INTEGER_ACCURATE'

_ALPHA = 4  # Bit of a PNG's color type.
_SMALL_FILE = 2**16  # Bytes.


def decode(content: tf.Tensor, upright: bool = True) -> tf.Tensor:
  """Decodes a JPEG or PNG file.

  Args:
    content: string [].
    upright: whether to apply the EXIF orientation.

  Returns:
    uint8 RGB [height, width, 3].

  Raises:
    tf.errors.InvalidArgumentError: when the ops run: damaged or another type.
  """
  image = tf.cond(
      _starts_with(content, exif.PNG), lambda: _decode_png(content),
      lambda: tf.io.decode_jpeg(
          content, channels=3, dct_method=DCT_METHOD))
  image = tf.ensure_shape(image, [None, None, 3])
  return _upright(image, orientation(content)) if upright else image


def orientation(content: tf.Tensor) -> tf.Tensor:
  """Returns `exif.orientation` of a file, int64 []."""
  block = tf.cond(
      _starts_with(content, exif.PNG), lambda: _in_png(content, b'eXIf'),
      lambda: _in_jpeg(content, 0xe1, b'Exif\0\0'))
  return tf.cond(
      _length(block) > 0, lambda: _orientation_of_block(block),
      lambda: tf.constant(1, tf.int64))


def is_unmarked_cmyk(content: tf.Tensor) -> tf.Tensor:
  """Returns whether a JPEG is CMYK without an Adobe marker, bool [].

  Nearly all have one. TensorFlow inverts the colors of the others; `images`
  does not.
  """
  return tf.cond(
      tf.equal(tf.io.extract_jpeg_shape(content)[2], 4),
      lambda: tf.equal(_length(_in_jpeg(content, 0xee, b'Adobe')), 0),
      lambda: tf.constant(False))


def _decode_png(content: tf.Tensor) -> tf.Tensor:
  color, = tf.unstack(_bytes(content, 25, 1))
  # Always decoding a fourth channel would cost a third of the time.
  has_alpha = tf.not_equal(tf.bitwise.bitwise_and(color, _ALPHA), 0) | (
      _length(_in_png(content, b'tRNS')) > 0)
  return tf.cond(
      has_alpha, lambda: _on_white(tf.io.decode_png(content, channels=4)),
      lambda: tf.io.decode_png(content, channels=3))


def _on_white(rgba: tf.Tensor) -> tf.Tensor:
  """Composites an image on white, rounding as Pillow's alpha_composite does."""
  rgba = tf.cast(rgba, tf.uint16)  # Just large enough for the sums.
  rgb, alpha = rgba[..., :3], rgba[..., 3:]
  mixed = 255 * (255 - alpha) + rgb * alpha + 128
  return tf.cast(
      tf.bitwise.right_shift(
          mixed + tf.bitwise.right_shift(mixed, 8), 8), tf.uint8)


def _upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
  """As `exif.upright`."""

  def among(*orientations):
    return tf.reduce_any(tf.equal(orientation, orientations))

  def turned():
    result = tf.cond(
        orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]),
        lambda: image)
    result = tf.cond(
        among(3, 4, 7, 8), lambda: result[::-1], lambda: result)
    return tf.cond(
        among(2, 3, 6, 7), lambda: result[:, ::-1], lambda: result)

  return tf.ensure_shape(
      tf.cond(orientation > 1, turned, lambda: image), [None, None, 3])


def _in_jpeg(content: tf.Tensor, wanted: int, mark: bytes) -> tf.Tensor:

  def step(position):
    head = _bytes(content, position, 10)
    marker, size = head[1], 256 * head[2] + head[3]
    is_filling = tf.equal(marker, 0xff)
    return (
        tf.where(is_filling, position + 1, position + 2 + size),
        position + 10,
        position + 2 + size,
        tf.equal(marker, wanted) & _equal(head[4:4 + len(mark)], mark),
        tf.not_equal(head[0], 0xff) | ~is_filling & (
            tf.equal(marker, 0xd9) | tf.equal(marker, 0xda) | (size < 2)))

  return _find_part(content, mark, 2, 10, step)


def _in_png(content: tf.Tensor, wanted: bytes) -> tf.Tensor:

  def step(position):
    head = _bytes(content, position, 8)
    end = position + 8 + _number(head[:4], is_big=True)
    return (end + 4, position + 8, end, _equal(head[4:], wanted),
            _equal(head[4:], b'IDAT'))

  return _find_part(content, wanted, len(exif.PNG), 8, step)


def _find_part(content: tf.Tensor, mark: bytes, first: int, head_size: int,
               step: Callable[[tf.Tensor], Tuple[tf.Tensor, ...]]) -> tf.Tensor:
  """Finds a part of a file.

  Args:
    content: string [].
    mark: letters and zeros that the part contains.
    first: position of the first part.
    head_size: minimum number of bytes in a part.
    step: maps the position of a part to that of the next one, the start and end
      of this one's data, whether it is the one to find, and whether it is the
      last one.

  Returns:
    string [], the data, '' if there is none.
  """
  size = _length(content)

  def goes_on(position, begin, end):
    del begin, end
    return position + head_size <= size

  def look(position, begin, end):
    following, data_begin, data_end, is_found, is_last = step(position)
    is_found &= ~is_last
    return (tf.where(is_found | is_last, size, following),
            tf.where(is_found, data_begin, begin),
            tf.where(is_found, data_end, end))

  def find():
    nothing = tf.constant(0, tf.int64)
    _, begin, end = tf.while_loop(
        goes_on, look, (tf.constant(first, tf.int64), nothing, nothing),
        maximum_iterations=exif.MAX_PARTS, parallel_iterations=1)
    return _cut(content, begin, end - begin)

  # The loop takes as long as decoding a small file, most of which hold no mark.
  is_possible = (size > _SMALL_FILE) | tf.strings.regex_full_match(
      content, '\\C*' + mark.decode().replace('\0', '\\x00') + '\\C*')
  return tf.cond(is_possible, find, lambda: tf.constant(''))


def _orientation_of_block(block: tf.Tensor) -> tf.Tensor:
  """Returns `exif.of_block` of a block without "Exif" before it."""
  head = _bytes(block, 0, 8)
  is_big = _equal(head[:4], b'MM\0*')
  start = _number(head[4:], is_big)
  room = _length(block) - start - 2
  is_readable = (is_big | _equal(head[:4], b'II*\0')) & (room >= 0)
  count = tf.minimum(
      _number(_bytes(block, start, 2), is_big), tf.maximum(room, 0) // 12)
  # There is always a last entry of zeros.
  entries = tf.reshape(
      _bytes(block, start + 2, 12 * count, added=12), [-1, 12])
  is_orientation = tf.equal(_number(entries[:, :2], is_big), exif.TAG)
  entry = entries[tf.argmax(tf.cast(is_orientation, tf.int32))]
  tag, kind, number, value = (
      _number(entry[begin:end], is_big)
      for begin, end in ((0, 2), (2, 4), (4, 8), (8, 10)))
  is_valid = (
      is_readable & tf.equal(tag, exif.TAG) & tf.equal(kind, 3)
      & tf.equal(number, 1) & (value >= 1) & (value <= 8))
  return tf.where(is_valid, value, tf.ones_like(value))


def _starts_with(content: tf.Tensor, prefix: bytes) -> tf.Tensor:
  return tf.equal(tf.strings.substr(content, 0, len(prefix)), prefix)


def _length(content: tf.Tensor) -> tf.Tensor:
  return tf.cast(tf.strings.length(content), tf.int64)


def _cut(content: tf.Tensor, begin: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
  """Returns bytes of a file, fewer than `count` if it ends earlier."""
  begin = tf.clip_by_value(tf.cast(begin, tf.int64), 0, _length(content))
  return tf.strings.substr(
      content, begin, tf.maximum(tf.cast(count, tf.int64), 0))


def _bytes(content: tf.Tensor, begin: tf.Tensor, count: tf.Tensor,
           added: int = 0) -> tf.Tensor:
  """Returns bytes as int64 [count + added], zeros where there are none."""
  found = tf.cast(tf.io.decode_raw(
      _cut(content, begin, count), tf.uint8), tf.int64)
  size = tf.cast(count, tf.int32) + added
  found = tf.pad(found, [[0, size - tf.size(found)]])
  return tf.ensure_shape(
      found, [count + added if isinstance(count, int) else None])


def _equal(values: tf.Tensor, expected: bytes) -> tf.Tensor:
  return tf.reduce_all(tf.equal(values, list(expected)))


def _number(values: tf.Tensor, is_big) -> tf.Tensor:
  """Returns the number that bytes [..., n] encode, int64 [...]."""
  places = [256**place for place in range(values.shape[-1])]
  weights = tf.where(is_big, tf.constant(places[::-1], tf.int64),
                     tf.constant(places, tf.int64))
  return tf.reduce_sum(values * weights, -1)
