"""Encodes images with COCO panoptic labels, checking each one.

A label is a PNG whose pixels hold segment ids, R + 256 G + 65536 B; the JSON
says what each segment is.
"""

import io
from typing import Dict, Tuple

import numpy as np
from PIL import Image

from axial_tf import errors
from axial_tf.data import dataset_spec, records
from data_prep import coco_annotations

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
  segment_ids = _read_label(image)
  panoptic = panoptic_label(
      segment_ids, image.segments, spec, source=image.label_path)
  return records.encode_panoptic_example(
      image_bytes, image_format, image.filename, image.height, image.width,
      panoptic)


def panoptic_label(
    segment_ids: np.ndarray, segments, spec: dataset_spec.DatasetSpec,
    source: str) -> np.ndarray:
  """Turns a map of COCO segment ids into a panoptic label.

  Things are numbered from 1 per class in the order of `segments`; all crowds
  of a class become its instance 0; id 0 (no segment) becomes void.

  Args:
    segment_ids: int32 [height, width].
    segments: the `segments_info` of the image.
    spec: gives train ids, divisor and void.
    source: file name for errors.

  Returns:
    int32 [height, width].

  Raises:
    errors.UserError: ids, areas or categories do not agree, or a class has
      too many instances.
  """
  flat = segment_ids.ravel()
  # Labels are runs of equal values: unique over runs, not over pixels.
  starts = np.flatnonzero(np.r_[True, flat[1:] != flat[:-1]])
  lengths = np.diff(np.r_[starts, flat.size])
  ids, inverse = np.unique(flat[starts], return_inverse=True)
  areas = dict(zip(ids.tolist(), np.bincount(inverse, lengths).astype(int)))
  labels = _segment_labels(segments, areas, spec, source)
  unknown = sorted(set(areas) - set(labels) - {0})
  if unknown:
    raise errors.UserError(
        f'{source}: its pixels have the segment id {unknown[0]}, which is not '
        f'among the segments_info of the JSON; add it there, or set the pixels '
        f'to 0 (void)')
  labels[0] = spec.void_label
  values = np.array([labels[i] for i in ids.tolist()], np.int32)
  return np.repeat(values[inverse], lengths).reshape(segment_ids.shape)


def _segment_labels(segments, areas, spec, source) -> Dict[int, int]:
  """Returns the panoptic label value of every segment id."""
  labels, instances = {}, {}
  for segment in segments:
    for key in ('id', 'category_id'):
      if not isinstance(segment, dict) or not _is_int(segment.get(key)):
        raise errors.UserError(
            f'{source}: expected an integer {key!r} in each of its '
            f'segments_info, got {segment!r:.80}')
    segment_id, category_id = segment['id'], segment['category_id']
    category = spec.by_source_id.get(category_id)
    if category is None:
      raise errors.UserError(
          f'{source}: segment {segment_id} has the category_id {category_id}, '
          f'which is not in the spec {spec.name!r}; add it to the spec or '
          f'correct the JSON')
    if segment_id in labels or segment_id == 0:
      raise errors.UserError(
          f'{source}: the segment id {segment_id} is '
          f'{"listed twice" if segment_id else "reserved for void"}; each '
          f'segment needs an id of its own')
    if segment_id not in areas:
      raise errors.UserError(
          f'{source}: no pixel has the id of segment {segment_id} '
          f'({category.name}), which the JSON lists; remove it there or check '
          f'that the PNG belongs to this JSON')
    if 'area' in segment and segment['area'] != areas[segment_id]:
      raise errors.UserError(
          f'{source}: segment {segment_id} ({category.name}) has '
          f'{areas[segment_id]} pixels, but the JSON gives the area '
          f'{segment["area"]}; check that PNG and JSON belong together')
    crowd = bool(segment.get('iscrowd', 0))
    if crowd and not category.is_thing:
      raise errors.UserError(
          f'{source}: segment {segment_id} of the stuff class '
          f'{category.name!r} is marked iscrowd; only things can be crowds, '
          f'set iscrowd to 0')
    instance = 0
    if category.is_thing and not crowd:
      instance = instances.get(category_id, 0) + 1
      instances[category_id] = instance
      if instance >= spec.label_divisor:
        raise errors.UserError(
            f'{source}: more than {spec.label_divisor - 1} instances of '
            f'{category.name!r}; raise label_divisor of the spec '
            f'{spec.name!r}')
    labels[segment_id] = category.train_id * spec.label_divisor + instance
  return labels


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
  if decoded.mode != 'RGB':
    raise errors.UserError(
        f'{image.label_path}: expected an RGB PNG (id = R + 256 G + 65536 B), '
        f'got mode {decoded.mode}; write the ids as RGB')
  rgb = np.asarray(decoded).astype(np.int32)
  return rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2]


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


def _is_int(value) -> bool:
  return isinstance(value, int) and not isinstance(value, bool)
