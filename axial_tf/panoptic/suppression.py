"""Drops peaks of the heatmap inside the instance of a higher peak.

A fixed window suits objects of one size. Here a peak claims a disk: all pixels
nearer than the border of its region, the pixels around it of its semantic
class. Peaks are visited from the highest down; one that lies in the disk of a
peak that was kept is dropped.
"""

import numpy as np
import tensorflow as tf

from axial_tf.panoptic import greedy, shapes


def suppress(
    heat: tf.Tensor, position: tf.Tensor, semantic: tf.Tensor,
    is_thing: tf.Tensor) -> tf.Tensor:
  """Keeps the peaks that lie in the disk of no higher peak.

  Args:
    heat: float32 `[batch, peaks]`, in descending order; 0 in unused slots.
    position: int32 `[batch, peaks]`, y * width + x of each peak.
    semantic: int32 `[batch, height, width]`, classes.
    is_thing: bool `[batch, height, width]`; peaks elsewhere have no disk.

  Returns:
    float32 `[batch, peaks]`: `heat`, or 0 where the peak is dropped.
  """
  batch, height, width = shapes.sizes(semantic)
  center = tf.stack([position // width, position % width], -1)
  reach = squared_distance_to_border(semantic, center)
  has_disk = tf.gather(
      tf.reshape(is_thing, [batch, height * width]), position, batch_dims=1)
  distance = tf.reduce_sum(tf.math.squared_difference(
      center[:, :, tf.newaxis], center[:, tf.newaxis]), -1)
  drops = has_disk[..., tf.newaxis] & (
      tf.cast(distance, tf.float32) < reach[..., tf.newaxis])
  return tf.where(greedy.keep(drops), heat, 0.0)


def squared_distance_to_border(
    semantic: tf.Tensor, points: tf.Tensor) -> tf.Tensor:
  """Squared distance from each point to the nearest pixel of another class.

  The edge of the image is no border: the object that it cuts is larger.

  Args:
    semantic: int32 `[batch, height, width]`.
    points: int32 `[batch, points, 2]`, (y, x).

  Returns:
    float32 `[batch, points]`, infinite where the image has one class only.
  """
  y, x = tf.unstack(points, axis=-1)
  row = tf.gather(semantic, y, batch_dims=1)  # [batch, points, width]
  own = tf.gather(row, x, batch_dims=2)[..., tf.newaxis]
  vertical = tf.where(
      tf.equal(row, own),
      tf.gather(_vertical_distance(semantic), y, batch_dims=1), 0.0)
  columns = tf.range(shapes.sizes(semantic)[2])
  horizontal = tf.cast(columns - x[..., tf.newaxis], tf.float32)
  return tf.reduce_min(tf.square(vertical) + tf.square(horizontal), -1)


def _vertical_distance(semantic: tf.Tensor) -> tf.Tensor:
  """Distance to the nearest pixel of another class in the same column."""
  # One pass for both directions: the image, and the image upside down.
  both = tf.concat([semantic, semantic[:, ::-1]], 0)
  height = shapes.sizes(both)[1]
  rows = tf.range(height)
  begins = tf.pad(
      tf.not_equal(both[:, 1:], both[:, :-1]), [[0, 0], [1, 0], [0, 0]])
  y = tf.cast(rows, tf.float32)[:, tf.newaxis]
  # Row in which the pixel's run of one class begins, as a cumulative maximum
  # over windows that double.
  first = tf.where(begins, y, np.float32(-np.inf))

  def double(window, first):
    above = tf.gather(first, tf.maximum(rows - window, 0), axis=1)
    return 2 * window, tf.maximum(first, above)

  _, first = tf.while_loop(
      lambda window, _: window < height, double, (1, first))
  up, down = tf.split(y - first + 1.0, 2)
  return tf.minimum(up, down[:, ::-1])
