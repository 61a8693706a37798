"""Encodes images with COCO panoptic labels, checking each one.

A label is a PNG whose pixels hold segment ids, R + 256 G + 65536 B; the JSON
says what each segment is.
"""

import io
from typing import Tuple

import numpy as np
from PIL import Image

from axial_tf import errors
from axial_tf.data import dataset_spec, records
from data_prep import coco_annotations, panoptic_labels

# The names under which TensorFlow can decode the bytes as they are.
_STORED_FORMATS = {'JPEG': 'jpeg', 'MPO': 'jpeg', 'PNG': 'png'}
_PNG_END = b'IEND\xaeB`\x82'
_UNREADABLE = (
    OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def encode(image: coco_annotations.PanopticImage,
           spec: dataset_spec.DatasetSpec) -> bytes:
  """Returns the serialized record of one image: a pure function of files.

  Raises:
    errors.UserError: a file is damaged, or image, PNG, JSON and spec do not
      agree.
  """
  image_bytes, image_format = _read_image(image)
  panoptic = panoptic_labels.panoptic_label(
      _read_label(image), image.segments, spec, source=image.label_path)
  return records.encode_panoptic_example(
      image_bytes, image_format, image.filename, image.height, image.width,
      panoptic)


def _read_image(image: coco_annotations.PanopticImage) -> Tuple[bytes, str]:
  """Returns image bytes that TensorFlow can decode, and their format."""
  content, decoded = _open(image.image_path)
  _check_size(decoded, image, image.image_path)
  image_format = _STORED_FORMATS.get(decoded.format)
  if image_format is None:
    buffer = io.BytesIO()
    decoded.convert('RGB').save(buffer, format='PNG')
    content, image_format = buffer.getvalue(), 'png'
  return content, image_format


def _read_label(image: coco_annotations.PanopticImage) -> np.ndarray:
  """Returns the segment ids int32 [height, width] of a label PNG."""
  _, decoded = _open(image.label_path)
  _check_size(decoded, image, image.label_path)
  return panoptic_labels.segment_ids(decoded, image.label_path)


def _open(path: str) -> Tuple[bytes, Image.Image]:
  """Returns the bytes of a picture and the picture, decoded to its end."""
  try:
    with open(path, 'rb') as file:
      content = file.read()
    decoded = Image.open(io.BytesIO(content))
    if decoded.format == 'PNG':
      # Loading alone forgives wrong checksums and a missing end; TensorFlow,
      # which reads the same bytes in training, does not.
      decoded.verify()
      if _PNG_END not in content:
        raise OSError('its end is missing')
      decoded = Image.open(io.BytesIO(content))
    decoded.load()
  except FileNotFoundError as error:
    raise errors.UserError(
        f'{path}: no such file, but the JSON lists it; copy the data '
        f'again') from error
  except _UNREADABLE as error:
    raise errors.UserError(
        f'{path}: damaged or no picture ({error}); copy the data '
        f'again') from error
  return content, decoded


def _check_size(decoded: Image.Image, image: coco_annotations.PanopticImage,
                path: str) -> None:
  if decoded.size != (image.width, image.height):
    raise errors.UserError(
        f'{path}: expected {image.width}x{image.height} pixels (width x '
        f'height) as the JSON says, got {decoded.width}x{decoded.height}; '
        f'check that image, PNG and JSON belong together')
