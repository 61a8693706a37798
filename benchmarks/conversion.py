"""Measures the speed of data_prep.convert with one process and with several.

The plain loop only encodes and writes one image after another. Rates are given
with and without the start-up time of processes (each loads TensorFlow), which
hardly matters in a conversion of minutes.

  python benchmarks/conversion.py --images=1000 --processes=1,2

Without --input_dir (COCO's layout, with --split and --spec) it generates images
of COCO's size.
"""

import functools
import json
import os
import pathlib
import tempfile
import time

from absl import flags
import numpy as np
from PIL import Image, ImageFilter
import tensorflow as tf

from axial_tf import cli
from data_prep.engine import conversion, faults, jobs, outcomes, shards, workers
from data_prep.readers import coco, splits

_IMAGES = flags.DEFINE_integer('images', 1000, 'maximal number of images.')
_PROCESSES = flags.DEFINE_list('processes', ['1', '2'], 'numbers to try.')
_INPUT = cli.define_path('input_dir', None, 'a folder in COCO\'s layout.')
_SPLIT = flags.DEFINE_string('split', 'val', 'its split.')
_SPEC = cli.define_path('spec', None, 'its spec.')
_HEIGHT, _WIDTH = 480, 640
_DISTINCT = 8


def make_pictures(root: pathlib.Path, count: int) -> str:
  """Writes photo-like images with labels and a spec; returns the spec's path.
  """
  images, labels = root / 'val', root / 'annotations' / 'panoptic_val'
  images.mkdir(parents=True)
  labels.mkdir(parents=True)
  content = {'images': [], 'annotations': []}
  drawn = [_draw(np.random.default_rng(i)) for i in range(_DISTINCT)]
  for number in range(count):
    image, label, segments = drawn[number % _DISTINCT]
    name = f'{number:06d}'
    (images / f'{name}.jpg').write_bytes(image)
    (labels / f'{name}.png').write_bytes(label)
    content['images'].append({
        'id': number, 'file_name': f'{name}.jpg', 'height': _HEIGHT,
        'width': _WIDTH})
    content['annotations'].append({
        'image_id': number, 'file_name': f'{name}.png',
        'segments_info': segments})
  labels.with_suffix('.json').write_text(json.dumps(content))
  spec = root / 'spec.json'
  spec.write_text(json.dumps({
      'name': 'blobs', 'label_divisor': 256, 'ignore_label': 255,
      'categories': [{'id': 1, 'train_id': 0, 'name': 'blob',
                      'is_thing': True, 'color': [1, 2, 3]}]}))
  return str(spec)


def _draw(rng):
  """Returns a noisy JPEG, a label PNG of smooth segments, segments_info."""
  coarse = Image.fromarray(rng.integers(0, 256, [15, 20], np.uint8)).resize(
      (_WIDTH, _HEIGHT), Image.Resampling.BICUBIC)
  ids = np.asarray(coarse).astype(np.int32) // 12 + 1
  pixels = np.asarray(coarse)[..., np.newaxis] // 2 + rng.integers(
      0, 128, [_HEIGHT, _WIDTH, 3], np.uint8)
  photo = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(1))
  label = np.zeros([_HEIGHT, _WIDTH, 3], np.uint8)
  label[..., 0] = ids
  files = []
  with tempfile.TemporaryDirectory() as folder:
    for picture, name in ((photo, 'a.jpg'), (Image.fromarray(label), 'a.png')):
      path = pathlib.Path(folder) / name
      picture.save(path)
      files.append(path.read_bytes())
  return (*files, [
      {'id': int(i), 'category_id': 1, 'iscrowd': 0,
       'area': int((ids == i).sum())} for i in np.unique(ids)])


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
      spec = make_pictures(root / 'made', _IMAGES.value)
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
