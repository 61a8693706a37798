"""Draws the masks of COCO instances into one map, by a rule for overlaps.

Crowds are drawn first. Of the others, a smaller instance is drawn above a
larger one or, on request, a later one above an earlier one, or one with a
larger number above one with a smaller number. What is equal in this is drawn
in the order of the JSON.

All masks are those of pycocotools: polygons are clipped to the image, and
those that cross themselves have its interior.
"""

import math
from typing import (
  Any,
  Dict,
  FrozenSet,
  List,
  Mapping,
  NamedTuple,
  Sequence,
  Tuple,
)

import numpy as np
from pycocotools import mask as mask_lib

from axial_tf import errors
from axial_tf.files import json_files
from axial_tf.panoptic import label_runs

# pycocotools walks along each edge, so that one of 1e9 pixels takes forever.
_FARTHEST = 2**17
# Overlap rules that are not the name of a number.
AREA, ORDER = 'area', 'order'


class Drawing(NamedTuple):
  """Instances of an image, drawn above one another.

  Attributes:
    id_map: int32 [height, width], 1 + the place of the annotation whose
      instance is on top; 0 where there is none.
    hidden: places of the annotations that have no pixel in it.
  """

  id_map: np.ndarray
  hidden: FrozenSet[int]


def number_above(annotation: Mapping[str, Any], overlap: str, where: str):
  """Returns the number by which an annotation is drawn, if it has one.

  Args:
    annotation: entry of the JSON.
    overlap: 'area' or 'order', for which there is none, or the name of a
      number of the annotation or of its attributes.
    where: file and annotation for errors.

  Raises:
    errors.UserError: it has no such number.
  """
  if overlap in (AREA, ORDER):
    return None
  attributes = annotation.get('attributes')
  places = [annotation, attributes if isinstance(attributes, dict) else {}]
  value = next((p[overlap] for p in places if overlap in p), None)
  value = json_files.number(value)
  if (not isinstance(value, (int, float)) or isinstance(value, bool)
      or not math.isfinite(value)):
    raise errors.UserError(
        f'{where}: expected a number {overlap!r}, as --overlap={overlap} says, '
        f'got {"nothing" if value is None else repr(value)[:40]}; add it, or '
        f'use --overlap=area or --overlap=order')
  return value


def draw(annotations: Sequence[Mapping[str, Any]], size: Tuple[int, int],
         overlap: str, where: str) -> Drawing:
  """Draws the instances of an image.

  Args:
    annotations: dicts with 'id', 'segmentation', 'iscrowd' and, for a rule
      other than 'area' and 'order', 'above': the result of `number_above`.
    size: height and width of the image.
    overlap: the rule.
    where: file and image for errors.

  Raises:
    errors.UserError: a mask is damaged, of another size or outside the image.
  """
  masks = [
      _run_lengths(a['segmentation'], size, f'{where}: annotation {a["id"]}')
      for a in annotations]
  id_map = np.zeros(size, np.int32, order='F')  # As pycocotools' masks.
  for place in _from_below(annotations, masks, overlap):
    id_map[mask_lib.decode(masks[place]).astype(bool)] = place + 1
  id_map = np.ascontiguousarray(id_map)
  visible = {label - 1 for label in label_runs.areas(id_map)}
  return Drawing(id_map, frozenset(range(len(annotations))) - visible)


def _from_below(annotations, masks, overlap: str) -> List[int]:
  """Returns the places of annotations in the order in which to draw them."""
  if overlap == AREA:
    ranks = [-int(mask_lib.area(mask)) for mask in masks]
  elif overlap == ORDER:
    ranks = [0] * len(masks)
  else:
    ranks = [a['above'] for a in annotations]
  return sorted(range(len(masks)), key=lambda place: (
      not annotations[place]['iscrowd'], ranks[place], place))


def _run_lengths(segmentation: Any, size: Tuple[int, int], where: str
                 ) -> Dict[str, Any]:
  """Returns a mask as run lengths in the form of pycocotools."""
  if isinstance(segmentation, dict):
    return _from_counts(segmentation, size, where)
  if not isinstance(segmentation, list) or not segmentation:
    raise errors.UserError(
        f'{where}: expected polygons or run lengths under "segmentation", got '
        f'{segmentation!r:.40}; a box alone is not enough, draw its mask')
  for polygon in segmentation:
    _check_polygon(polygon, where)
  height, width = size
  if all(_is_outside(polygon, size) for polygon in segmentation):
    raise errors.UserError(
        f'{where}: all its polygons are outside the image of {width}x{height} '
        f'pixels (width x height); remove it, or check that image and JSON '
        f'belong together')
  return mask_lib.merge(mask_lib.frPyObjects(segmentation, height, width))


def _check_polygon(polygon: Any, where: str) -> None:
  if not isinstance(polygon, list) or len(polygon) % 2:
    raise errors.UserError(
        f'{where}: expected polygons as lists [x, y, x, y, ...], got '
        f'{polygon!r:.60}; correct it')
  if len(polygon) < 6:
    raise errors.UserError(
        f'{where}: expected polygons of at least 3 points, got '
        f'{len(polygon) // 2}; remove it or draw it again')
  for value in polygon:
    if (not isinstance(value, (int, float)) or isinstance(value, bool)
        or not abs(value) <= _FARTHEST):
      raise errors.UserError(
          f'{where}: expected coordinates in -{_FARTHEST}..{_FARTHEST} pixels, '
          f'got {value!r:.40}; correct it')


def _is_outside(polygon: List[float], size: Tuple[int, int]) -> bool:
  x, y = polygon[::2], polygon[1::2]
  return (max(x) <= 0 or max(y) <= 0 or min(x) >= size[1]
          or min(y) >= size[0])


def _from_counts(segmentation: Mapping[str, Any], size: Tuple[int, int],
                 where: str) -> Dict[str, Any]:
  """Checks run lengths: pycocotools believes any."""
  stated = segmentation.get('size')
  if not isinstance(stated, list) or [
      json_files.number(side) for side in stated] != list(size):
    raise errors.UserError(
        f'{where}: expected run lengths of the size {list(size)} (height, '
        f'width) of the image, got {stated!r:.40}; check that mask and image '
        f'belong together')
  counts = segmentation.get('counts')
  if isinstance(counts, str):
    counts = _decompressed(counts, where)
  if not isinstance(counts, list) or not all(
      isinstance(c, int) and not isinstance(c, bool) and c >= 0
      for c in counts) or sum(counts) != size[0] * size[1]:
    raise errors.UserError(
        f'{where}: expected run lengths of {size[0] * size[1]} pixels in all, '
        f'got {_total(counts)}; export the mask again')
  return mask_lib.frPyObjects(
      {'size': list(size), 'counts': counts}, *size)


def _total(counts: Any) -> str:
  try:
    return str(sum(counts))
  except TypeError:
    return f'{counts!r:.40}'


def _decompressed(text: str, where: str) -> List[int]:
  """Returns run lengths from COCO's text form.

  Each character holds five bits, the lowest first, and a bit that says whether
  more follow. From the fourth on, a number is the difference to the last but
  one.
  """
  result: List[int] = []
  value = shift = 0
  for character in text:
    code = ord(character) - 48
    if not 0 <= code < 64 or shift > 60:
      raise errors.UserError(
          f'{where}: expected run lengths in the text form of COCO, got '
          f'{text!r:.40}; export the mask again')
    value |= (code & 31) << shift
    shift += 5
    if code & 32:
      continue
    if code & 16:
      value -= 1 << shift
    result.append(value + (result[-2] if len(result) > 2 else 0))
    value = shift = 0
  return result
