"""Training targets of Panoptic-DeepLab, made from one panoptic label map.

The heads learn a semantic map, a heatmap with one Gaussian per instance center
and, for each pixel of a thing, the offset to the center of its instance
(Panoptic-DeepLab, section 3; weights from the technical report, section 2.1.4).
"""

import dataclasses
import math
from typing import Dict, Sequence

import numpy as np
import tensorflow as tf

from axial_tf import settings as settings_lib
from axial_tf.panoptic import histogram, label_ids

# Kinds of pixels: from _STUFF on with centers, from _INSTANCE on with offsets.
_IGNORED, _CROWD, _STUFF, _INSTANCE, _SMALL_INSTANCE = range(5)


@dataclasses.dataclass(frozen=True)
class TargetSettings:
  """How labels become training targets.

  Attributes:
    sigma: standard deviation of a center's Gaussian, in pixels of the crop.
    small_instance_area: instances with fewer visible pixels count as small.
    small_instance_weight: weight of small instances in the semantic loss.
    treat_crowd_as_ignore: whether crowds (things with instance 0) are ignored
      by the semantic loss, too; centers and offsets never learn from crowds.
  """
  sigma: float = 8.0
  small_instance_area: int = 4096
  small_instance_weight: float = 3.0
  treat_crowd_as_ignore: bool = True

  def __post_init__(self):
    settings_lib.check_types(self)
    settings_lib.require(
        0.0 < self.sigma < math.inf, self, 'sigma', 'a number above 0')
    settings_lib.require(
        self.small_instance_area >= 0, self, 'small_instance_area', '>= 0')
    settings_lib.require(
        0.0 <= self.small_instance_weight < math.inf, self,
        'small_instance_weight', 'a finite number >= 0')


def panoptic_targets(
    panoptic: tf.Tensor,
    *,
    thing_ids: Sequence[int],
    label_divisor: int,
    ignore_label: int,
    settings: TargetSettings = TargetSettings(),
) -> Dict[str, tf.Tensor]:
  """Turns a label map, as augmented and cropped, into training targets.

  There is no limit on the number of instances other than that of the label
  itself (label_divisor - 1 per class), and the time does not depend on it.

  Args:
    panoptic: int32 `[height, width]`, train_id * label_divisor + instance.
    thing_ids: train ids of the countable classes.
    label_divisor: see `label_ids`.
    ignore_label: train id of void.
    settings: see `TargetSettings`.

  Returns:
    A dict of maps `[height, width]`:
      semantic: int32 train ids; ignored pixels hold `ignore_label`.
      semantic_weight: float32, `small_instance_weight` on small instances, 1
        elsewhere (the loss itself skips the pixels with `ignore_label`).
      center_heatmap: float32 in [0, 1]; 1 at centers, overlaps by maximum.
      center_weight: float32, 1 on all but ignored and crowd pixels.
      offset: float32 `[height, width, 2]`, (y, x) in pixels from the pixel to
        the rounded center of its instance; 0 outside instances.
      offset_weight: float32, 1 on pixels of instances, else 0.
  """
  height, width = _size(panoptic)
  category = panoptic // label_divisor
  kinds = _Kinds(thing_ids, label_divisor)
  slot = tf.where(
      tf.equal(category, ignore_label), kinds.ignored,
      tf.minimum(panoptic, kinds.others))
  area, centers = _areas_and_centers(slot, len(kinds.of_slot))

  # Looking up a table is what costs most per pixel: one of kinds, where small
  # instances are set apart, and one of centers.
  is_small = (area < settings.small_instance_area) & (
      kinds.of_slot == _INSTANCE)
  kind = tf.gather(
      tf.where(is_small, _SMALL_INSTANCE, kinds.of_slot), slot)
  is_instance = tf.cast(kind >= _INSTANCE, tf.float32)
  pixel = tf.cast(_coordinates(height, width), tf.float32)
  to_center = tf.gather(tf.cast(centers, tf.float32), slot) - pixel

  semantic = category
  if settings.treat_crowd_as_ignore:
    semantic = tf.where(kind == _CROWD, ignore_label, category)
  return {
      'semantic': semantic,
      'semantic_weight': tf.where(
          kind == _SMALL_INSTANCE, settings.small_instance_weight, 1.0),
      'center_heatmap': _draw_centers(
          centers, (area > 0) & (kinds.of_slot == _INSTANCE), height, width,
          settings.sigma),
      'center_weight': tf.cast(kind >= _STUFF, tf.float32),
      'offset': to_center * is_instance[..., tf.newaxis],
      'offset_weight': is_instance,
  }


