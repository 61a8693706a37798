"""Compares PQ of files on one core with panopticapi and hotcoco.

All three read the same JSON files and PNGs and must agree on every count. The
scenes are generated: regions with rough borders, as many as in the data set,
and a prediction with other borders that misses some. Images per second are by
the median of alternating runs; "decoding" only reads the PNGs of both sides,
the part that no evaluator can skip.

  python benchmarks/evaluation.py          # both sizes, about 3 minutes
  python benchmarks/evaluation.py --images=4 --runs=3
"""

import contextlib
import functools
import io
import json
import os
import pathlib
import sys
import tempfile

from absl import flags
import hotcoco.panoptic
import numpy as np
from panopticapi import evaluation as panopticapi

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli
from axial_tf.evaluation import panoptic_files, panoptic_quality
from axial_tf.prediction import results
from axial_tf.prediction.formats import coco as coco_results
from axial_tf.specs import dataset_spec
from benchmarks import measure

_IMAGES = flags.DEFINE_integer('images', 8, 'Images of each size.')
_RUNS = flags.DEFINE_integer('runs', 5, 'Number of runs for each median.')

# Name of the spec, height, width, segments per image.
_SIZES = (('coco', 480, 640, 12), ('cityscapes', 1024, 2048, 50))


def make_map(rng, height: int, width: int, segments: int, spec) -> np.ndarray:
  """Returns labels of regions around random points, with rough borders."""
  points = rng.random([segments, 2]) * [height, width]
  y, x = np.mgrid[:height, :width].astype(np.float32)
  # Shifts that vary over 20 pixels bend the borders, noise roughens them.
  for axis in (y, x):
    coarse = rng.normal(0, 12, [height // 20 + 2, width // 20 + 2])
    axis += np.kron(coarse, np.ones([20, 20]))[:height, :width]
    axis += rng.normal(0, 0.3, axis.shape)
  nearest = np.zeros([height, width], np.int32)
  best = np.full([height, width], np.inf, np.float32)
  for index, (top, left) in enumerate(points):
    distance = (y - top)**2 + (x - left)**2
    nearest = np.where(distance < best, index, nearest)
    best = np.minimum(best, distance)
  labels = np.array([
      c * spec.label_divisor + (1 + i if c in spec.thing_ids else 0)
      for i, c in enumerate(rng.choice(
          spec.thing_ids + spec.stuff_ids, segments))])
  labels[0] = spec.void_label
  return labels[nearest]


def write_scenes(folder: pathlib.Path, name: str, height: int, width: int,
                 segments: int):
  """Writes both sides and returns their JSON files."""
  spec = dataset_spec.DatasetSpec.load(name)
  rng = np.random.default_rng(0)
  paths = [str(folder / f'{name}_{side}.json') for side in ('gt', 'pred')]
  writers = [coco_results.PanopticWriter(path, spec) for path in paths]
  for number in range(_IMAGES.value):
    truth = make_map(rng, height, width, segments, spec)
    prediction = np.roll(truth, rng.integers(-4, 5, 2), axis=(0, 1))
    missed = rng.choice(np.unique(truth), segments // 8)
    prediction[np.isin(prediction, missed)] = spec.void_label
    for writer, labels in zip(writers, (truth, prediction)):
      writer.add(number, f'{number:06d}.png',
                 results.PanopticResult.from_map(labels, spec))
  for writer in writers:
    writer.close()
  return paths


def ours(paths):
  truth, prediction = map(panoptic_files.PanopticFiles.load, paths)
  spec = truth.spec()
  quality = panoptic_quality.PanopticQuality(spec)
  for image in panoptic_files.compare(truth, prediction, spec):
    quality.add(image.pairs)
  return {spec.category(i).id: (s['tp'], s['fp'], s['fn'])
          for i, s in quality.result()['per_class'].items()}


def official(paths):
  contents = [json.loads(pathlib.Path(p).read_text()) for p in paths]
  pairs = list(zip(*(content['annotations'] for content in contents)))
  categories = {c['id']: c for c in contents[0]['categories']}
  with contextlib.redirect_stdout(io.StringIO()):
    stat = panopticapi.pq_compute_single_core(
        0, pairs, *(p[:-len('.json')] for p in paths), categories)
  return {i: (stat[i].tp, stat[i].fp, stat[i].fn) for i in categories}


def by_hotcoco(paths):
  evaluation = hotcoco.panoptic.PanopticEval(*paths)
  evaluation.evaluate()
  return {i: (s['tp'], s['fp'], s['fn'])
          for i, s in evaluation.results()['per_class'].items()}


def decoding(paths):
  for path in paths:
    side = panoptic_files.PanopticFiles.load(path)
    for image_id in side.annotations:
      panoptic_files.read_ids(side, image_id)


_FUNCTIONS = {'ours': ours, 'panopticapi': official, 'hotcoco': by_hotcoco,
              'decoding': decoding}


def main():
  # hotcoco starts its threads when it is first used.
  os.environ['RAYON_NUM_THREADS'] = '1'
  os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
  print(f'images/s on one core; {_IMAGES.value} images, median of '
        f'{_RUNS.value} alternating runs')
  print('size                    ours  panopticapi  hotcoco  decoding | '
        'times panopticapi')
  with tempfile.TemporaryDirectory() as folder:
    for name, height, width, segments in _SIZES:
      paths = write_scenes(
          pathlib.Path(folder), name, height, width, segments)
      counts = ours(paths)
      if not counts == official(paths) == by_hotcoco(paths):
        raise AssertionError(f'{name}: the three do not agree')
      times = measure.median_times(
          {k: functools.partial(f, paths) for k, f in _FUNCTIONS.items()},
          _RUNS.value)
      rates = {k: 1e3 * _IMAGES.value / t for k, t in times.items()}
      print(f'{name:10} {width:4}x{height:<4} {rates["ours"]:8.1f} '
            f'{rates["panopticapi"]:12.1f} {rates["hotcoco"]:8.1f} '
            f'{rates["decoding"]:9.1f} | '
            f'{rates["ours"] / rates["panopticapi"]:5.1f}', flush=True)


if __name__ == '__main__':
  cli.run(main, __doc__)
