"""How many pixels a GIF makes, before any of them is decoded.

Its header's size says little: each frame has its own, and the decoder unpacks
all frames. So the blocks of the file are walked, as in the GIF89a
specification, section "Blocks, extensions and scope".
"""

import tensorflow as tf

_HEADER = 13  # Bytes of the signature and of the screen's description.
_FRAME, _EXTENSION = 0x2c, 0x21
# Writers fill their blocks with 255 bytes, so this is a file of some 50 MB; one
# of many tiny blocks would keep a server busy.
_MAX_BLOCKS = 200_000


def pixels(content: tf.Tensor) -> tf.Tensor:
  """Returns the sum over all frames of height times width, int64.

  A file that ends early gives the sum so far, one of very many blocks gives 0.

  Args:
    content: string [], which starts with GIF8.
  """
  data = tf.cast(tf.io.decode_raw(content, tf.uint8), tf.int32)
  size = tf.size(data)
  # Reading behind the end is no error: there is nothing.
  data = tf.pad(data, [[0, 16]])

  def inside(position, in_data, total):
    del in_data, total
    return position < size

  def step(position, in_data, total):
    """Reads a block's head, or passes a part of its data."""
    kind = data[position]

    def pass_data():
      # Parts begin with their length; one of length 0 ends the data.
      return position + 1 + kind, kind > 0, total

    def read_frame():
      sides = data[position + 5:position + 9]
      width, height = sides[0] + 256 * sides[1], sides[2] + 256 * sides[3]
      start = position + 10 + _table_size(data[position + 9]) + 1
      count = tf.cast(width, tf.int64) * tf.cast(height, tf.int64)
      return start, tf.constant(True), total + count

    def read_extension():
      return position + 2, tf.constant(True), total

    def finish():
      return size, tf.constant(False), total

    return tf.case([
        (in_data, pass_data),
        (tf.equal(kind, _FRAME), read_frame),
        (tf.equal(kind, _EXTENSION), read_extension),
    ], default=finish, exclusive=False)

  position, _, total = tf.while_loop(
      inside, step,
      (_HEADER + _table_size(data[10]), tf.constant(False),
       tf.constant(0, tf.int64)), maximum_iterations=_MAX_BLOCKS)
  return tf.where(position < size, tf.constant(0, tf.int64), total)


def _table_size(flags: tf.Tensor) -> tf.Tensor:
  """Returns the bytes of a color table, given the flags that announce it."""
  has_table = flags >= 128
  return tf.where(has_table, 3 * tf.bitwise.left_shift(2, flags & 7), 0)
