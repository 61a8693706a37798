"""Turns the instance ids of Cityscapes into panoptic labels.

A pixel has the id of its class (0..33), or 1000 times that plus a number for
one instance of a thing. A thing's pixels without number are a group of
unseparated instances: a crowd. Classes that are not evaluated become void. The
panoptic PNGs of the official scripts encode the same ids as colors.
"""

from typing import Any, Dict, Sequence

import numpy as np

from axial_tf import errors
from axial_tf.specs import dataset_spec
from data_prep.readers import panoptic_labels

_NUM_CLASSES = 34  # 'unlabeled' .. 'bicycle'; most are not evaluated
_INSTANCES = 1000


def class_ids(instance_ids: np.ndarray) -> np.ndarray:
  """Returns the class id of each pixel."""
  classes = instance_ids.copy()
  is_instance = classes >= _INSTANCES
  classes[is_instance] //= _INSTANCES
  return classes


def from_instance_ids(
    instance_ids: np.ndarray, spec: dataset_spec.DatasetSpec, source: str,
    crowds: str) -> np.ndarray:
  """Turns the pixels of an *_instanceIds.png into a panoptic label.

  Args:
    instance_ids: int32 [height, width].
    spec: spec of Cityscapes.
    source: file name for errors.
    crowds: 'keep', or 'ignore' to make them void.

  Returns:
    int32 [height, width].

  Raises:
    errors.UserError: there are invalid values, or too many instances.
  """
  segments, void = [], []
  for value in sorted(panoptic_labels.ids_in_order(instance_ids)):
    segment = _segment(value, spec, source)
    if segment is None:
      void.append(value)
    else:
      segments.append(segment)
  if void:
    instance_ids = np.where(np.isin(instance_ids, void), 0, instance_ids)
  return panoptic_labels.panoptic_label(
      instance_ids, segments, spec, source, crowds)


def from_panoptic(
    id_map: np.ndarray, segments: Sequence[Any], has_train_ids: bool,
    spec: dataset_spec.DatasetSpec, source: str, crowds: str) -> np.ndarray:
  """Turns an official panoptic PNG with its JSON into the same label.

  Args:
    id_map: int32 [height, width], as from `label_png.from_image`.
    segments: the `segments_info` of the image.
    has_train_ids: whether their category_id is the train id (a JSON made with
      --use-train-id) or the id of the class.
    spec: spec of Cityscapes.
    source: file name for errors.
    crowds: 'keep', or 'ignore' to make them void.

  Returns:
    int32 [height, width].

  Raises:
    errors.UserError: ids, areas, categories and crowds of PNG and JSON do not
      agree.
  """
  checked = [_checked(s, has_train_ids, spec, source) for s in segments]
  checked.sort(key=lambda segment: segment['id'])
  return panoptic_labels.panoptic_label(
      id_map, checked, spec, source, crowds)


def _segment(value: int, spec: dataset_spec.DatasetSpec, source: str):
  """Returns the segment that an id encodes, None for void."""
  class_id = value if value < _INSTANCES else value // _INSTANCES
  if not 0 <= class_id < _NUM_CLASSES:
    raise errors.UserError(
        f'{source}: has the id {value}, whose class would be {class_id}; '
        f'Cityscapes has the classes 0..{_NUM_CLASSES - 1}; copy the data '
        f'again')
  category = spec.by_source_id.get(class_id)
  if category is None:
    return None
  return {'id': value, 'category_id': class_id,
          'iscrowd': int(category.is_thing and value < _INSTANCES)}


def _checked(listed: Any, has_train_ids: bool, spec: dataset_spec.DatasetSpec,
             source: str) -> Dict[str, Any]:
  """Compares a segment of the JSON with the one that its id encodes."""
  listed = panoptic_labels.with_numbers(listed, source)
  segment = _segment(listed['id'], spec, source)
  if segment is None:
    raise errors.UserError(
        f'{source}: segment {listed["id"]} is of a class that is not '
        f'evaluated, but the JSON lists it; write the JSON again with '
        f'csCreatePanopticImgs')
  class_id = segment['category_id']
  category_id = (spec.by_source_id[class_id].train_id if has_train_ids
                 else class_id)
  name = spec.by_source_id[class_id].name
  if listed['category_id'] != category_id:
    raise errors.UserError(
        f'{source}: segment {listed["id"]} has category_id '
        f'{listed["category_id"]}, but its id says {category_id} ({name}); a '
        f'JSON with train ids is named *_trainId.json, one without is not')
  if listed.get('iscrowd', segment['iscrowd']) != segment['iscrowd']:
    raise errors.UserError(
        f'{source}: segment {listed["id"]} ({name}) has iscrowd '
        f'{listed["iscrowd"]!r:.40}, but its id says {segment["iscrowd"]}; '
        f'write the JSON again with csCreatePanopticImgs')
  if 'area' in listed:
    segment['area'] = listed['area']
  return segment
