"""Computes areas and centers of segments, and distances to the centers.

`runs_of` and the distances pass over all pixels, which XLA makes several times
faster; `areas_and_centers` makes a list of all runs, whose length XLA would
have to know.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from axial_tf.panoptic import histogram

# Squared distances relative to sigma are whole multiples of this: 16 bits reach
# to 5.7 sigma, beyond the corners of a window of a sigma from 1 on, and a
# Gaussian is off by at most 0.00025.
RELATIVE_STEP = 1e-3


def runs_of(slot: tf.Tensor) -> tf.Tensor:
  """bool [height, width]: where a run of one slot within a row ends."""
  ends_here = tf.not_equal(slot[:, 1:], slot[:, :-1])
  return tf.concat([ends_here, tf.ones_like(slot[:, :1], tf.bool)], 1)


class Runs(NamedTuple):
  """Runs of one slot within a row; each field is int64 [runs] or int32.

  Attributes:
    slot: int32, slot of the run.
    row: its y.
    first: x of its first pixel.
    last: x of its last pixel.
  """

  slot: tf.Tensor
  row: tf.Tensor
  first: tf.Tensor
  last: tf.Tensor


def list_runs(slot: tf.Tensor, ends_here: tf.Tensor) -> Runs:
  """Lists the runs of a map, in the order of rows and columns.

  Args:
    slot: int32 [height, width].
    ends_here: see `runs_of`.
  """
  width = tf.shape(slot, tf.int64)[1]
  last = tf.where(tf.reshape(ends_here, [-1]))[:, 0]  # [runs]
  first = tf.concat([tf.zeros([1], tf.int64), last[:-1] + 1], 0)
  row = last // width
  return Runs(tf.gather(tf.reshape(slot, [-1]), last), row,
              first - row * width, last - row * width)


def areas_and_centers(slot: tf.Tensor, ends_here: tf.Tensor, slots: int):
  """Counts pixels and averages their coordinates, run by run.

  Args:
    slot: int32 [height, width], 0 ... slots - 1.
    ends_here: see `runs_of`.
    slots: number of rows of the results.

  Returns:
    int32 areas [slots] and int32 mean coordinates [slots, 2], (y, x), rounded
    half to even; 0 where there are no pixels.
  """
  area, mean = areas_and_means(list_runs(slot, ends_here), slots)
  return area, tf.cast(tf.round(mean), tf.int32)


def areas_and_means(runs: Runs, slots: int):
  """Counts pixels and averages their coordinates.

  There are far fewer runs than pixels, except in noise. Sums are integers,
  their quotients at least 1 / (2 area) away from a tie unless they are one, so
  float64 rounds each mean as exact arithmetic would.

  Args:
    runs: the runs of all slots.
    slots: number of rows of the results.

  Returns:
    int32 areas [slots] and float64 mean coordinates [slots, 2], (y, x); 0 where
    there are no pixels.
  """
  length = runs.last - runs.first + 1

  def sum_by_slot(weights):
    return histogram.histogram(runs.slot, slots, weights)

  area = sum_by_slot(length)
  # The mean x of a run is (first + last) / 2.
  twice_x = sum_by_slot(length * (runs.first + runs.last))
  total = tf.stack([2 * sum_by_slot(length * runs.row), twice_x], -1)
  mean = tf.math.divide_no_nan(
      tf.cast(total, tf.float64),
      tf.cast(2 * area[:, tf.newaxis], tf.float64))
  return tf.cast(area, tf.int32), mean


def boxes(runs: Runs, slots: int) -> tf.Tensor:
  """Returns int64 [slots, 4]: (ymin, xmin, ymax, xmax), all inclusive.

  Rows of slots without pixels are meaningless.
  """
  ymin, xmin = (tf.math.unsorted_segment_min(values, runs.slot, slots)
                for values in (runs.row, runs.first))
  ymax, xmax = (tf.math.unsorted_segment_max(values, runs.slot, slots)
                for values in (runs.row, runs.last))
  return tf.stack([ymin, xmin, ymax, xmax], -1)


def squared_distance(centers: tf.Tensor, count: tf.Tensor, height, width,
                     reach: int) -> tf.Tensor:
  """Squared distance to the nearest center whose window holds the pixel.

  Args:
    centers: int32 [rows, 2], (y, x) within the map.
    count: int32 [], number of leading rows to use.
    height: height of the map.
    width: width of the map.
    reach: half the side of a window, which is 2 reach + 1.

  Returns:
    [height, width] of int16 if the squares fit in, else of int32; the type's
    largest number outside of all windows.
  """
  dtype = tf.int16 if 2 * reach**2 < tf.int16.max else tf.int32
  dy, dx = np.mgrid[-reach:reach + 1, -reach:reach + 1]
  window = tf.constant((dy**2 + dx**2).ravel(), dtype)
  return _least(centers, count, height, width, reach, dtype, lambda _: window)


def relative_squared_distance(
    centers: tf.Tensor, sigmas: tf.Tensor, count: tf.Tensor, height, width,
    reach: int) -> tf.Tensor:
  """As `squared_distance`, in units of each center's sigma.

  The smallest value is that of the center whose Gaussian is the highest.

  Args:
    sigmas: float32 [rows], the window of each center reaches 3 sigma + 1
      pixels, rounded down, but not more than `reach`.

  Returns:
    int16 [height, width], squares in steps of `RELATIVE_STEP`; the type's
    largest number outside of all windows.
  """
  dy, dx = (axis.ravel() for axis in np.mgrid[
      -reach:reach + 1, -reach:reach + 1])
  r2 = tf.constant(dy**2 + dx**2, tf.float32)
  side = tf.constant(np.maximum(abs(dy), abs(dx)), tf.float32)
  far = tf.int16.max

  def window(number):
    sigma = sigmas[number]
    steps = tf.round(r2 / (tf.square(sigma) * RELATIVE_STEP))
    return tf.cast(tf.where(
        side <= tf.floor(3.0 * sigma + 1.0), tf.minimum(steps, far - 1.0),
        float(far)), tf.int16)

  return _least(centers, count, height, width, reach, tf.int16, window)


def _least(centers, count, height, width, reach, dtype, window):
  """Draws window(number) around each center and keeps the smallest values.

  Only the windows are drawn, one after the other: there are few of them, but
  many pixels.
  """
  dy, dx = (axis.ravel() for axis in np.mgrid[
      -reach:reach + 1, -reach:reach + 1])
  # Margins hold the parts of windows that lie outside.
  rows, columns = height + 2 * reach, width + 2 * reach

  def draw(number, drawn):
    y, x = tf.unstack(centers[number] + reach, num=2)
    place = (y + dy) * columns + x + dx
    return number + 1, tf.tensor_scatter_nd_min(
        drawn, place[:, tf.newaxis], window(number))

  _, drawn = tf.while_loop(
      lambda number, _: number < count, draw,
      (0, tf.fill([rows * columns], tf.constant(dtype.max, dtype))))
  drawn = tf.reshape(drawn, [rows, columns])
  return drawn[reach:reach + height, reach:reach + width]
