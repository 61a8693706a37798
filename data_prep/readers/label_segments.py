"""Joins instances and classes of an image into its panoptic label."""

from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from axial_tf import errors
from axial_tf.panoptic import label_runs
from axial_tf.specs import dataset_spec
from data_prep.readers import panoptic_labels, semantic_masks

Segments = List[Dict[str, Any]]


def panoptic_label(
    id_map: np.ndarray, segments: Segments, classes: Optional[np.ndarray],
    background: Optional[int], spec: dataset_spec.DatasetSpec, source: str,
    crowds: str) -> np.ndarray:
  """Fills what is between the instances, and returns the panoptic label.

  Pixels of a thing class without instance are a crowd.

  Args:
    id_map: int32 [height, width], segment ids > 0; 0 without instance.
    segments: 'id', 'category_id' and 'iscrowd' of the instances in it.
    classes: int32 [height, width], train ids or `semantic_masks.VOID`; None
      without them.
    background: train id of all other pixels; None for void.
    spec: spec of the data set.
    source: file name for errors.
    crowds: 'keep', or 'ignore' to make them void.

  Returns:
    int32 [height, width].

  Raises:
    errors.UserError: a class has too many instances, or stuff is a crowd.
  """
  rest = np.full(id_map.shape, semantic_masks.VOID, np.int32)
  if classes is not None:
    rest = classes
  if background is not None:
    rest = np.where(rest == semantic_masks.VOID, background, rest)
  rest = np.where(id_map == 0, rest, semantic_masks.VOID)
  first = max([0, *(segment['id'] for segment in segments)]) + 1
  found = sorted(set(label_runs.areas(rest)) - {semantic_masks.VOID})
  id_map = np.where(rest == semantic_masks.VOID, id_map,
                    first + np.searchsorted(found, rest))
  categories = [spec.category(train_id) for train_id in found]
  return panoptic_labels.panoptic_label(
      id_map.astype(np.int32),
      [*segments, *(
          {'id': segment_id, 'category_id': category.id,
           'iscrowd': int(category.is_thing)}
          for segment_id, category in enumerate(categories, first))],
      spec, source, crowds)


def from_instance_ids(
    classes: np.ndarray, instances: np.ndarray,
    spec: dataset_spec.DatasetSpec) -> Tuple[np.ndarray, Segments]:
  """Returns segment ids and segments: one for each thing class and instance.

  Args:
    classes: int32 [height, width], train ids or `semantic_masks.VOID`.
    instances: int32 [height, width], 0 for none; one id may occur in several
      classes, each of which then has an instance of its own.
    spec: spec of the data set.
  """
  is_instance = np.isin(classes, list(spec.thing_ids)) & (instances != 0)
  pairs = np.where(
      is_instance,
      (classes.astype(np.int64) << 32) + instances.astype(np.int64), 0)
  segments = [
      {'id': number, 'category_id': spec.category(pair >> 32).id,
       'iscrowd': 0, 'pair': pair}
      for number, pair in enumerate(
          (p for p in panoptic_labels.ids_in_order(pairs) if p), 1)]
  ordered = sorted(segments, key=lambda segment: segment['pair'])
  keys = np.array([0, *(s['pair'] for s in ordered)], np.int64)
  ids = np.array([0, *(s['id'] for s in ordered)], np.int32)
  return ids[np.searchsorted(keys, pairs)], segments


def components(classes: np.ndarray, spec: dataset_spec.DatasetSpec
               ) -> np.ndarray:
  """Returns a number > 0 for each connected component of each thing class.

  Pixels that touch at a corner are connected.

  Args:
    classes: int32 [height, width], train ids or `semantic_masks.VOID`.
    spec: spec of the data set.

  Raises:
    errors.UserError: SciPy cannot be imported.
  """
  try:
    from scipy import ndimage
  except ImportError as error:
    raise errors.UserError(
        f'--instances=components needs SciPy, which cannot be imported '
        f'({errors.first_line(error)}); run pip install scipy') from error
  result = np.zeros(classes.shape, np.int32)
  for train_id in spec.thing_ids:
    numbers, _ = ndimage.label(classes == train_id, np.ones([3, 3]))
    result = np.maximum(result, numbers)
  return result
