"""Measures the speed of data_prep.convert with one process and with several.

The plain loop only encodes and writes one image after another. Rates are given
with and without the start-up time of processes (each loads TensorFlow), which
hardly matters in a conversion of minutes.

  python benchmarks/conversion.py --images=1000 --processes=1,2

Without --input_dir (COCO's layout, with --split and --spec) it generates images
of COCO's size.
"""

import functools
import os
import pathlib
import sys
import tempfile
import time

from absl import flags
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli
from benchmarks import photographs
from data_prep.engine import conversion, faults, jobs, outcomes, shards, workers
from data_prep.readers import coco, splits

_IMAGES = flags.DEFINE_integer('images', 1000, 'maximal number of images.')
_PROCESSES = flags.DEFINE_list('processes', ['1', '2'], 'numbers to try.')
_INPUT = cli.define_path('input_dir', None, 'a folder in COCO\'s layout.')
_SPLIT = flags.DEFINE_string('split', 'val', 'its split.')
_SPEC = cli.define_path('spec', None, 'its spec.')


def plain_loop(split: splits.Split, folder: str) -> float:
  """Returns the seconds of a loop without shards, checksums or reports."""
  start = time.perf_counter()
  with tf.io.TFRecordWriter(os.path.join(folder, 'plain.tfrecord')) as writer:
    for image in split.images:
      writer.write(
          outcomes.of_image(split.encode, image).encoded.serialized)
  return time.perf_counter() - start


def converted(split: splits.Split, folder: str, processes: int):
  """Returns the seconds of a conversion: in total, and until its first image.
  """
  start, first = time.perf_counter(), []

  def make_shards(job: jobs.Job, target: str, indices,
                  collected: faults.Faults):
    results = workers.ordered_map(
        functools.partial(outcomes.of_image, split.encode), job.images,
        processes)
    for index in indices:
      parts = []
      for _ in job.shard_images(index):
        parts.append(next(results))
        if not first:
          first.append(time.perf_counter() - start)
      shards.write(target, job.shard_names[index], job.fingerprint, parts,
                   collected)

  job = jobs.Job(split, folder, jobs.default_num_shards(len(split.images)),
                 {}, {})
  conversion.convert(job, 0, make_shards)
  return time.perf_counter() - start, first[0]


def main() -> None:
  with tempfile.TemporaryDirectory() as folder:
    root = pathlib.Path(folder)
    spec, source = _SPEC.value, _INPUT.value
    if source is None:
      source = str(root / 'made')
      spec = photographs.make(root / 'made', _IMAGES.value)
    split = coco.read_custom_split(
        source, _SPLIT.value, splits.ReadOptions(spec=spec))
    split = splits.Split(split.name, split.spec, split.images[:_IMAGES.value],
                         split.encode, split.is_training)
    count = len(split.images)
    outcomes.of_image(split.encode, split.images[0])  # Initializes TensorFlow.
    plain = plain_loop(split, folder)
    print(f'plain loop: {count / plain:.1f} images/s ({count} images)')
    for processes in map(int, _PROCESSES.value):
      seconds, first = converted(
          split, str(root / f'out{processes}'), processes)
      steady = (count - 1) / (seconds - first)
      print(f'{processes} processes: {steady:.1f} images/s, '
            f'{steady * plain / count:.2f} x the plain loop; with '
            f'{first:.1f} s of starting {count / seconds:.1f} images/s, '
            f'{plain / seconds:.2f} x')


if __name__ == '__main__':
  cli.run(main, __doc__)
