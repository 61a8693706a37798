"""Files that are no pictures, and the words of what is said about them."""

import struct
import zlib

import numpy as np

from axial_tf.files import images

NOT_READABLE = 'is not a readable JPEG or PNG file'


def huge_png(side: int = 50_000) -> bytes:
  """A PNG of a few bytes that claims to have side x side pixels."""
  def chunk(kind: bytes, content: bytes) -> bytes:
    return (struct.pack('>I', len(content)) + kind + content
            + struct.pack('>I', zlib.crc32(kind + content)))

  header = struct.pack('>IIBBBBB', side, side, 8, 2, 0, 0, 0)
  return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header)
          + chunk(b'IDAT', zlib.compress(b'\0')) + chunk(b'IEND', b''))


# By name: content, and a part of the message.
BAD = {
    'notes.png': (b'Dear diary, this is a text.\n' * 9, NOT_READABLE),
    'program.bin': (bytes(range(256)) * 9, NOT_READABLE),
    'empty.jpg': (b'', NOT_READABLE),
    'huge.png': (huge_png(), 'claims 2500000000 pixels, more than the'),
    'cut.png': (images.png_bytes(np.random.default_rng(0).integers(
        0, 256, [40, 40, 3], np.uint8))[:900], NOT_READABLE),
    'film.gif': (b'GIF89a' + bytes(40), 'is a GIF file; send JPEG or PNG'),
}
