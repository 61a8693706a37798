"""Measures what large data sets cost: images/s of a core, hours of many cores.

Measures on one core of this machine, with photographs of 640x480 pixels: their
conversion to records; the input of a training, with crops of 641x641 and
colors; and their segmentation to files by exports with random weights. Hours
and costs are multiples of these; no large data set is processed.

  python benchmarks/scale.py
  python benchmarks/scale.py --price=0.03 --images=200 --models=axial_deeplab_xl
"""

import contextlib
import io
import itertools
import os
import pathlib
import sys
import tempfile
import time
from typing import Iterator, Tuple

from absl import flags
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli
from axial_tf.data.panoptic import augmentation
from axial_tf.data.panoptic import pipeline as panoptic_pipeline
from axial_tf.export import saved_model
from axial_tf.files import image_files
from axial_tf.inference import panoptic as panoptic_inference
from axial_tf.models import panoptic_networks, settings_by_name
from axial_tf.panoptic import merging
from axial_tf.prediction import predicted_files, predictor, segmented_files
from axial_tf.specs import dataset_spec
from benchmarks import photographs
from data_prep.engine import conversion as conversion_engine
from data_prep.engine import jobs, local_conversion
from data_prep.readers import coco, splits

_IMAGES = flags.DEFINE_integer(
    'images', 100, 'images to convert and to read.', lower_bound=8)
_SEGMENTED = flags.DEFINE_integer(
    'segmented', 5, 'images to segment with each network.', lower_bound=1)
_MODELS = flags.DEFINE_list(
    'models', ['axial_deeplab_s', 'axial_deeplab_l'], 'their networks.')
_PRICE = flags.DEFINE_float('price', 0.04, 'price of a core for an hour.')
_COUNTS = {'10 thousand': 10**4, '10 million': 10**7, 'a billion': 10**9}


def measured(folder: pathlib.Path) -> Iterator[Tuple[str, float]]:
  """Yields kinds of work and images/s.

  Args:
    folder: empty folder for data.
  """
  photos, records = folder / 'photos', folder / 'records'
  spec = dataset_spec.DatasetSpec.load(
      photographs.make(photos, _IMAGES.value))
  split = coco.read_custom_split(
      str(photos), 'val', splits.ReadOptions(spec=str(photos / 'spec.json')))
  split.encode(split.images[0])  # Initializes TensorFlow.
  with _Timer() as timer:
    conversion_engine.convert(
        jobs.Job(split, str(records), 1, {}, {}), 0,
        lambda *arguments: local_conversion.make_shards(
            *arguments, processes=1))
  yield 'conversion', _IMAGES.value / timer.seconds

  images = iter(panoptic_pipeline.train_dataset(
      panoptic_pipeline.PanopticDataSettings(
          train_pattern=str(records / 'val-*'), shuffle_buffer=8,
          augmentation=augmentation.AugmentationSettings(
              crop_size=(641, 641), color_policy='panoptic_deeplab')),
      spec, 1, seed=0))
  next(images)
  with _Timer() as timer:
    for _ in itertools.islice(images, _IMAGES.value):
      pass
  yield 'input of a training', _IMAGES.value / timer.seconds

  files = image_files.find(str(photos / 'val'))[:_SEGMENTED.value]
  for name in _MODELS.value:
    model = _exported(name, spec, str(folder / name))
    model(np.zeros([480, 640, 3], np.uint8))  # Traces the graph.
    with _Timer() as timer:
      segmented_files.segment_here(
          model, image_files.output_stems(files), segmented_files.Results(
              str(folder / f'{name}_results'), predicted_files.Pictures([])), 1)
    yield f'segmentation by {name}', len(files) / timer.seconds


def _exported(name: str, spec: dataset_spec.DatasetSpec, folder: str
              ) -> predictor.Predictor:
  network = panoptic_networks.build(
      settings_by_name.panoptic_settings(name), spec.num_classes)
  network(tf.zeros([1, 65, 65, 3]))
  saved_model.export_saved_model(
      panoptic_inference.PanopticInference(
          network, spec, merging.MergingSettings()), folder)
  return predictor.Predictor(folder)


class _Timer:
  """Measures the seconds of its context."""

  def __enter__(self):
    self._start = time.perf_counter()
    return self

  def __exit__(self, *exception):
    self.seconds = time.perf_counter() - self._start


def main() -> None:
  os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
  tf.config.set_visible_devices([], 'GPU')
  for set_threads in (tf.config.threading.set_intra_op_parallelism_threads,
                      tf.config.threading.set_inter_op_parallelism_threads):
    set_threads(1)
  columns = [f'{count}: core-hours, price' for count in _COUNTS]
  print(f'| work | images/s a core | {" | ".join(columns)} |\n'
        f'|---|---|{"---|" * len(columns)}')
  with tempfile.TemporaryDirectory() as folder, (
      contextlib.redirect_stderr(io.StringIO())):  # Progress of parts.
    for work, rate in measured(pathlib.Path(folder)):
      cells = []
      for count in _COUNTS.values():
        hours = count / rate / 3600
        cells.append(f'{hours:,.1f}, {hours * _PRICE.value:,.2f}'
                     if hours < 100 else
                     f'{hours:,.0f}, {hours * _PRICE.value:,.0f}')
      print(f'| {work} | {rate:.3g} | {" | ".join(cells)} |', flush=True)


if __name__ == '__main__':
  cli.run(main, __doc__)
