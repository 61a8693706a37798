"""Scores the rules against false instances on the same heads.

Segments the validation images of a run once, keeps the heads, and merges them
in several ways: as in the paper, with the suppression up to the border, and
with checks of the area of instances and of their agreement with their centers.
Every second image is held out: choose values on the others. Milliseconds are
the median over images of merging alone.

  python benchmarks/merging_options.py --model_dir=runs/nuclei
  python benchmarks/merging_options.py --model_dir=runs/nuclei --scales=1,1.5,2
  python benchmarks/merging_options.py --model_dir=runs/nuclei --long_side=641
"""

import dataclasses
import os
import pathlib
import sys
from typing import Dict, NamedTuple, Sequence

from absl import flags
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli
from axial_tf.data.common import resizing
from axial_tf.data.panoptic import pipeline as panoptic_pipeline
from axial_tf.evaluation import panoptic_quality
from axial_tf.experiment import config, restore
from axial_tf.files import model_folders
from axial_tf.inference import multi_scale
from axial_tf.inference import panoptic as panoptic_inference
from axial_tf.panoptic import merging
from axial_tf.specs import dataset_spec
from benchmarks import measure

_MODEL_DIR = cli.define_path('model_dir', None, 'folder of the run.')
_SCALES = flags.DEFINE_list('scales', ['1'], 'scales to average over.')
_LONG_SIDE = flags.DEFINE_integer(
    'long_side', None, 'longest side to which images are resized first; by '
    'default they keep their size.', lower_bound=1)
_THRESHOLD = flags.DEFINE_float(
    'center_threshold', 0.2, 'center_threshold of all rows but the first.')
_AREA = flags.DEFINE_integer(
    'min_instance_area', 20, 'area of the rows with "area".')
_AGREEMENT = flags.DEFINE_float(
    'min_agreement', 0.3, 'share of the rows with "agreement".')
_RUNS = flags.DEFINE_integer('runs', 3, 'timed runs of each image.')
# Scores and counts of the things.
_COLUMNS = ('PQ', 'SQ', 'RQ', 'hits', 'false', 'missed')


class Image(NamedTuple):
  """One validation image: its heads, a batch of 1, and its true map."""

  heads: Sequence[tf.Tensor]
  truth: np.ndarray


def ways(settings: merging.MergingSettings
         ) -> Dict[str, merging.MergingSettings]:
  """Returns the settings to compare, by their names."""
  area = {'min_instance_area': _AREA.value}
  agreement = {'min_agreement': _AGREEMENT.value}
  window = dataclasses.replace(
      settings, center_threshold=_THRESHOLD.value, suppression='window',
      min_instance_area=0, min_agreement=0.0)
  border = dataclasses.replace(window, suppression='border')
  return {
      'as configured': settings,
      'window': window,
      'window, area': dataclasses.replace(window, **area),
      'window, agreement': dataclasses.replace(window, **agreement),
      'border': border,
      'border, area': dataclasses.replace(border, **area),
      'border, agreement': dataclasses.replace(border, **agreement),
      'border, area, agreement': dataclasses.replace(
          border, **area, **agreement),
  }


def segmented(inference: panoptic_inference.PanopticInference,
              data: panoptic_pipeline.PanopticDataSettings):
  """Yields the validation images with the heads of the network."""
  segment = tf.function(inference, input_signature=[
      tf.TensorSpec([1, None, None, 3], tf.uint8)], autograph=False)
  for example in panoptic_pipeline.validation_dataset(data, inference.spec, 1):
    outputs = segment(example['image'])
    yield Image(
        [outputs[key] for key in (
            'semantic_probabilities', 'center_heatmap', 'offset')],
        example['panoptic'][0].numpy())


def score(images: Sequence[Image], settings: merging.MergingSettings,
          spec: dataset_spec.DatasetSpec, runs: int):
  """Returns the results on even and on odd images, and ms an image."""
  merge = tf.function(
      lambda *heads: merging.merge(
          *heads, thing_ids=spec.thing_ids, label_divisor=spec.label_divisor,
          void_label=spec.void_label, settings=settings)['panoptic_map'],
      input_signature=[
          tf.TensorSpec([1, None, None, spec.num_classes]),
          tf.TensorSpec([1, None, None]), tf.TensorSpec([1, None, None, 2])],
      autograph=False)
  halves = [panoptic_quality.PanopticQuality(spec) for _ in range(2)]
  times = []
  for place, image in enumerate(images):
    found = resizing.nearest_array(
        merge(*image.heads)[0].numpy(), *image.truth.shape)
    halves[place % 2].update(image.truth, found)
    times.append(measure.median_times(
        {'merge': lambda heads=image.heads: merge(*heads)}, runs)['merge'])
  return [half.result() for half in halves], float(np.median(times))


def columns(result, spec: dataset_spec.DatasetSpec) -> str:
  """Formats the values of `_COLUMNS`."""
  things = result['things']
  counts = [
      sum(result['per_class'][train_id][key] for train_id in spec.thing_ids)
      for key in ('tp', 'fp', 'fn')]
  return ' | '.join(
      [f'{100 * things[key]:.1f}' for key in ('pq', 'sq', 'rq')]
      + [str(count) for count in counts])


def main() -> None:
  cli.require(model_dir='the folder of a training run')
  task = config.parse(
      [os.path.join(_MODEL_DIR.value, model_folders.CONFIG)]).task
  data = task.data
  if _LONG_SIDE.value:
    data = dataclasses.replace(
        data, max_long_side=_LONG_SIDE.value, enlarge=True)
  restored = restore.load_inference(_MODEL_DIR.value)
  inference = panoptic_inference.PanopticInference(
      restored.model, restored.spec, restored.merging,
      multi_scale=multi_scale.MultiScaleSettings(
          tuple(cli.numbers('scales', _SCALES.value))))
  images = list(segmented(inference, data))
  sizes = np.array([image.heads[1].shape[1:] for image in images])
  print(f'{len(images)} images of up to {sizes[:, 0].max()}x'
        f'{sizes[:, 1].max()}; scales {",".join(_SCALES.value)}\n\n'
        f'| merging | {" | ".join(_COLUMNS)} | held-out '
        f'{" | ".join(_COLUMNS)} | ms an image |\n'
        f'|{"---|" * (2 * len(_COLUMNS) + 2)}')
  for name, settings in ways(inference.merging).items():
    (chosen, held_out), milliseconds = score(
        images, settings, inference.spec, _RUNS.value)
    print(f'| {name} | {columns(chosen, inference.spec)} | '
          f'{columns(held_out, inference.spec)} | {milliseconds:.1f} |',
          flush=True)


if __name__ == '__main__':
  cli.run(main, __doc__)
