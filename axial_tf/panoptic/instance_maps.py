"""Packs the instance data that targets need into 6 bytes per pixel.

Finding areas and centers takes sums over pixels, lists and loops whose lengths
depend on the label: work for the CPU of the input pipeline. `targets.expand`
computes the rest pixel by pixel, on the device of the model, from maps that are
a fifth as large as the targets.

Kind and center share a number, because table lookups cost most per pixel:
kind * 2^28 + y * 2^14 + x.
"""

from typing import Callable, Dict, Optional, Sequence

import numpy as np
import tensorflow as tf

from axial_tf.panoptic import instance_centers, shapes

# Kinds of pixels: from STUFF on with centers, from INSTANCE on with offsets.
IGNORED, CROWD, STUFF, INSTANCE, SMALL_INSTANCE = range(5)
LARGEST_SIDE = 2**14  # in pixels


def instance_maps(
    panoptic: tf.Tensor,
    *,
    thing_ids: Sequence[int],
    label_divisor: int,
    ignore_label: int,
    small_area: int,
    reach: int,
    sigma_of_area: Optional[Callable[[tf.Tensor], tf.Tensor]] = None,
    compiled: bool = False,
) -> Dict[str, tf.Tensor]:
  """Finds the instances of a label map.

  There is no limit on their number other than that of the label itself
  (label_divisor - 1 per class).

  Args:
    panoptic: int32 `[height, width]`, train_id * label_divisor + instance, of
      at most `LARGEST_SIDE` pixels a side.
    thing_ids: train ids of the countable classes.
    label_divisor: see `label_ids`.
    ignore_label: train id of void.
    small_area: instances with fewer pixels are small.
    reach: half the side of the window around a center.
    sigma_of_area: maps areas, float32 in pixels, to standard deviations of the
      Gaussians of centers; None where distances count pixels.
    compiled: whether XLA compiles the passes over all pixels, once for each
      size: several times as fast where all maps have one size.

  Returns:
    A dict of maps `[height, width]`:
      instance: int32, see `kind_and_center`.
      center_r2: int16 or int32, see `instance_centers.squared_distance`; with
        `sigma_of_area` int16, see `relative_squared_distance` there.
  """
  compile_pass = compiled_if(compiled)
  kinds = LabelKinds(thing_ids, label_divisor)
  slots = len(kinds.of_slot)

  @compile_pass
  def draw(slot, packed, listed, sigmas, count):
    height, width = shapes.sizes(slot)
    if sigmas is None:
      center_r2 = instance_centers.squared_distance(
          listed, count, height, width, reach)
    else:
      center_r2 = instance_centers.relative_squared_distance(
          listed, sigmas, count, height, width, reach)
    return {'instance': tf.gather(packed, slot), 'center_r2': center_r2}

  slot, ends_here = kinds.find_runs(panoptic, ignore_label, compiled)
  area, centers = instance_centers.areas_and_centers(slot, ends_here, slots)
  is_instance = kinds.of_slot == INSTANCE
  kind = tf.where(
      is_instance & (area < small_area), SMALL_INSTANCE, kinds.of_slot)
  present = tf.where(is_instance & (area > 0))[:, 0]
  count = tf.size(present)

  def listed(values):
    # Always the same number of rows: XLA compiles for each number of them.
    margin = [[0, 0]] * (values.shape.rank - 1)
    return tf.ensure_shape(
        tf.pad(tf.gather(values, present), [[0, slots - count], *margin]),
        values.shape)

  sigmas = None if sigma_of_area is None else listed(
      sigma_of_area(tf.cast(area, tf.float32)))
  packed = kind * 2**28 + centers[:, 0] * 2**14 + centers[:, 1]
  return draw(slot, packed, listed(centers), sigmas, count)


def kind_and_center(instance: tf.Tensor):
  """Unpacks the map `instance` of `instance_maps`.

  Args:
    instance: int32 [...].

  Returns:
    kind: uint8 [...], one of IGNORED (void), CROWD, STUFF, INSTANCE and
      SMALL_INSTANCE.
    center: float32 [..., 2], the rounded mean (y, x) of the segment that the
      pixel belongs to; meaningless outside instances.
  """
  kind = tf.bitwise.right_shift(instance, 28)
  y = tf.bitwise.bitwise_and(tf.bitwise.right_shift(instance, 14), 2**14 - 1)
  x = tf.bitwise.bitwise_and(instance, 2**14 - 1)
  return (tf.cast(kind, tf.uint8),
          tf.stack([tf.cast(y, tf.float32), tf.cast(x, tf.float32)], -1))


class LabelKinds:
  """A table of the kinds of labels, with one slot for each label of a thing.

  Attributes:
    others: slot of all stuff after the last thing. Stuff before it keeps the
      slots of its labels.
    ignored: slot of ignored pixels.
    of_slot: int32 [slots], the kind of each.
  """

  def __init__(self, thing_ids: Sequence[int], label_divisor: int):
    self._label_divisor = label_divisor
    self.others = (max(thing_ids, default=-1) + 1) * label_divisor
    self.ignored = self.others + 1
    category, instance = np.divmod(np.arange(self.others), label_divisor)
    is_thing = np.isin(category, thing_ids)
    self.of_slot = np.full(self.others + 2, STUFF, np.int32)
    self.of_slot[:self.others][is_thing & (instance > 0)] = INSTANCE
    self.of_slot[:self.others][is_thing & (instance == 0)] = CROWD
    self.of_slot[self.ignored] = IGNORED

  def slots(self, panoptic: tf.Tensor, ignore_label: int) -> tf.Tensor:
    """Returns the slot of each pixel of a label map, int32 of its shape."""
    return tf.where(
        tf.equal(panoptic // self._label_divisor, ignore_label), self.ignored,
        tf.minimum(panoptic, self.others))

  def find_runs(self, panoptic: tf.Tensor, ignore_label: int, compiled: bool):
    """Returns the slots, and where their runs end.

    Args:
      panoptic: int32 [height, width].
      ignore_label: train id of void.
      compiled: see `instance_maps`.

    Returns:
      See `slots` and `instance_centers.runs_of`.
    """

    @compiled_if(compiled)
    def find(panoptic):
      slot = self.slots(panoptic, ignore_label)
      return slot, instance_centers.runs_of(slot)

    return find(panoptic)


def compiled_if(compiled: bool) -> Callable[[Callable], Callable]:
  """Returns what XLA compiles functions with, or what leaves them alone."""
  if compiled:
    return tf.function(autograph=False, jit_compile=True)
  return lambda function: function
