"""Compares speed and memory of merging with a dense distance tensor.

Both get the same heads and differ in one step, the assignment of pixels to
centers: ours iterates over tiles of pixels and, in each, over the few candidate
centers; the dense one allocates a tensor [pixels, centers, 2]. Times are
medians of alternating runs in one process; peak memory is that of a separate
process, minus the memory for making the heads, which is small with 4 classes
(Linux only).

  python benchmarks/merging.py                  # 641x641, 134 classes, < 1 min
  python benchmarks/merging.py --cityscapes     # 1025x2049, 19 classes, 4 GB
"""

import pathlib
import sys

from absl import flags
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli
from axial_tf.panoptic import merging, targets
from benchmarks import measure

_CITYSCAPES = flags.DEFINE_bool(
    'cityscapes', False, '1025x2049 with 19 classes instead of 641x641 with '
    '134.')
_CENTERS = flags.DEFINE_list(
    'centers', ['20', '200'], 'Numbers of instances to try.')
_RUNS = flags.DEFINE_integer('runs', 5, 'Number of runs for each median.')

_IDS = {'thing_ids': (1, 2, 3), 'label_divisor': 1000}
_SETTINGS = merging.MergingSettings()


def make_heads(height: int, width: int, classes: int, instances: int):
  """Makes heads of an image that is half covered by a grid of instances."""
  columns = int(np.ceil(np.sqrt(instances * width / height)))
  rows = -(-instances // columns)
  y, x = np.mgrid[:height, :width]
  row, y = np.divmod(y * rows / height, 1)
  column, x = np.divmod(x * columns / width, 1)
  cell = (row * columns + column).astype(np.int32)
  is_instance = (np.maximum(abs(y - 0.5), abs(x - 0.5)) < 0.36) & (
      cell < instances)
  panoptic = np.where(is_instance, (1 + cell % 3) * 1000 + 1 + cell, 0)
  maps = targets.panoptic_targets(
      tf.constant(panoptic, tf.int32), ignore_label=255, **_IDS)
  noise = tf.random.stateless_uniform([height, width, classes], [0, 1])
  probabilities = tf.nn.softmax(
      8.0 * tf.one_hot(maps['semantic'], classes) + noise)
  offset = maps['offset'] + tf.random.stateless_normal(
      [height, width, 2], [0, 2], stddev=5.0)
  return tuple(
      value[tf.newaxis]
      for value in (probabilities, maps['center_heatmap'], offset))


def assign_densely(offset, is_thing, centers, found):
  """Computes `merging.assign_pixels` for one image, with a dense tensor."""
  _, height, width, _ = offset.shape
  grid = tf.stack(
      tf.meshgrid(tf.range(height), tf.range(width), indexing='ij'), -1)
  pointed = tf.reshape(tf.cast(grid, tf.float32) + offset[0], [-1, 1, 2])
  centers = tf.cast(centers[:, :found[0]], tf.float32)
  distance = tf.norm(pointed - centers, axis=-1)  # [pixels, centers]
  nearest = tf.argmin(distance, -1, output_type=tf.int32)
  return tf.where(is_thing, tf.reshape(nearest, is_thing.shape) + 1, 0)


def make_merge(assign):
  """Returns a graph function that merges with the given assignment."""
  def merge(*heads):
    ours = merging.assign_pixels
    merging.assign_pixels = assign  # while the function is traced
    try:
      return merging.merge(*heads, void_label=0, settings=_SETTINGS, **_IDS)
    finally:
      merging.assign_pixels = ours
  return tf.function(merge, autograph=False)


_ASSIGNMENTS = {'tiles': merging.assign_pixels, 'dense': assign_densely}


def memory(kind: str, size) -> float:
  """Megabytes that merging adds to the peak of this process."""
  make_merge(_ASSIGNMENTS[kind])(*make_heads(16, 16, 4, 2))  # loads libraries
  heads = make_heads(*size)
  merge = make_merge(_ASSIGNMENTS[kind])
  return measure.peak_memory(lambda: merge(*heads)['panoptic_map'].numpy())


def times(heads, runs: int):
  """Returns milliseconds of each kind, and the share of pixels that differ."""
  functions = {k: make_merge(assign) for k, assign in _ASSIGNMENTS.items()}
  maps = {k: f(*heads)['panoptic_map'].numpy() for k, f in functions.items()}
  medians = measure.median_times(
      {k: lambda f=f: f(*heads)['panoptic_map'].numpy()
       for k, f in functions.items()}, runs)
  return medians, np.mean(maps['tiles'] != maps['dense'])


def main():
  size = (1025, 2049, 19) if _CITYSCAPES.value else (641, 641, 134)
  print(f'heads of {size[0]}x{size[1]}, {size[2]} classes; median of '
        f'{_RUNS.value} alternating runs')
  print('centers |  tiles ms    MB | dense ms     MB | times faster | '
        'pixels that differ')
  for centers in map(int, _CENTERS.value):
    used = {
        kind: measure.in_new_process(memory, kind, (*size[:2], 4, centers))
        for kind in _ASSIGNMENTS}
    taken, differing = times(make_heads(*size, centers), _RUNS.value)
    print(f'{centers:7} | {taken["tiles"]:9.0f} {used["tiles"]:5.0f} | '
          f'{taken["dense"]:8.0f} {used["dense"]:6.0f} | '
          f'{taken["dense"] / taken["tiles"]:12.1f} | {differing:.1e}',
          flush=True)


if __name__ == '__main__':
  cli.run(main, __doc__)
