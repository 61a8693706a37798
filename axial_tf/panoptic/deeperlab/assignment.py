"""Gives each pixel of a thing to the instance whose keypoints it points to.

The distance of a pixel from an instance is the sum over the five keypoints of
the squared distances between where the pixel's long offset points and where the
keypoint is, unscaled. (DeeperLab says "L2 distance"; PersonLab divides by the
size of the instance and rejects far pixels, which DeeperLab does not mention.)

The image is processed in tiles, in which the long offsets of the small map are
enlarged. As in `merging.assign_pixels`, only instances that may be the nearest
to some pixel of the tile are visited, so memory does not grow with their number
and tiles without things are skipped. In a tile, the axes of points come first:
sums over the last axis of a map take several times as long.
"""

import numpy as np
import tensorflow as tf

from axial_tf.panoptic import shapes
from axial_tf.panoptic.deeperlab import keypoints, sampling

# Side of a tile in pixels, up to the stride.
_TILE = 64


def assign_pixels(
    long_offset: tf.Tensor, is_thing: tf.Tensor, points: tf.Tensor,
    found: tf.Tensor, stride: int) -> tf.Tensor:
  """Finds the nearest instance of each pixel.

  Args:
    long_offset: float32 [h, w, 5, 2], (y, x) in pixels of the image; pixel
      (i, j) of it lies at (stride * i, stride * j) of the image, and beyond the
      last one its value is repeated.
    is_thing: bool [height, width].
    points: float32 [n, 5, 2], keypoints of the instances in pixels of the
      image, the first `found` of them in use.
    found: int32 [].
    stride: pixels of the image between two of the small map.

  Returns:
    int32 [height, width]: slot of the instance + 1, and 0 outside things.
    Without any instance, things hold 1.
  """
  size = shapes.sizes(is_thing)
  cells = max(_TILE // stride, 1)
  tile = cells * stride
  counts = tuple(-(-n // tile) for n in size)
  long_offset = keypoints.flat(long_offset)
  for axis, count in enumerate(counts):
    last = shapes.sizes(long_offset)[axis] - 1
    long_offset = tf.gather(
        long_offset, tf.minimum(tf.range(count * cells + 1), last), axis=axis)
  is_thing = tf.pad(is_thing, [
      [0, count * tile - n] for count, n in zip(counts, size)])
  points = keypoints.flat(points)

  def nearest_in_tile(index):
    row, column = index // counts[1], index % counts[1]
    inside = is_thing[row * tile:(row + 1) * tile,
                      column * tile:(column + 1) * tile]
    inside = tf.ensure_shape(inside, [tile, tile])

    def nearest_of_things():
      cut = tf.slice(long_offset, [row * cells, column * cells, 0],
                     [cells + 1, cells + 1, 2 * keypoints.COUNT])
      first = tf.cast(tf.stack([row, column]) * tile, tf.float32)
      pixel = _axes_first(first + sampling.coordinates(tile, tile))
      places = _enlarge(_axes_first(cut), stride) + tf.tile(
          pixel, [keypoints.COUNT, 1, 1])
      return nearest(places, inside, points, found)

    return tf.cond(tf.reduce_any(inside), nearest_of_things,
                   lambda: tf.zeros([tile, tile], tf.int32))

  tiles = tf.map_fn(
      nearest_in_tile, tf.range(counts[0] * counts[1]),
      fn_output_signature=tf.TensorSpec([tile, tile], tf.int32),
      parallel_iterations=1)
  tiles = tf.reshape(tiles, [*counts, tile, tile])
  whole = tf.reshape(
      tf.transpose(tiles, [0, 2, 1, 3]),
      [counts[0] * tile, counts[1] * tile])
  return whole[:size[0], :size[1]]


def nearest(places: tf.Tensor, is_thing: tf.Tensor, points: tf.Tensor,
            found: tf.Tensor) -> tf.Tensor:
  """Finds the point nearest to each pixel's place, in any number of axes.

  Args:
    places: float32 [axes, height, width].
    is_thing: bool [height, width].
    points: float32 [n, axes], the first `found` of them in use.
    found: int32 [].

  Returns:
    int32 [height, width], see `assign_pixels`. Ties go to the first slot.
  """
  slots, visited = _candidates(places, is_thing, points, found)

  def compare(number, least, closest):
    slot = slots[number]
    distance = tf.reduce_sum(tf.math.squared_difference(
        places, points[slot][:, tf.newaxis, tf.newaxis]), 0)
    closest = tf.where(distance < least, slot, closest)
    return number + 1, tf.minimum(distance, least), closest

  closest = tf.while_loop(
      lambda number, *_: number < visited, compare,
      (0, tf.fill(tf.shape(is_thing), np.float32(np.inf)),
       tf.zeros(tf.shape(is_thing), tf.int32)))[2]
  return tf.where(is_thing, closest + 1, 0)


def _candidates(places, is_thing, points, found):
  """Finds the points that may be the nearest one to some place of a thing.

  Take the box around all places. No point whose distance from the box is more
  than the least distance of another one from the box's farthest corner can be
  the nearest.

  Returns:
    int32 [n], slots with the candidates first, ascending; int32 their number.
  """
  low = tf.reduce_min(tf.where(is_thing, places, np.float32(np.inf)), [1, 2])
  high = tf.reduce_max(tf.where(is_thing, places, np.float32(-np.inf)), [1, 2])
  least = tf.reduce_sum(tf.math.squared_difference(
      tf.maximum(tf.minimum(points, high), low), points), -1)
  most = tf.reduce_sum(tf.maximum(
      tf.math.squared_difference(low, points),
      tf.math.squared_difference(high, points)), -1)
  is_used = tf.range(tf.shape(points)[0]) < found
  reach = tf.reduce_min(tf.where(is_used, most, np.float32(np.inf)))
  # Sums of squares are rounded differently, so a little more is kept; and not
  # "<=": NaN offsets leave all instances in.
  is_candidate = is_used & ~(least > 1.0001 * reach + 0.001)
  is_candidate &= tf.reduce_any(is_thing)
  order = tf.argsort(tf.where(is_candidate, 0, 1), stable=True)
  return order, tf.math.count_nonzero(is_candidate, dtype=tf.int32)


def _axes_first(values: tf.Tensor) -> tf.Tensor:
  """[height, width, axes] -> [axes, height, width]."""
  return tf.transpose(values, [2, 0, 1])


def _enlarge(cut: tf.Tensor, stride: int) -> tf.Tensor:
  """[c, n + 1, n + 1] -> [c, n * stride, n * stride], linearly."""
  share = (np.arange(stride) / stride).astype(np.float32)
  axes, side = cut.shape[0], cut.shape[1] - 1
  low, step = cut[:, :-1, tf.newaxis], (cut[:, 1:] - cut[:, :-1])
  rows = tf.reshape(
      low + share[:, np.newaxis] * step[:, :, tf.newaxis],
      [axes, side * stride, side + 1])
  low, step = rows[:, :, :-1, tf.newaxis], rows[:, :, 1:] - rows[:, :, :-1]
  return tf.reshape(
      low + share * step[..., tf.newaxis],
      [axes, side * stride, side * stride])
