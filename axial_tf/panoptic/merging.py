"""Merges semantic map, center heatmap and offsets into a panoptic map.

The peaks of the heatmap are the instances; each pixel of a thing goes to the
center nearest to where its offset points; each instance takes the majority
class of its pixels; stuff keeps its class unless its area is too small
(Panoptic-DeepLab, section 3). Two published implementations differ in three
details, which `MergingSettings` offers as choices, beside rules of our own,
which are off unless asked for.
"""

from typing import Dict, Sequence, Tuple

import numpy as np
import tensorflow as tf

from axial_tf import errors
from axial_tf.panoptic import (
  histogram,
  instance_checks,
  label_ids,
  shapes,
  suppression,
)
from axial_tf.panoptic.merging_settings import MergingSettings

# Side of the tiles in which pixels are assigned: their maps fit the cache, and
# their pixels point to few centers.
_TILE = 128
_DEFAULTS = MergingSettings()


def merge(
    semantic_probabilities: tf.Tensor,
    center_heatmap: tf.Tensor,
    offset: tf.Tensor,
    *,
    thing_ids: Sequence[int],
    label_divisor: int,
    void_label: int,
    settings: MergingSettings = _DEFAULTS,
) -> Dict[str, tf.Tensor]:
  """Merges the three heads, at the size of the image, into panoptic labels.

  Args:
    semantic_probabilities: `[batch, height, width, classes]`, or logits.
    center_heatmap: `[batch, height, width]`.
    offset: `[batch, height, width, 2]`, (y, x) in pixels.
    thing_ids: train ids of the countable classes.
    label_divisor: see `label_ids`; an instance whose number within its class
      would reach it becomes void.
    void_label: the panoptic label of pixels without a result.
    settings: see `MergingSettings`.

  Returns:
    panoptic_map: int32 `[batch, height, width]`; the instances of a class
      count from 1.
    score_map: float32 `[batch, height, width]`; the heatmap's value at the
      center of the pixel's instance on things, 1 on stuff, 0 on void.

  Raises:
    errors.UserError: a thing id is not one of the classes.
  """
  classes = semantic_probabilities.shape[-1]
  if thing_ids and max(thing_ids) >= classes:
    raise errors.UserError(
        f'thing_ids: expected train ids below {classes} (the number of '
        f'semantic outputs), got {max(thing_ids)}; use the data set spec that '
        f'the model was trained with')
  return merge_classes(
      tf.argmax(semantic_probabilities, -1, output_type=tf.int32),
      center_heatmap, offset, classes=classes, thing_ids=thing_ids,
      label_divisor=label_divisor, void_label=void_label, settings=settings)


def merge_classes(
    semantic: tf.Tensor, center_heatmap: tf.Tensor, offset: tf.Tensor, *,
    classes: int, thing_ids: Sequence[int], label_divisor: int,
    void_label: int, settings: MergingSettings = _DEFAULTS,
) -> Dict[str, tf.Tensor]:
  """Does the same for heads whose most probable classes are known.

  Args:
    semantic: int32 `[batch, height, width]`, the most probable classes.
    center_heatmap: see `merge`; so are the arguments that are not listed.
    offset: only its values on things matter.
    classes: number of semantic classes.
  """
  is_thing = label_ids.member_mask(semantic, thing_ids)
  offset = tf.cast(offset, tf.float32)
  heatmap = tf.cast(center_heatmap, tf.float32)
  centers, scores, found = find_centers(heatmap, semantic, is_thing, settings)
  instance = assign_pixels(offset, is_thing, centers, found)
  if settings.checks_instances:
    instance = instance_checks.checked(
        offset, instance, centers, found, settings)
  return label_pixels(
      semantic, instance, scores, found, classes, thing_ids, label_divisor,
      void_label, settings)


