"""Small image files of all types that users have, by name."""

import io
import struct
from typing import Dict
import zlib

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 30, 44
_PNG = b'\x89PNG\r\n\x1a\n'


def chunk(kind: bytes, data: bytes) -> bytes:
  """Returns a part of a PNG."""
  return (struct.pack('>I', len(data)) + kind + data
          + struct.pack('>I', zlib.crc32(kind + data)))


def raw_png(values: np.ndarray, depth: int, color: int,
            chunks: bytes = b'') -> bytes:
  """Returns a PNG that Pillow does not write.

  Args:
    values: int [height, width] or [height, width, channels].
    depth: bits of each value.
    color: the PNG's type of color.
    chunks: chunks of transparency and the like.
  """
  height, width = values.shape[:2]
  bits = values.reshape(height, -1, 1) >> np.arange(depth)[::-1] & 1
  rows = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
  rows = np.pad(rows, [[0, 0], [1, 0]])  # Each row begins with its filter.
  return (_PNG
          + chunk(b'IHDR', struct.pack(
              '>IIBBBBB', width, height, depth, color, 0, 0, 0))
          + chunks + chunk(b'IDAT', zlib.compress(rows.tobytes()))
          + chunk(b'IEND', b''))


def photograph() -> np.ndarray:
  """Noisy ramps around the middle, uint8 RGB [HEIGHT, WIDTH, 3]."""
  rng = np.random.default_rng(0)
  y, x = np.mgrid[:HEIGHT, :WIDTH]
  ramps = np.stack([3 * x + y, 2 * y + 2 * x, 4 * y + 40], -1) + 40
  return np.uint8(np.clip(ramps + rng.normal(0, 25, ramps.shape), 0, 255))


def encode(image: Image.Image, kind: str, **options) -> bytes:
  """Returns a Pillow image as a file."""
  buffer = io.BytesIO()
  image.save(buffer, kind, **options)
  return buffer.getvalue()


def turned(kind: str, orientation: int, scale: int = 1) -> bytes:
  """Returns a file that EXIF data rotates; `scale` enlarges it."""
  exif = Image.Exif()
  exif[0x0112] = orientation
  pixels = photograph().repeat(scale, 0).repeat(scale, 1)
  return encode(Image.fromarray(pixels), kind, exif=exif)


def unmarked_cmyk() -> bytes:
  """Returns a CMYK file that TensorFlow mistakes for its negative."""
  jpeg = jpegs()['JPEG CMYK']
  place = jpeg.index(b'Adobe') - 4
  return jpeg[:place] + jpeg[place + 2 + jpeg[place + 3]:]


def jpegs() -> Dict[str, bytes]:
  """Returns JPEG files by name."""
  rgb = Image.fromarray(photograph())
  ink = np.random.default_rng(1).integers(0, 256, [HEIGHT, WIDTH, 4])
  cmyk = Image.frombytes('CMYK', rgb.size, ink.astype(np.uint8).tobytes())
  files = {
      f'JPEG {sampling}{" progressive" * progressive}': encode(
          rgb, 'JPEG', subsampling=sampling, progressive=progressive)
      for sampling in ('4:4:4', '4:2:2', '4:2:0')
      for progressive in (False, True)}
  ink_file = encode(cmyk, 'JPEG', quality=90)
  mark = ink_file.index(b'Adobe') + 11
  return {
      **files,
      'JPEG grey': encode(rgb.convert('L'), 'JPEG'),
      'JPEG low quality': encode(rgb, 'JPEG', quality=20),
      'JPEG high quality': encode(rgb, 'JPEG', quality=100),
      'JPEG CMYK': ink_file,
      'JPEG YCCK': ink_file[:mark] + b'\x02' + ink_file[mark + 1:],
      **{f'JPEG EXIF {orientation}': turned('JPEG', orientation)
         for orientation in range(1, 9)},
  }


def pngs() -> Dict[str, bytes]:
  """Returns PNG files by name."""
  rng = np.random.default_rng(2)
  rgb = photograph()
  image = Image.fromarray(rgb)
  alpha = rng.integers(0, 256, [HEIGHT, WIDTH, 1])
  alpha[:9], alpha[9:18] = 0, 255
  deep = rng.integers(0, 2**16, [HEIGHT, WIDTH, 4])
  deep[:9, :, 3], deep[9:18, :, 3] = 0, 65535
  files = {
      'PNG RGB': encode(image, 'PNG'),
      'PNG grey': encode(image.convert('L'), 'PNG'),
      'PNG palette': encode(image.convert('P'), 'PNG'),
      'PNG palette of 4 bits': encode(image.quantize(13), 'PNG', bits=4),
      'PNG alpha': encode(Image.fromarray(
          np.uint8(np.concatenate([rgb, alpha], -1))), 'PNG'),
      'PNG grey with alpha': raw_png(
          np.concatenate([rgb[..., :1], alpha], -1).astype(int), 8, 4),
      'PNG opaque alpha': encode(image.convert('RGBA'), 'PNG'),
      'PNG transparent palette': encode(
          image.quantize(90), 'PNG', transparency=bytes(range(0, 256, 4))),
      'PNG transparent color': encode(
          image, 'PNG', transparency=tuple(rgb[3, 4].tolist())),
      'PNG grey of 16 bits': raw_png(deep[..., 0], 16, 0),
      'PNG transparent grey of 16 bits': raw_png(
          deep[..., 0] // 512 * 512, 16, 0,
          chunk(b'tRNS', struct.pack('>H', 512 * 9))),
      'PNG RGB of 16 bits': raw_png(deep[..., :3], 16, 2),
      'PNG grey with alpha of 16 bits': raw_png(deep[..., 2:], 16, 4),
      'PNG alpha of 16 bits': raw_png(deep, 16, 6),
      **{f'PNG EXIF {orientation}': turned('PNG', orientation)
         for orientation in range(1, 9)},
  }
  for depth in (1, 2, 4, 8):
    grey = deep[..., 1] % 2**depth
    files[f'PNG grey of {depth} bits'] = raw_png(grey, depth, 0)
    files[f'PNG transparent grey of {depth} bits'] = raw_png(
        grey, depth, 0, chunk(b'tRNS', struct.pack('>H', 1)))
  for depth in (1, 2, 4):
    palette = chunk(b'PLTE', rng.bytes(3 * 2**depth))
    places = deep[..., 1] % 2**depth
    files[f'PNG palette of {depth} bits, made here'] = raw_png(
        places, depth, 3, palette)
    files[f'PNG transparent palette of {depth} bits'] = raw_png(
        places, depth, 3, palette + chunk(b'tRNS', b'\x0f\x50'))
  return files


def interlaced_png() -> bytes:
  """Returns an RGB image that is interlaced in seven passes."""
  pixels = photograph()
  rows = b''
  for left, top, across, down in (
      (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4),
      (1, 0, 2, 2), (0, 1, 1, 2)):
    part = pixels[top::down, left::across]
    rows += np.pad(part.reshape(len(part), -1), [[0, 0], [1, 0]]).tobytes()
  header = struct.pack('>IIBBBBB', WIDTH, HEIGHT, 8, 2, 0, 0, 1)
  return (_PNG + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(rows))
          + chunk(b'IEND', b''))


def all_files() -> Dict[str, bytes]:
  """Returns files that a server decodes, by name."""
  return {**jpegs(), **pngs(), 'PNG interlaced': interlaced_png()}
