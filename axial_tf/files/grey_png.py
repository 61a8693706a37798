"""Maps of small numbers as grey PNG files."""

import io

import numpy as np
from PIL import Image


def encode(values: np.ndarray) -> bytes:
  """Returns uint8 or uint16 [height, width] as a PNG file."""
  buffer = io.BytesIO()
  Image.fromarray(values).save(buffer, format='PNG')
  return buffer.getvalue()