def find_centers(
    center_heatmap: tf.Tensor, semantic: tf.Tensor, is_thing: tf.Tensor,
    settings: MergingSettings) -> Tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
  """Finds the peaks of a heatmap.

  Args:
    center_heatmap: float32 `[batch, height, width]`.
    semantic: int32 `[batch, height, width]`, classes.
    is_thing: bool `[batch, height, width]`.
    settings: see `MergingSettings`.

  Returns:
    int32 coordinates `[batch, max_centers, 2]`, (y, x), in the order of rows
    and columns, so that ties between centers go to the first in the image;
    float32 heatmap values `[batch, max_centers]`; int32 numbers of centers
    found `[batch]`. Slots past that number hold zeros.
  """
  batch, height, width = shapes.sizes(center_heatmap)
  highest = _window_maximum(center_heatmap, settings.nms_kernel, axis=1)
  highest = _window_maximum(highest, settings.nms_kernel, axis=2)
  is_peak = (center_heatmap > settings.center_threshold) & tf.equal(
      center_heatmap, highest)

  pixels = height * width
  peaks = tf.reshape(tf.where(is_peak, center_heatmap, 0.0), [batch, pixels])
  slots = tf.minimum(settings.max_centers, pixels)
  if settings.suppression == 'border':
    values, position = tf.math.top_k(
        peaks, tf.minimum(2 * settings.max_centers, pixels))
    peaks = suppression.suppress(values, position, semantic, is_thing)
    values, rank = tf.math.top_k(peaks, slots)
    position = tf.gather(position, rank, batch_dims=1)
  else:
    values, position = tf.math.top_k(peaks, slots)
  is_kept = values > 0.0
  if settings.drop_last_center:
    total = tf.math.count_nonzero(peaks, axis=1, dtype=tf.int32)
    is_last = (total > slots)[:, tf.newaxis] & tf.equal(values, values[:, -1:])
    is_kept &= ~is_last

  position = tf.where(is_kept, position, pixels)
  order = tf.argsort(position, axis=1, stable=True)
  position = tf.gather(position, order, batch_dims=1)
  values = tf.gather(tf.where(is_kept, values, 0.0), order, batch_dims=1)
  position = tf.where(position < pixels, position, 0)
  centers = tf.stack([position // width, position % width], -1)
  return centers, values, tf.math.count_nonzero(
      is_kept, axis=1, dtype=tf.int32)


def assign_pixels(
    offset: tf.Tensor, is_thing: tf.Tensor, centers: tf.Tensor,
    found: tf.Tensor) -> tf.Tensor:
  """Gives each pixel of a thing to the center its offset points closest to.

  The image is processed in tiles. In each, take the box around the points that
  its pixels point to: a center is a candidate only if its distance from the box
  is no more than the least distance, over all centers, from the farthest point
  of the box. These are few, however many the image has. Memory does not grow
  with their number, and tiles without things cost nothing. Distances are
  squared differences of coordinates: the expansion |p|^2 - 2 p c + |c|^2 would
  lose whole pixels in float32.

  Args:
    offset: float32 `[batch, height, width, 2]`.
    is_thing: bool `[batch, height, width]`.
    centers: int32 `[batch, max_centers, 2]`, (y, x), the first `found` of them
      in use.
    found: int32 `[batch]`.

  Returns:
    int32 `[batch, height, width]`: slot of the center + 1, and 0 outside
    things. Without any center, things hold 1.
  """
  size = shapes.sizes(offset)[1:3]
  tile = tuple(tf.minimum(_TILE, n) for n in size)
  counts = tuple(-(-n // t) for n, t in zip(size, tile))
  offset = _to_tiles(offset, tile, counts)
  is_thing = _to_tiles(is_thing[..., tf.newaxis], tile, counts)[..., 0]
  centers = tf.cast(centers, tf.float32)
  rows, columns = (tf.range(n, dtype=tf.float32) for n in tile)

  def nearest_in_tile(inputs):
    index, offset, is_thing = inputs
    image, place = index // (counts[0] * counts[1]), index % (
        counts[0] * counts[1])
    top = tf.cast(place // counts[1] * tile[0], tf.float32)
    left = tf.cast(place % counts[1] * tile[1], tf.float32)
    y = (top + rows)[:, tf.newaxis] + offset[..., 0]
    x = left + columns + offset[..., 1]
    ordered, slots, visited = _candidates(
        y, x, is_thing, centers[image], found[image])

    def compare(number, least, nearest):
      distance = (
          tf.math.squared_difference(y, tf.gather(ordered[0], number))
          + tf.math.squared_difference(x, tf.gather(ordered[1], number)))
      nearest = tf.where(
          distance < least, tf.gather(slots, number), nearest)
      return number + 1, tf.minimum(distance, least), nearest

    nearest = tf.while_loop(
        lambda number, *_: number < visited, compare,
        (0, tf.fill(tf.shape(y), np.float32(np.inf)),
         tf.zeros(tf.shape(y), tf.int32)))[2]
    return tf.where(is_thing, nearest + 1, 0)

  instance = tf.map_fn(
      nearest_in_tile, (tf.range(tf.shape(offset)[0]), offset, is_thing),
      fn_output_signature=tf.int32, parallel_iterations=1)
  instance = tf.reshape(instance, [-1, *counts, *tile])
  instance = tf.transpose(instance, [0, 1, 3, 2, 4])
  return tf.reshape(
      instance, [-1, counts[0] * tile[0], counts[1] * tile[1]]
  )[:, :size[0], :size[1]]


def _to_tiles(maps: tf.Tensor, tile, counts) -> tf.Tensor:
  """Cuts [batch, h, w, c] into [batch * tiles, *tile, c], padded with 0."""
  height, width = shapes.sizes(maps)[1:3]
  channels = maps.shape[-1]
  maps = tf.pad(maps, [
      [0, 0], [0, counts[0] * tile[0] - height],
      [0, counts[1] * tile[1] - width], [0, 0]])
  maps = tf.reshape(
      maps, [-1, counts[0], tile[0], counts[1], tile[1] * channels])
  maps = tf.transpose(maps, [0, 1, 3, 2, 4])
  return tf.reshape(maps, [-1, *tile, channels])


def _candidates(y, x, is_thing, centers, found):
  """Finds the centers that may be the nearest one to some point of a tile.

  Rounding is monotonic, so no point of the box is computed to be nearer to a
  center than the box itself: centers that are left out could not have won.

  Returns:
    float32 coordinates y and x [slots] of the candidates, int32 their slots
    [slots], ascending, and int32 how many there are.
  """
  least, most = [], []
  for points, center in ((y, centers[:, 0]), (x, centers[:, 1])):
    low = tf.reduce_min(tf.where(is_thing, points, np.float32(np.inf)))
    high = tf.reduce_max(tf.where(is_thing, points, np.float32(-np.inf)))
    least.append(tf.math.squared_difference(
        tf.maximum(tf.minimum(center, high), low), center))
    most.append(tf.maximum(
        tf.math.squared_difference(low, center),
        tf.math.squared_difference(high, center)))
  slots = tf.range(tf.shape(centers)[0])
  is_used = slots < found
  reach = tf.reduce_min(
      tf.where(is_used, most[0] + most[1], np.float32(np.inf)))
  # Not "<=": NaN offsets leave all centers in.
  is_candidate = is_used & ~(least[0] + least[1] > reach)
  is_candidate &= tf.reduce_any(is_thing)
  order = tf.argsort(tf.where(is_candidate, 0, 1), stable=True)
  ordered = tf.gather(centers, order)
  return (ordered[:, 0], ordered[:, 1]), order, tf.math.count_nonzero(
      is_candidate, dtype=tf.int32)


def label_pixels(
    semantic: tf.Tensor, instance: tf.Tensor, scores: tf.Tensor,
    found: tf.Tensor, classes: int, thing_ids: Sequence[int],
    label_divisor: int, void_label: int, settings: MergingSettings
) -> Dict[str, tf.Tensor]:
  """Votes on classes, numbers instances, removes small stuff.

  All decisions are made in a table of (image, instance, class) with instance 0
  for stuff; each pixel then looks up its label and its score there.

  Args:
    semantic: int32 `[batch, height, width]`, classes.
    instance: int32 of this shape, see `assign_pixels`.
    scores: float32 `[batch, slots]`, scores of the instances.
    found: int32 `[batch]`, number of instances.
    classes: number of semantic classes.
    thing_ids: see `merge`; so are the arguments that are not listed.

  Returns:
    See `merge`.
  """
  batch = shapes.sizes(semantic)[0]
  rows = tf.shape(scores)[1] + 1 if scores.shape[1] is None else (
      scores.shape[1] + 1)
  image = tf.range(batch)[:, tf.newaxis, tf.newaxis]
  key = (image * rows + instance) * classes + semantic
  votes = tf.reshape(
      histogram.histogram(key, batch * rows * classes),
      [batch, rows, classes])

  class_ids = tf.range(classes)
  stuff_area = votes[:, 0]
  is_large = (
      stuff_area > settings.stuff_area_limit if settings.void_stuff_at_limit
      else stuff_area >= settings.stuff_area_limit)
  is_stuff = ~label_ids.member_mask(class_ids, thing_ids)
  stuff_label = tf.where(
      is_stuff & is_large, class_ids * label_divisor, void_label)

  category = tf.argmax(votes[:, 1:], -1, output_type=tf.int32)
  is_used = tf.reduce_any(votes[:, 1:] > 0, -1)
  if not settings.one_instance_without_centers:
    is_used &= (found > 0)[:, tf.newaxis]
  number = _number_within_class(category, is_used)
  thing_label = tf.where(
      is_used & (number < label_divisor), category * label_divisor + number,
      void_label)

  labels = tf.concat([
      stuff_label[:, tf.newaxis],
      tf.broadcast_to(thing_label[..., tf.newaxis],
                      [batch, rows - 1, classes])], 1)
  table_scores = tf.concat([tf.ones([batch, 1]), scores], 1)[..., tf.newaxis]
  table_scores = tf.where(tf.equal(labels, void_label), 0.0, table_scores)
  return {
      'panoptic_map': tf.gather(tf.reshape(labels, [-1]), key),
      'score_map': tf.gather(tf.reshape(table_scores, [-1]), key),
  }


def _number_within_class(category: tf.Tensor, is_used: tf.Tensor) -> tf.Tensor:
  """Counts the instances [batch, slots] of each class from 1, in order."""
  is_same = tf.equal(category[:, :, tf.newaxis], category[:, tf.newaxis])
  is_same &= is_used[:, tf.newaxis]
  up_to_itself = tf.linalg.band_part(tf.cast(is_same, tf.int32), -1, 0)
  return tf.reduce_sum(up_to_itself, -1)


def _window_maximum(image: tf.Tensor, kernel: int, axis: int) -> tf.Tensor:
  """Maximum over a centered window along one axis of [batch, height, width].

  The window doubles with each step: log2(kernel) passes, several times as
  fast on CPU as max pooling. Padding is zero, as published.
  """
  padding = [[0, 0], [0, 0], [0, 0]]
  padding[axis] = [kernel // 2, kernel // 2]
  image = tf.pad(image, padding)
  covered = 1
  while covered < kernel:
    step = min(covered, kernel - covered)
    if axis == 1:
      image = tf.maximum(image[:, :-step], image[:, step:])
    else:
      image = tf.maximum(image[:, :, :-step], image[:, :, step:])
    covered += step
  return image
