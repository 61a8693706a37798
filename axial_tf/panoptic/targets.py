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

_FAR = 1e9  # squared distance in pixels of "no center"; exp underflows to 0


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
  category, instance = label_ids.decode(panoptic, label_divisor)
  rank = _thing_rank(category, thing_ids)
  is_thing = rank >= 0
  is_ignored = tf.equal(category, ignore_label)
  is_crowd = is_thing & (instance == 0) & ~is_ignored
  is_instance = is_thing & (instance > 0) & ~is_ignored

  # The instances of the k-th thing class get the numbers from
  # k * label_divisor on, so that statistics fit a static table.
  slots = len(thing_ids) * label_divisor
  slot = tf.where(is_instance, rank * label_divisor + instance, slots)
  area, centers = _areas_and_centers(slot, slots)

  is_small = area < settings.small_instance_area
  weight = tf.where(is_small, settings.small_instance_weight, 1.0)
  table = tf.concat([tf.cast(centers, tf.float32), weight[:, tf.newaxis]], 1)
  table = tf.pad(table, [[0, 1], [0, 0]], constant_values=1.0)
  of_pixel = tf.gather(table, slot)
  mask = tf.cast(is_instance, tf.float32)
  pixel = tf.cast(_coordinates(height, width), tf.float32)

  semantic = category
  if settings.treat_crowd_as_ignore:
    semantic = tf.where(is_crowd, ignore_label, category)
  return {
      'semantic': semantic,
      'semantic_weight': of_pixel[..., 2],
      'center_heatmap': _draw_centers(
          centers, area > 0, height, width, settings.sigma),
      'center_weight': tf.cast(~(is_ignored | is_crowd), tf.float32),
      'offset': (of_pixel[..., :2] - pixel) * mask[..., tf.newaxis],
      'offset_weight': mask,
  }


def _size(image: tf.Tensor):
  """(height, width) as Python ints where known, else as tensors."""
  dynamic = tf.shape(image)
  return tuple(
      dynamic[i] if n is None else n for i, n in enumerate(image.shape[:2]))


def _coordinates(height, width) -> tf.Tensor:
  """int32 [height, width, 2] with the (y, x) of each pixel."""
  return tf.stack(
      tf.meshgrid(tf.range(height), tf.range(width), indexing='ij'), -1)


def _thing_rank(category: tf.Tensor, thing_ids: Sequence[int]) -> tf.Tensor:
  """Position of each category in `thing_ids`, -1 for stuff and void."""
  outside = max(thing_ids, default=-1) + 1
  table = np.full(outside + 1, -1, np.int32)
  table[list(thing_ids)] = np.arange(len(thing_ids))
  return tf.gather(table, tf.minimum(category, outside))


def _areas_and_centers(slot: tf.Tensor, slots: int):
  """int32 areas [slots] and mean coordinates [slots, 2], rounded half to even.

  Sums of coordinates stay below 2^53 and their quotients are at least 1 / area
  apart, so float64 rounds each mean as exact arithmetic would.
  """
  height, width = _size(slot)
  area = histogram.histogram(slot, slots)
  grid = tf.cast(_coordinates(height, width), tf.float64)
  total = tf.stack([
      histogram.histogram(slot, slots, grid[..., axis]) for axis in (0, 1)], -1)
  mean = tf.math.divide_no_nan(
      total, tf.cast(area, tf.float64)[:, tf.newaxis])
  return area, tf.cast(tf.round(mean), tf.int32)


def _draw_centers(centers, is_present, height, width, sigma) -> tf.Tensor:
  """float32 [height, width]: the maximum of Gaussians cut to a square window.

  A Gaussian falls with r^2 = dy^2 + dx^2, so the maximum over centers is the
  minimum of r^2: first the nearest center |dx| in each row, by doubling steps,
  then the least dx^2 + dy^2 over the rows of the window. The window reaches
  3 sigma + 1 pixels (6 sigma + 3 in all), past which a center has no effect.
  """
  reach = int(3 * sigma + 1)
  nowhere = height * width
  flat = tf.where(is_present, centers[:, 0] * width + centers[:, 1], nowhere)
  has_center = tf.reshape(
      histogram.histogram(flat, nowhere), [height, width]) > 0

  dx = tf.where(has_center, 0.0, _FAR)
  step = 1
  while step <= reach:  # after it, dx is right up to 2 * step - 1 pixels
    padded = tf.pad(dx, [[0, 0], [step, step]], constant_values=_FAR)
    beside = tf.minimum(padded[:, :-2 * step], padded[:, 2 * step:])
    dx = tf.minimum(dx, beside + step)
    step *= 2
  row_r2 = tf.where(dx <= reach, tf.square(dx), _FAR)

  padded = tf.pad(row_r2, [[reach, reach], [0, 0]], constant_values=_FAR)
  r2 = row_r2
  for dy in range(1, reach + 1):
    above = padded[reach - dy:reach - dy + height]
    below = padded[reach + dy:reach + dy + height]
    r2 = tf.minimum(r2, tf.minimum(above, below) + float(dy * dy))
  return tf.exp(r2 * (-0.5 / sigma**2))
