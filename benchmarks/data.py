r"""Measures the throughput of the input pipeline, and where its time goes.

Five pipelines read the same records on all cores: decoding only; decoding and
scaling (the floor: no pipeline can skip them); the whole training pipeline, by
the paper's recipe without colors; the same plus the conversion to floats and
targets that the training step does; and that with colors. Their runs alternate;
CPU time is that of the process, which other work on the machine affects less
than the images/s. The images are generated, with texture and noise so that
their files are as large as photographs'; --input takes existing records.

  python benchmarks/data.py                # COCO, 641x641 crops, about 1 min
  python benchmarks/data.py --cityscapes   # 1025x2049 crops, about 2 min
  python benchmarks/data.py --input='datasets/coco/val2017-*' --spec=coco
"""

import dataclasses
import io
import itertools
import pathlib
import sys
import tempfile
import time

from absl import flags
import numpy as np
from PIL import Image
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli
from axial_tf.data.common import reading, record_files
from axial_tf.data.panoptic import augmentation, records, training_batch
from axial_tf.data.panoptic import pipeline as panoptic_pipeline
from axial_tf.panoptic import label_png
from axial_tf.specs import dataset_spec

_CITYSCAPES = flags.DEFINE_bool(
    'cityscapes', False, '1024x2048 PNG images and crops of 1025x2049 '
    'instead of 480x640 JPEG images and crops of 641x641.')
_INPUT = cli.define_path(
    'input', None, 'Pattern of panoptic TFRecords to read instead.')
_SPEC = cli.define_path('spec', 'coco', 'Spec of the records in --input.')
_POLICY = flags.DEFINE_string(
    'color_policy', 'panoptic_deeplab', 'AutoAugment policy of the last row.')
_IMAGES = flags.DEFINE_integer('images', None, 'Images per run.')
_RUNS = flags.DEFINE_integer('runs', 5, 'Number of runs for each median.')

_PICTURES = 8
_FLOOR = 'decode, scale'


@dataclasses.dataclass(frozen=True)
class Scale:
  """Sizes of the pictures and of the crops, height and width."""

  picture: tuple
  crop: tuple
  image_format: str
  images: int


_COCO_SCALE = Scale((480, 640), (641, 641), 'jpeg', 96)
_CITYSCAPES_SCALE = Scale((1024, 2048), (1025, 2049), 'png', 16)


def make_picture(rng: np.random.Generator, size, spec):
  """Makes an image uint8 [height, width, 3] and label int32 [height, width].

  Three bands of background and forty ellipses, each with a different color and
  texture; noise like that of a camera.
  """
  height, width = size
  y, x = np.mgrid[:height, :width] / height
  waves = sum(
      np.sin(2 * np.pi * (2**k * (rng.normal() * x + rng.normal() * y)
                          + rng.random())) / 2**k for k in range(6))
  index = np.minimum(3 * y + 0.1 * waves, 2.9).clip(0).astype(np.int32)
  labels = [spec.stuff_ids[k] * spec.label_divisor for k in range(3)]
  for number in range(40):
    center = rng.random(2) * [1, width / height]
    radius = 0.01 + 0.15 * rng.random(2)**2
    inside = (((y - center[0]) / radius[0])**2
              + ((x - center[1]) / radius[1])**2 + 0.1 * waves) < 1
    index[inside] = len(labels)
    train_id = spec.thing_ids[rng.integers(len(spec.thing_ids))]
    labels.append(train_id * spec.label_divisor + number + 1)
  colors = rng.uniform(30, 220, [len(labels), 3])
  texture = rng.uniform(5, 25, [len(labels), 1])
  image = (colors[index] + texture[index] * waves[..., np.newaxis]
           + rng.normal(0, 4.0, [height, width, 3]))
  return (image.clip(0, 255).astype(np.uint8),
          np.array(labels, np.int32)[index])


