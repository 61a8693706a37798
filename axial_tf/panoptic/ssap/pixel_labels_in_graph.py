"""Labels pixels as `pixel_labels` does, in operations of TensorFlow."""

from typing import Sequence

import tensorflow as tf

from axial_tf.panoptic import (
  histogram,
  label_ids,
  merging,
  merging_settings,
  shapes,
)
from axial_tf.panoptic.ssap import edges, pixel_labels
from axial_tf.panoptic.ssap.cascade_settings import CascadeSettings


def panoptic_labels(
    segments: tf.Tensor, category: tf.Tensor, *, stride: int, window: int,
    classes: int, thing_ids: Sequence[int], label_divisor: int,
    void_label: int, settings: CascadeSettings) -> tf.Tensor:
  """Labels the pixels of one image; see `pixel_labels.panoptic_labels`."""
  instance = tf.where(
      label_ids.member_mask(category, thing_ids),
      _enlarged(_filled(segments, window), stride, category), 0)
  instance = _largest(instance, settings)
  slots = settings.max_instances
  found = tf.reduce_max(instance)
  merged = merging.label_pixels(
      category[tf.newaxis], instance[tf.newaxis], tf.zeros([1, slots]),
      found[tf.newaxis], classes, thing_ids, label_divisor, void_label,
      merging_settings.MergingSettings(
          stuff_area_limit=settings.stuff_area_limit))
  return merged['panoptic_map'][0]


def _filled(segments: tf.Tensor, window: int) -> tf.Tensor:
  maps = segments[tf.newaxis, ..., tf.newaxis]
  result = maps
  for offset in pixel_labels.nearest_first(window):
    result = tf.where(
        tf.equal(result, 0), edges.shifted(maps, *offset), result)
  return result[0, ..., 0]


def _enlarged(segments: tf.Tensor, stride: int, category: tf.Tensor
              ) -> tf.Tensor:
  for axis, (n, cells) in enumerate(zip(
      shapes.sizes(category), shapes.sizes(segments))):
    places = (tf.range(n) + stride // 2) // stride
    segments = tf.gather(segments, tf.minimum(places, cells - 1), axis=axis)
  return segments


def _largest(instance: tf.Tensor, settings: CascadeSettings) -> tf.Tensor:
  """Drops small instances and those beyond the limit, and renumbers the rest.
  """
  areas = histogram.histogram(instance, tf.reduce_max(instance) + 1)
  is_counted = (tf.range(tf.size(areas)) > 0) & (
      areas >= max(settings.min_instance_area, 1))
  areas = tf.where(is_counted, areas, 0)
  kept = tf.argsort(
      areas, direction='DESCENDING', stable=True)[:settings.max_instances]
  is_kept = tf.scatter_nd(
      kept[:, tf.newaxis], tf.cast(tf.gather(areas, kept) > 0, tf.int32),
      tf.shape(areas))
  return tf.gather(is_kept * tf.cumsum(is_kept), instance)
