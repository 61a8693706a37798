"""Peaks between pixels, of heatmaps as the network enlarges them."""

import dataclasses

import numpy as np
import tensorflow as tf

from axial_tf.layers import resize
from axial_tf.panoptic import merging, subpixel_peaks


def _enlarged(center, size=(13, 17), sigma=8.0):
  """A Gaussian seen at stride 4, enlarged to stride 1."""
  y, x = np.mgrid[:size[0], :size[1]] * 4.0
  heat = np.exp(-((y - center[0])**2 + (x - center[1])**2) / (2 * sigma**2))
  full = tuple(4 * (n - 1) + 1 for n in size)
  return resize.resize(
      tf.constant(heat[np.newaxis, ..., np.newaxis], tf.float32), full)[..., 0]


def test_peaks_come_closer_to_the_true_centers(compiled):
  rng = np.random.default_rng(0)
  before, after = [], []
  refined = compiled(subpixel_peaks.refined)
  for center in rng.uniform([10, 10], [38, 54], [20, 2]):
    heat = _enlarged(center)
    peak = np.unravel_index(np.argmax(heat[0]), heat.shape[1:])
    found = refined(heat, tf.constant([[peak]], tf.int32))[0, 0]
    before.append(np.abs(peak - center).max())
    after.append(np.abs(found - center).max())
  assert max(after) < 0.2 < 1.0 < max(before)


def test_peaks_at_edges_and_beside_higher_values_stay(compiled):
  heat = np.zeros([1, 12, 12], np.float32)
  heat[0, 0, 5], heat[0, 6, 6], heat[0, 6, 10] = 1.0, 0.5, 0.9
  heat[0, 2, 6] = 0.25
  found = compiled(subpixel_peaks.refined)(
      tf.constant(heat), tf.constant([[[0, 5], [6, 6]]], tf.int32))
  # (0.5 - 0.25 - 0.5) / (0.5 - 0.25 + 0.5) / 2 of 4 pixels upwards
  np.testing.assert_allclose(
      found[0], [[0, 5], [6 - 2 / 3, 6]], rtol=1e-6)


def test_pixels_go_to_the_refined_centers():
  """Two centers at 10.0 and 18.8; a pixel at 14.3 is nearer to the first."""
  heat = tf.maximum(_enlarged((24, 8)), _enlarged((24, 27.5), sigma=7.0))
  offset = np.zeros([*heat.shape, 2], np.float32)
  arguments = dict(thing_ids=(1,), label_divisor=10, void_label=90)
  semantic = tf.one_hot(tf.ones(heat.shape, tf.int32), 2)
  settings = merging.MergingSettings(center_threshold=0.5)
  borders = [
      int(tf.reduce_sum(tf.cast(merging.merge(
          semantic, heat, tf.constant(offset), settings=chosen, **arguments)[
              'panoptic_map'][0, 24] == 11, tf.int32)))
      for chosen in (
          settings, dataclasses.replace(settings, subpixel_peaks=True))]
  # Peaks at 8 and 28, and about 27.5; ties go to the first.
  assert borders == [19, 18]
