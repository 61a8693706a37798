"""Turns maps of segment ids into panoptic labels, checking each segment.

The pixels of a label image are segment ids, R + 256 G + 65536 B; a list of
`segments_info` describes each segment. COCO, Cityscapes and Mapillary Vistas
publish their panoptic annotations in this form.
"""

from typing import Any, Dict, List, Mapping, Sequence

import numpy as np

from axial_tf import errors
from axial_tf.files import json_files
from axial_tf.panoptic import label_runs
from axial_tf.specs import dataset_spec

_NUMBERS = ('id', 'category_id', 'area', 'iscrowd')


def ids_in_order(id_map: np.ndarray) -> List[int]:
  """Returns the distinct ids of a map, in the order of their first pixels."""
  flat = id_map.ravel()
  ids, first = np.unique(flat[label_runs.find(flat)[0]], return_index=True)
  return ids[np.argsort(first)].tolist()


def with_numbers(segment: Any, source: str) -> Dict[str, Any]:
  """Returns an entry of segments_info whose numbers are integers.

  Raises:
    errors.UserError: it has no id or category; `source` names its image.
  """
  numbers = {key: json_files.number(segment[key]) for key in _NUMBERS
             if isinstance(segment, dict) and key in segment}
  for key in ('id', 'category_id'):
    if not _is_int(numbers.get(key)):
      raise errors.UserError(
          f'{source}: expected an integer {key!r} in each of its '
          f'segments_info, got {segment!r:.80}')
  return {**segment, **numbers}


def panoptic_label(
    id_map: np.ndarray, segments: Sequence[Any],
    spec: dataset_spec.DatasetSpec, source: str,
    crowds: str = 'keep') -> np.ndarray:
  """Turns a map of segment ids into a panoptic label.

  Things are numbered from 1 per class in the order of `segments`; all crowds
  of a class become its instance 0, or void; id 0 (no segment) becomes void.

  Args:
    id_map: int32 [height, width], as from `label_png.from_image`.
    segments: the `segments_info` of the image, as parsed from JSON.
    spec: spec with train ids, divisor and void.
    source: file name for errors.
    crowds: 'keep', or 'ignore' to make them void.

  Returns:
    int32 [height, width].

  Raises:
    errors.UserError: ids, areas or categories do not agree, or a class has
      too many instances.
  """
  starts, lengths = label_runs.find(id_map)
  ids, inverse = np.unique(id_map.ravel()[starts], return_inverse=True)
  areas = dict(zip(  # Plain integers, to compare with numbers of a JSON.
      ids.tolist(), np.bincount(inverse, lengths).astype(int).tolist()))
  labels = _segment_labels(segments, areas, spec, source, crowds)
  unknown = sorted(set(areas) - set(labels) - {0})
  if unknown:
    raise errors.UserError(
        f'{source}: its pixels have the segment id {unknown[0]}, which is not '
        f'among the segments_info of the JSON; add it there, or set the pixels '
        f'to 0 (void)')
  labels[0] = spec.void_label
  values = np.array([labels[i] for i in ids.tolist()], np.int32)
  return np.repeat(values[inverse], lengths).reshape(id_map.shape)


def _segment_labels(
    segments: Sequence[Any], areas: Mapping[int, int],
    spec: dataset_spec.DatasetSpec, source: str, crowds: str
) -> Dict[int, int]:
  """Returns the panoptic label value of every segment id."""
  labels, instances = {}, {}
  for listed in segments:
    segment = with_numbers(listed, source)
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
          f'segment needs a unique id')
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
    crowd = segment.get('iscrowd', 0)
    if crowd not in (0, 1):
      raise errors.UserError(
          f'{source}: segment {segment_id} has iscrowd {crowd!r:.40}; expected '
          f'0 or 1')
    if crowd and not category.is_thing:
      raise errors.UserError(
          f'{source}: segment {segment_id} of the stuff class '
          f'{category.name!r} is marked iscrowd; only things can be crowds, '
          f'set iscrowd to 0')
    if crowd and crowds == 'ignore':
      labels[segment_id] = spec.void_label
      continue
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


def _is_int(value) -> bool:
  return isinstance(value, int) and not isinstance(value, bool)
