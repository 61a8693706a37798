"""Computes the training targets of DeeperLab from a panoptic label map.

The heads learn disks of one radius around the keypoints of all instances; from
each pixel of an instance the long offsets to its keypoints; and within a disk
the short offset to its keypoint and the middle offsets along the edges from it
to the other keypoints of the instance (DeeperLab, section 3.3). A pixel in
several disks of one kind belongs to the nearest keypoint, and of equally near
ones to that of the lower label (ours).

As in `axial_tf.panoptic.targets`, `compact` is for the CPUs of the input
pipeline and `expand` for the device of the model, where it makes the targets of
the keypoints at the stride of the heads: 41 maps of full size would be
gigabytes.
"""

import dataclasses
import math
from typing import Dict, Sequence

import numpy as np
import tensorflow as tf

from axial_tf import settings as settings_lib
from axial_tf.panoptic import instance_maps, semantic_targets, shapes
from axial_tf.panoptic.deeperlab import instance_table, keypoints, sampling

_STRIDE = 4


@dataclasses.dataclass(frozen=True)
class KeypointTargetSettings(semantic_targets.SemanticTargetSettings):
  """How labels become training targets, those of the classes included.

  Attributes:
    radius: radius of the disks around keypoints, in pixels of the crop, for
      instances of any size (the paper's 25; PersonLab has 32).
    max_instances: number of instances of a crop that have keypoints, the
      largest ones; all others are treated as crowds.
  """
  radius: float = 25.0
  max_instances: int = 512

  def __post_init__(self):
    super().__post_init__()
    settings_lib.require(
        0.0 < self.radius < math.inf, self, 'radius', 'a number above 0')
    settings_lib.require(
        1 <= self.max_instances <= instance_table.MOST_ROWS, self,
        'max_instances', f'a number in 1..{instance_table.MOST_ROWS}')


def keypoint_targets(
    panoptic: tf.Tensor,
    *,
    thing_ids: Sequence[int],
    label_divisor: int,
    ignore_label: int,
    settings: KeypointTargetSettings = KeypointTargetSettings(),
    stride: int = _STRIDE,
) -> Dict[str, tf.Tensor]:
  """Turns one augmented and cropped label map into training targets.

  Args:
    panoptic: int32 `[height, width]`, train_id * label_divisor + instance.
    thing_ids: train ids of the countable classes.
    label_divisor: see `label_ids`.
    ignore_label: train id of void.
    settings: see `KeypointTargetSettings`.
    stride: see `expand`.

  Returns:
    See `expand`, with a batch of 1.
  """
  maps = compact(
      panoptic, thing_ids=thing_ids, label_divisor=label_divisor,
      ignore_label=ignore_label, settings=settings)
  return expand(
      {name: value[tf.newaxis] for name, value in maps.items()},
      label_divisor=label_divisor, ignore_label=ignore_label,
      settings=settings, stride=stride)


def compact(
    panoptic: tf.Tensor,
    *,
    thing_ids: Sequence[int],
    label_divisor: int,
    ignore_label: int,
    settings: KeypointTargetSettings = KeypointTargetSettings(),
    compiled: bool = False,
) -> Dict[str, tf.Tensor]:
  """Returns the label and what else `expand` needs.

  Args:
    panoptic: see `keypoint_targets`, as for all arguments up to `settings`.
    compiled: see `instance_maps.instance_maps`.

  Returns:
    `panoptic` and the results of `instance_table.instance_table`.
  """
  return {'panoptic': panoptic, **instance_table.instance_table(
      panoptic, thing_ids=thing_ids, label_divisor=label_divisor,
      ignore_label=ignore_label, small_area=settings.small_instance_area,
      max_instances=settings.max_instances, compiled=compiled)}


