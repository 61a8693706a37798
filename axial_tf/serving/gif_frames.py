"""How many pixels a GIF makes, before any of them is decoded.

Its header's size says little: each frame has its own, and the decoder unpacks
all frames, on a canvas as wide and high as any of them. So the blocks of the
file are walked, as in the GIF89a specification, section "Blocks, extensions and
scope".
"""

import tensorflow as tf

_HEADER = 13  # Bytes of the signature and of the screen's description.
_FRAME, _EXTENSION = 0x2c, 0x21
# Writers fill their blocks with 255 bytes, so this is a file of some 12 MB; one
# of many tiny blocks would keep a server busy.
_MAX_BLOCKS = 50_000


def pixels(content: tf.Tensor) -> tf.Tensor:
  """Returns what all frames, or a canvas that holds each, have; int64.

  A file that ends early gives the sum so far, one of very many blocks gives 0.

  Args:
    content: string [], which starts with GIF8.
  """
  data = tf.cast(tf.io.decode_raw(content, tf.uint8), tf.int32)
  size = tf.size(data)
  # Reading behind the end is no error: there is nothing.
  data = tf.pad(data, [[0, 16]])

  def inside(position, in_data, counts):
    del in_data, counts
    return position < size

  def step(position, in_data, counts):
    """Reads a block's head, or passes a part of its data."""
    kind = data[position]

    def pass_data():
      # Parts begin with their length; one of length 0 ends the data.
      return position + 1 + kind, kind > 0, counts

    def read_frame():
      sides = data[position + 5:position + 9]
      sides = tf.cast(sides[0::2] + 256 * sides[1::2], tf.int64)
      start = position + 10 + _table_size(data[position + 9]) + 1
      total = counts[:1] + tf.reduce_prod(sides)
      return start, tf.constant(True), tf.concat(
          [total, tf.maximum(counts[1:], sides)], 0)

    def read_extension():
      return position + 2, tf.constant(True), counts

    def finish():
      return size, tf.constant(False), counts

    return tf.case([
        (in_data, pass_data),
        (tf.equal(kind, _FRAME), read_frame),
        (tf.equal(kind, _EXTENSION), read_extension),
    ], default=finish, exclusive=False)

  position, _, counts = tf.while_loop(
      inside, step,
      (_HEADER + _table_size(data[10]), tf.constant(False),
       tf.zeros([3], tf.int64)),  # Pixels, and the largest width and height.
      maximum_iterations=_MAX_BLOCKS)
  pixels_read = tf.maximum(counts[0], tf.reduce_prod(counts[1:]))
  return tf.where(position < size, tf.constant(0, tf.int64), pixels_read)


def _table_size(flags: tf.Tensor) -> tf.Tensor:
  """Returns the bytes of a color table, given the flags that announce it."""
  has_table = flags >= 128
  return tf.where(has_table, 3 * tf.bitwise.left_shift(2, flags & 7), 0)