class _Kinds:
  """What the labels of things stand for: one slot of a table for each.

  Attributes:
    others: slot of all stuff behind the last thing. Stuff before it keeps the
      slots of its labels.
    ignored: slot of ignored pixels.
    of_slot: int32 [slots], the kind of each.
  """

  def __init__(self, thing_ids: Sequence[int], label_divisor: int):
    self.others = (max(thing_ids, default=-1) + 1) * label_divisor
    self.ignored = self.others + 1
    category, instance = label_ids.decode(
        np.arange(self.others), label_divisor)
    is_thing = np.isin(category, thing_ids)
    self.of_slot = np.full(self.others + 2, _STUFF, np.int32)
    self.of_slot[:self.others][is_thing & (instance > 0)] = _INSTANCE
    self.of_slot[:self.others][is_thing & (instance == 0)] = _CROWD
    self.of_slot[self.ignored] = _IGNORED


def _size(image: tf.Tensor):
  """(height, width) as Python ints where known, else as tensors."""
  dynamic = tf.shape(image)
  return tuple(
      dynamic[i] if n is None else n for i, n in enumerate(image.shape[:2]))


def _coordinates(height, width) -> tf.Tensor:
  """int32 [height, width, 2] with the (y, x) of each pixel."""
  return tf.stack(
      tf.meshgrid(tf.range(height), tf.range(width), indexing='ij'), -1)


def _areas_and_centers(slot: tf.Tensor, slots: int):
  """int32 areas [slots] and mean coordinates [slots, 2], rounded half to even.

  Sums of coordinates stay below 2^53 and their quotients are at least 1 / area
  apart, so float64 rounds each mean as exact arithmetic would.
  """
  height, width = _size(slot)
  summed = tf.concat([
      tf.ones([height, width, 1], tf.int32), _coordinates(height, width)], -1)
  # One pass for all three, which XLA makes a loop of; `histogram` takes three.
  sums = tf.math.unsorted_segment_sum(
      tf.reshape(tf.cast(summed, tf.float64), [-1, 3]),
      tf.reshape(slot, [-1]), slots)
  area, total = tf.cast(sums[:, 0], tf.int32), sums[:, 1:]
  mean = tf.math.divide_no_nan(
      total, sums[:, :1])
  return area, tf.cast(tf.round(mean), tf.int32)


def _draw_centers(centers, is_present, height, width, sigma) -> tf.Tensor:
  """float32 [height, width]: the maximum of Gaussians cut to a square window.

  A Gaussian falls with r^2 = dy^2 + dx^2, so the maximum over centers is the
  minimum of r^2: first the nearest center |dx| in each row, by doubling steps,
  then the least dx^2 + dy^2 over the rows of the window. The window reaches
  3 sigma + 1 pixels (6 sigma + 3 in all), past which a center has no effect.
  """
  reach = int(3 * sigma + 1)
  # Twice the speed of 32 bits, where the squares of the window fit in.
  dtype, far = (tf.int16, 30000) if reach <= 45 else (tf.int32, 2**30)
  nowhere = height * width
  flat = tf.where(is_present, centers[:, 0] * width + centers[:, 1], nowhere)
  has_center = tf.reshape(
      histogram.histogram(flat, nowhere), [height, width]) > 0

  dx = tf.where(has_center, tf.constant(0, dtype), tf.constant(far // 2, dtype))
  step = 1
  while step <= reach:  # after it, dx is right up to 2 * step - 1 pixels
    padded = tf.pad(dx, [[0, 0], [step, step]], constant_values=far // 2)
    beside = tf.minimum(padded[:, :-2 * step], padded[:, 2 * step:])
    dx = tf.minimum(dx, beside + step)
    step *= 2
  row_r2 = tf.where(dx <= reach, tf.square(dx), far)

  padded = tf.pad(row_r2, [[reach, reach], [0, 0]], constant_values=far)
  r2 = row_r2
  for dy in range(1, reach + 1):
    above = padded[reach - dy:reach - dy + height]
    below = padded[reach + dy:reach + dy + height]
    r2 = tf.minimum(r2, tf.minimum(above, below) + dy * dy)
  gaussian = tf.exp(tf.cast(r2, tf.float32) * (-0.5 / sigma**2))
  return tf.where(r2 < far, gaussian, 0.0)