def expand(
    maps: Dict[str, tf.Tensor],
    *,
    label_divisor: int,
    ignore_label: int,
    settings: KeypointTargetSettings = KeypointTargetSettings(),
    stride: int = _STRIDE,
) -> Dict[str, tf.Tensor]:
  """Computes the targets of a batch.

  Args:
    maps: results of `compact`, `[batch, ...]` each.
    label_divisor: see `keypoint_targets`, as for the next two arguments.
    stride: pixels between two of the targets of keypoints.

  Returns:
    `semantic` and `semantic_weight` [batch, height, width], see
    `axial_tf.panoptic.targets.expand`, and float32 maps [batch, h, w, ...] of
    the pixels (stride * i, stride * j); offsets are (y, x) in pixels of the
    crop, and 0 outside of instances or disks:
      keypoint_heatmap: [..., 5], 1 in disks, else 0.
      keypoint_weight: [...], 1 on all but ignored and crowd pixels.
      long_offset: [..., 10], from pixels of instances to their keypoints.
      long_weight: [..., 5], 1 on pixels of instances, else 0.
      short_offset: [..., 10], to the keypoint of the disk.
      short_weight: [..., 5], 1 in disks, but not on ignored and crowd pixels.
      middle_offset: [..., 16], along the edges from the keypoint of the disk.
      middle_weight: [..., 8], as `short_weight`.
  """
  kind, row = instance_table.kind_and_row(maps['instance'])
  return {
      **semantic_targets.semantic_targets(
          maps['panoptic'], kind, label_divisor=label_divisor,
          ignore_label=ignore_label, settings=settings),
      **_of_keypoints(
          kind[:, ::stride, ::stride], row[:, ::stride, ::stride],
          maps['keypoints'], maps['instances'], settings.radius, stride)}


def _of_keypoints(kind, row, points, count, radius: float, stride: int):
  """Computes the targets of the five keypoints; see `expand`."""
  height, width = shapes.sizes(kind)[1:]
  pixel = (stride * sampling.coordinates(height, width))[:, :, tf.newaxis]
  is_counted = tf.cast(kind >= instance_maps.STUFF, tf.float32)
  is_instance = tf.cast(kind >= instance_maps.INSTANCE, tf.float32)
  owner, in_disk = nearest_keypoints(points, count, pixel, radius)
  short_weight = in_disk * is_counted[..., tf.newaxis]

  def offsets(rows, ends, inside):
    # [batch, h, w, ends, 2]
    places = tf.gather(
        tf.reshape(points, [tf.shape(points)[0], -1, 2]),
        rows * keypoints.COUNT + tf.constant(ends), batch_dims=1)
    return keypoints.flat((places - pixel) * inside[..., tf.newaxis])

  long_weight = tf.repeat(
      is_instance[..., tf.newaxis], keypoints.COUNT, axis=-1)
  starts = np.array(keypoints.EDGE_STARTS)
  everyone = tuple(range(keypoints.COUNT))
  return {
      'keypoint_heatmap': in_disk,
      'keypoint_weight': is_counted,
      'long_offset': offsets(row[..., tf.newaxis], everyone, long_weight),
      'long_weight': long_weight,
      'short_offset': offsets(owner, everyone, in_disk),
      'short_weight': short_weight,
      'middle_offset': offsets(
          tf.gather(owner, starts, axis=-1), keypoints.EDGE_ENDS,
          tf.gather(in_disk, starts, axis=-1)),
      'middle_weight': tf.gather(short_weight, starts, axis=-1),
  }


def nearest_keypoints(points: tf.Tensor, count: tf.Tensor, pixel: tf.Tensor,
                      radius: float):
  """Finds the nearest keypoint of each kind.

  The instances are visited one after the other, all images of the batch at
  once: there are few instances, but many pixels.

  Args:
    points: float32 [batch, rows, 5, 2], keypoints.
    count: int32 [batch], number of rows in use.
    pixel: float32 [h, w, 1, 2], coordinates of the pixels.
    radius: radius of the disks.

  Returns:
    [batch, h, w, 5] each: int32 row of the nearest keypoint, and float32 1
    where it lies within the radius, else 0.
  """

  def compare(number, least, nearest):
    place = points[:, number][:, tf.newaxis, tf.newaxis]
    distance = tf.reduce_sum(tf.math.squared_difference(pixel, place), -1)
    is_nearer = (distance < least) & (
        number < count)[:, tf.newaxis, tf.newaxis, tf.newaxis]
    return (number + 1, tf.where(is_nearer, distance, least),
            tf.where(is_nearer, number, nearest))

  batch = shapes.sizes(points)[0]
  shape = [batch, *shapes.sizes(pixel)[:2], keypoints.COUNT]
  most = tf.reduce_max(count)
  _, least, nearest = tf.while_loop(
      lambda number, *_: number < most, compare,
      (0, tf.fill(shape, np.float32(np.inf)), tf.zeros(shape, tf.int32)))
  return nearest, tf.cast(least <= radius**2, tf.float32)