def write_records(folder: str, scale: Scale, spec) -> str:
  """Writes some pictures as one shard; returns its pattern."""
  rng = np.random.default_rng(0)
  image_bytes, label_bytes = [], []
  path = pathlib.Path(folder) / record_files.shard_name('bench', 0, 1)
  with tf.io.TFRecordWriter(str(path)) as writer:
    for number in range(_PICTURES):
      image, panoptic = make_picture(rng, scale.picture, spec)
      buffer = io.BytesIO()
      Image.fromarray(image).save(buffer, scale.image_format, quality=95)
      image_bytes.append(len(buffer.getvalue()))
      label_bytes.append(len(label_png.encode(panoptic)))
      writer.write(records.encode_panoptic_example(
          buffer.getvalue(), scale.image_format, f'{number}',
          *scale.picture, panoptic))
  raw = 4 * scale.picture[0] * scale.picture[1]
  print(f'{_PICTURES} pictures of {scale.picture[0]}x{scale.picture[1]}: '
        f'{np.mean(image_bytes) / 1e3:.0f} kB as {scale.image_format}; labels '
        f'{np.mean(label_bytes) / 1e3:.1f} kB as PNG, {raw / 1e3:.0f} kB as '
        f'raw int32: {raw / np.mean(label_bytes):.0f} times smaller')
  return str(path)


def make_pipelines(pattern: str, scale: Scale, spec):
  """Returns the endless data sets to compare, one image at a time."""
  settings = panoptic_pipeline.PanopticDataSettings(
      train_pattern=pattern, shuffle_buffer=_PICTURES,
      augmentation=augmentation.AugmentationSettings(crop_size=scale.crop))
  colorful = dataclasses.replace(settings, augmentation=dataclasses.replace(
      settings.augmentation, color_policy=_POLICY.value))
  batches, colorful_batches = (
      panoptic_pipeline.train_dataset(each, spec, 1, seed=0)
      for each in (settings, colorful))
  encoded = tf.data.TFRecordDataset(
      record_files.verify_shards(pattern).paths).repeat()

  def decode(serialized):
    example = records.decode_panoptic_example(serialized)
    return example['image'], example['panoptic']

  def decode_and_scale(seed, serialized):
    image, panoptic = decode(serialized)
    # Split like the seeds of the whole pipeline, so that factors are the same.
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 6))
    size = augmentation.random_size(
        tf.shape(panoptic), seeds[0], settings.augmentation.scale_range,
        settings.augmentation.scale_step)
    return augmentation.random_window(
        image, panoptic, seeds[1], size, scale.crop)

  def unpack(batch):
    return training_batch.unpack(batch, spec, settings.targets, 'edge')

  return {
      'decode': encoded.map(decode, num_parallel_calls=reading.AUTOTUNE),
      _FLOOR: reading.map_with_seeds(encoded, decode_and_scale, 0, None),
      'pipeline': batches,
      'pipeline, targets': batches.map(unpack),
      'colors, pipeline, targets': colorful_batches.map(unpack),
  }


def measure(pipelines, images: int, runs: int):
  """Returns median wall and CPU seconds per image of each pipeline."""
  times = {name: [] for name in pipelines}
  for _ in range(runs):
    for name, dataset in pipelines.items():
      iterator = iter(dataset)
      for _ in range(4):  # Let the threads start.
        next(iterator)
      wall, cpu = time.perf_counter(), time.process_time()
      for _ in itertools.islice(iterator, images):
        pass
      times[name].append(((time.perf_counter() - wall) / images,
                          (time.process_time() - cpu) / images))
  return {name: np.median(values, axis=0) for name, values in times.items()}


def main():
  scale = _CITYSCAPES_SCALE if _CITYSCAPES.value else _COCO_SCALE
  spec = dataset_spec.DatasetSpec.load(_SPEC.value)
  images = _IMAGES.value or scale.images
  with tempfile.TemporaryDirectory() as folder:
    pattern = _INPUT.value or write_records(folder, scale, spec)
    medians = measure(
        make_pipelines(pattern, scale, spec), images, _RUNS.value)
  print(f'crops of {scale.crop[0]}x{scale.crop[1]}, {images} images, median of '
        f'{_RUNS.value} runs')
  print(f'{"what":25} | images/s | CPU ms per image | of it decoding and '
        f'scaling')
  _, floor = medians[_FLOOR]
  for name, (wall, cpu) in medians.items():
    share = f'{100 * floor / cpu:.0f} %' if cpu > floor else ''
    print(f'{name:25} | {1 / wall:8.1f} | {1e3 * cpu:16.1f} | {share}')


if __name__ == '__main__':
  cli.run(main, __doc__)
