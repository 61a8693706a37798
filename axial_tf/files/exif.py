"""Reads the orientation of a photograph from its EXIF data.

`image_decoding.orientation` does the same inside a TensorFlow graph. In a
JPEG, the first EXIF segment counts; in a PNG, the eXIf chunk before the pixels.
Damaged data is ignored.
"""

import struct

import numpy as np

JPEG = b'\xff\xd8\xff'
PNG = b'\x89PNG\r\n\x1a\n'
TAG = 0x0112
# Number of parts of a file that are searched for its EXIF data.
MAX_PARTS = 1000

_BLOCK = b'Exif\0\0'
_ORDERS = {b'II*\0': '<', b'MM\0*': '>'}


def orientation(content: bytes) -> int:
  """Returns 1 to 8, see `upright`; 1 for a file without EXIF data.

  Args:
    content: content of a JPEG or PNG file.
  """
  return of_block(_in_png(content) if content.startswith(PNG)
                  else _in_jpeg(content))


def of_block(block: bytes) -> int:
  """Returns the orientation 1 to 8 in EXIF data, 1 if it has none.

  Args:
    block: TIFF structure, with or without "Exif" and two zeros before it.
  """
  if block.startswith(_BLOCK):
    block = block[len(_BLOCK):]
  order = _ORDERS.get(block[:4])
  if order is None or len(block) < 10:
    return 1
  start, = struct.unpack_from(f'{order}I', block, 4)
  if start + 2 > len(block):
    return 1
  count, = struct.unpack_from(f'{order}H', block, start)
  for index in range(min(count, (len(block) - start - 2) // 12)):
    tag, kind, number, value = struct.unpack_from(
        f'{order}HHIH', block, start + 2 + 12 * index)
    if tag == TAG:
      is_valid = kind == 3 and number == 1 and 1 <= value <= 8
      return value if is_valid else 1
  return 1


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
  """Returns an image [height, width, ...], rotated and mirrored to be upright.

  Args:
    image: image as stored.
    orientation: 1 leaves the image unchanged; 5 to 8 transpose it; then 3, 4, 7
      and 8 reverse the rows, 2, 3, 6 and 7 the columns.
  """
  if orientation >= 5:
    image = image.swapaxes(0, 1)
  if orientation in (3, 4, 7, 8):
    image = image[::-1]
  if orientation in (2, 3, 6, 7):
    image = image[:, ::-1]
  return image


def _in_jpeg(content: bytes) -> bytes:
  position = 2
  for _ in range(MAX_PARTS):
    head = content[position:position + 10]
    if len(head) < 10 or head[0] != 0xff:
      break
    if head[1] == 0xff:  # A fill byte.
      position += 1
      continue
    end = position + 2 + int.from_bytes(head[2:4], 'big')
    if head[1] == 0xe1 and head[4:] == _BLOCK:
      return content[position + 10:end]
    if head[1] in (0xd9, 0xda) or end < position + 4:
      break  # The pixels follow, or garbage.
    position = end
  return b''


def _in_png(content: bytes) -> bytes:
  position = len(PNG)
  for _ in range(MAX_PARTS):
    head = content[position:position + 8]
    if len(head) < 8 or head[4:] == b'IDAT':
      break
    end = position + 8 + int.from_bytes(head[:4], 'big')
    if head[4:] == b'eXIf':
      return content[position + 8:end]
    position = end + 4  # After the checksum.
  return b''
