"""Turns segments of a small map into the panoptic map of an image.

A pixel of a thing takes the nearest segment of the small map; an instance takes
the class that most of its pixels have; stuff keeps its class unless its area is
too small, as in the merging of Panoptic-DeepLab. TensorFlow is not needed.
"""

from typing import Sequence, Tuple

import numpy as np

from axial_tf.panoptic.ssap import windows
from axial_tf.panoptic.ssap.cascade_settings import CascadeSettings


def panoptic_labels(
    segments: np.ndarray, category: np.ndarray, *, stride: int, window: int,
    classes: int, thing_ids: Sequence[int], label_divisor: int,
    void_label: int, settings: CascadeSettings) -> np.ndarray:
  """Labels the pixels of an image.

  Args:
    segments: int32 [h, w], the last result of `cascade.partition`.
    category: int32 [height, width], the most probable classes.
    stride: pixels of the image between two of `segments`.
    window: side of the window; cells of things without a segment take the
      nearest one in it.
    classes: number of semantic classes.
    thing_ids: train ids of the countable classes.
    label_divisor: see `label_ids`; an instance whose number within its class
      would reach it becomes void.
    void_label: the panoptic label of pixels without a result.
    settings: see `CascadeSettings`.

  Returns:
    int32 [height, width]; the instances of a class count from 1.
  """
  is_thing = np.isin(np.arange(classes), thing_ids)
  instance = np.where(
      is_thing[category], enlarged(filled(segments, window), stride,
                                   category.shape), 0)
  instance, count = _largest(instance, settings)
  votes = np.bincount(
      (instance * classes + category).reshape(-1),
      minlength=(count + 1) * classes).reshape(count + 1, classes)
  classes_of = votes[1:].argmax(-1)
  numbers = _numbers_within_class(classes_of)
  labels = np.empty([count + 1, classes], np.int32)
  labels[0] = np.where(
      ~is_thing & (votes[0] >= settings.stuff_area_limit),
      np.arange(classes) * label_divisor, void_label)
  labels[1:] = np.where(
      numbers < label_divisor, classes_of * label_divisor + numbers,
      void_label)[:, np.newaxis]
  return labels[instance, category]


def filled(segments: np.ndarray, window: int) -> np.ndarray:
  """Gives cells without a segment the nearest one in their window."""
  reach = window // 2
  padded = np.pad(segments, reach)
  height, width = segments.shape
  result = segments
  for dy, dx in nearest_first(window):
    other = padded[reach + dy:reach + dy + height,
                   reach + dx:reach + dx + width]
    result = np.where(result == 0, other, result)
  return result


def nearest_first(window: int) -> Tuple[Tuple[int, int], ...]:
  """Returns the offsets (dy, dx) of a window by their distance."""
  return tuple(sorted(
      windows.offsets(window), key=lambda offset: sum(n * n for n in offset)))


def enlarged(segments: np.ndarray, stride: int, size: Tuple[int, int]
             ) -> np.ndarray:
  """Takes the nearest cell for each pixel of a map of `size`."""
  rows, columns = (
      np.minimum((np.arange(n) + stride // 2) // stride, cells - 1)
      for n, cells in zip(size, segments.shape))
  return segments[rows[:, np.newaxis], columns]


def _largest(instance: np.ndarray, settings: CascadeSettings):
  """Drops small instances and those beyond the limit, and renumbers the rest.

  Returns:
    int64 [height, width] from 1 on, 0 for none, and the number of instances.
  """
  areas = np.bincount(instance.reshape(-1))
  areas[0] = 0
  areas[areas < max(settings.min_instance_area, 1)] = 0
  # The first ones of equal area remain.
  kept = np.argsort(-areas, kind='stable')[:settings.max_instances]
  is_kept = np.zeros(areas.size, bool)
  is_kept[kept] = areas[kept] > 0
  return np.where(is_kept, np.cumsum(is_kept), 0)[instance], int(is_kept.sum())


def _numbers_within_class(category: np.ndarray) -> np.ndarray:
  """Counts instances [n] of each class from 1, in order."""
  numbers = np.zeros(category.size, np.int64)
  for found in np.unique(category):
    is_same = category == found
    numbers[is_same] = np.arange(1, is_same.sum() + 1)
  return numbers
