"""Finds the pixels near the borders of instances in a label map."""

import tensorflow as tf


def near_borders(panoptic: tf.Tensor, is_instance: tf.Tensor,
                 is_known: tf.Tensor) -> tf.Tensor:
  """Marks the pixels up to two pixels away from the border of an instance.

  A border lies between two neighbors in a row or column of different labels,
  both known, at least one of an instance: between two instances, also of one
  class, or between an instance and stuff. Void and crowds, such as the padding
  around an image, have none. Distance is the larger of those in y and x.

  Args:
    panoptic: int32 `[batch, height, width]`, labels.
    is_instance: bool of this shape.
    is_known: bool of this shape, false on void and crowds.

  Returns:
    bool of this shape.
  """
  beside = tf.zeros_like(is_known)
  for axis in (1, 2):
    first, second = (
        [_without(values, axis, end)
         for values in (panoptic, is_instance, is_known)] for end in (-1, 0))
    differs = (tf.not_equal(first[0], second[0]) & (first[1] | second[1])
               & first[2] & second[2])
    for margin in ([0, 1], [1, 0]):
      padding = [[0, 0], [0, 0], [0, 0]]
      padding[axis] = margin
      beside |= tf.pad(differs, padding)
  # What touches a border is one pixel away; its neighbors are two.
  near = tf.nn.max_pool2d(
      tf.cast(beside, tf.float32)[..., tf.newaxis], 3, 1, 'SAME')
  return near[..., 0] > 0.0


def _without(values, axis: int, end: int):
  """Leaves out the first (0) or the last (-1) row or column."""
  part = slice(None, -1) if end else slice(1, None)
  return values[:, part] if axis == 1 else values[:, :, part]
