"""Lists the instances of a label and their keypoints.

A map of their numbers and a small table are all that the device needs to
compute the targets of every pixel.
"""

from typing import Dict, Sequence

import numpy as np
import tensorflow as tf

from axial_tf.panoptic import instance_centers, instance_maps
from axial_tf.panoptic.deeperlab import keypoints

# An entry of the map is kind * this + row of the table.
MOST_ROWS = 2**16


def instance_table(
    panoptic: tf.Tensor,
    *,
    thing_ids: Sequence[int],
    label_divisor: int,
    ignore_label: int,
    small_area: int,
    max_instances: int,
    compiled: bool = False,
) -> Dict[str, tf.Tensor]:
  """Finds the instances of a label map.

  Corners are the outermost pixels of what is visible, the center is the mean of
  its pixels, between pixels where it falls.

  Args:
    panoptic: int32 `[height, width]`, train_id * label_divisor + instance.
    thing_ids: train ids of the countable classes.
    label_divisor: see `label_ids`.
    ignore_label: train id of void.
    small_area: instances with fewer pixels are small.
    max_instances: rows of the table. Of more instances the largest are listed,
      and the others become crowds.
    compiled: see `instance_maps.instance_maps`.

  Returns:
    instance: int32 `[height, width]`, see `kind_and_row`.
    keypoints: float32 `[max_instances, 5, 2]`, (y, x) in pixels, in the order
      of the labels; zeros in rows that are not in use.
    instances: int32 [], number of rows in use.
  """
  kinds = instance_maps.LabelKinds(thing_ids, label_divisor)
  slots = len(kinds.of_slot)

  slot, ends_here = kinds.find_runs(panoptic, ignore_label, compiled)
  runs = instance_centers.list_runs(slot, ends_here)
  area, mean = instance_centers.areas_and_means(runs, slots)
  is_instance = (kinds.of_slot == instance_maps.INSTANCE) & (area > 0)
  kept = _largest(area, is_instance, max_instances)
  rows = tf.size(kept)
  row_of_slot = tf.scatter_nd(
      kept[:, tf.newaxis], tf.range(rows) + 1, [slots]) - 1
  kind = tf.where(
      is_instance, tf.where(
          row_of_slot < 0, instance_maps.CROWD, tf.where(
              area < small_area, instance_maps.SMALL_INSTANCE,
              instance_maps.INSTANCE)), kinds.of_slot)
  packed = kind * MOST_ROWS + tf.maximum(row_of_slot, 0)
  points = tf.gather(
      _keypoints(instance_centers.boxes(runs, slots), mean), kept)
  points = tf.pad(points, [[0, max_instances - rows], [0, 0], [0, 0]])
  return {
      'instance': instance_maps.compiled_if(compiled)(tf.gather)(packed, slot),
      'keypoints': tf.ensure_shape(
          points, [max_instances, keypoints.COUNT, 2]),
      'instances': rows,
  }


def kind_and_row(instance: tf.Tensor):
  """Unpacks the map `instance` of `instance_table`.

  Returns:
    int32 of its shape: the kinds of `instance_maps`, and the rows of the table,
    0 outside instances.
  """
  return instance // MOST_ROWS, instance % MOST_ROWS


def _largest(area: tf.Tensor, is_instance: tf.Tensor, most: int) -> tf.Tensor:
  """Slots of at most so many instances, int32 [n], ascending."""
  values, slot = tf.math.top_k(
      tf.where(is_instance, area, 0), min(most, area.shape[0]))
  return tf.sort(tf.boolean_mask(slot, values > 0))


def _keypoints(boxes: tf.Tensor, mean: tf.Tensor) -> tf.Tensor:
  """Corners of boxes [n, 4] and centers [n, 2], float32 [n, 5, 2]."""
  corners = tf.gather(
      tf.cast(boxes, tf.float32), np.array([[0, 1], [0, 3], [2, 1], [2, 3]]),
      axis=1)
  return tf.concat(
      [corners, tf.cast(mean, tf.float32)[:, tf.newaxis]], 1)
