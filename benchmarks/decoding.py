"""Measures what decoding costs beside the network, at 641 pixels.

Of a run, the network and the decoding of validation images that are enlarged to
a long side of 641 pixels; of an SSAP also its decoding as one flat graph:

  python benchmarks/decoding.py --model_dir=runs/camvid_ssap

Without a run, the decoding of DeeperLab's perfect heads for images of COCO, and
its network with Xception-71 (for SSAP, see partition.py):

  python benchmarks/decoding.py --records='datasets/coco/val2017-*.tfrecord'
"""

import dataclasses
import itertools
import os
import pathlib
import sys

from absl import flags
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli, errors
from axial_tf.data.common import record_files, resizing
from axial_tf.data.panoptic import pipeline as panoptic_pipeline
from axial_tf.data.panoptic import records
from axial_tf.experiment import config, restore
from axial_tf.files import model_folders
from axial_tf.inference import panoptic as panoptic_inference
from axial_tf.models import variants
from axial_tf.panoptic.deeperlab import decoding_settings
from axial_tf.panoptic.deeperlab import targets as keypoint_targets
from axial_tf.panoptic.ssap import cascade_settings
from axial_tf.specs import dataset_spec
from benchmarks import measure

_MODEL_DIR = cli.define_path('model_dir', None, 'folder of a panoptic run.')
_RECORDS = cli.define_path('records', None, 'pattern of the shards.')
_SPEC = cli.define_path('spec', 'coco', 'spec of the records.')
_IMAGES = flags.DEFINE_integer('images', 3, 'images to decode.', lower_bound=1)
_RUNS = flags.DEFINE_integer('runs', 3, 'runs for each median.', lower_bound=1)
_LONG_SIDE = flags.DEFINE_integer('long_side', 641, 'in pixels.')


def of_run(model_dir: str) -> None:
  """Prints a line for each of the first validation images."""
  inference = restore.load_inference(model_dir)
  data = config.parse([os.path.join(model_dir, model_folders.CONFIG)]).task.data
  network = tf.function(inference.heads, autograph=False)
  decodings = {'decoding': inference.decoding}
  if isinstance(inference.merging, cascade_settings.CascadeSettings):
    decodings['flat'] = panoptic_inference.PanopticInference(
        inference.model, inference.spec, dataclasses.replace(
            inference.merging, start_stride=4)).decoding
  merges = {name: tf.function(decoding.merge, autograph=False)
            for name, decoding in decodings.items()}
  for example in itertools.islice(panoptic_pipeline.validation_dataset(
      data, inference.spec, 1), _IMAGES.value):
    image = example['image'][:, :example['height'][0], :example['width'][0]]
    size = _enlarged(image.shape[1:3])
    image = tf.cast(tf.image.resize(image, size), tf.uint8)
    heads = network(image)
    found = merges['decoding'](heads)['panoptic_map']
    _print(size, len(np.unique(found)), {
        'network': lambda image=image: network(image)[
            'semantic_probabilities'],
        **{name: lambda heads=heads, merge=merge: merge(heads)['panoptic_map']
           for name, merge in merges.items()}})


def of_perfect_keypoints(pattern: str, spec: dataset_spec.DatasetSpec) -> None:
  """Prints a line for each of the first images of the records."""
  model = variants.VARIANTS['deeperlab_xception71'].build(spec.num_classes)
  decoding = panoptic_inference.PanopticInference(
      model, spec, decoding_settings.DeeperLabDecodingSettings()).decoding
  merge = tf.function(decoding.merge, autograph=False)
  run = tf.function(lambda image: model(image, training=False),
                    autograph=False)
  paths = record_files.verify_shards(pattern).paths
  for serialized in tf.data.TFRecordDataset(list(paths)).take(_IMAGES.value):
    label = records.decode_panoptic_example(serialized)['panoptic'].numpy()
    size = _enlarged(label.shape)
    label = resizing.nearest_array(label, *size)
    maps = keypoint_targets.keypoint_targets(
        tf.constant(label), thing_ids=spec.thing_ids,
        label_divisor=spec.label_divisor, ignore_label=spec.ignore_label)
    heads = {name: maps[name] for name in decoding.HEADS}
    heads['semantic_probabilities'] = tf.one_hot(
        label // spec.label_divisor, spec.num_classes)[tf.newaxis]
    image = tf.zeros([1, *size, 3])
    _print(size, len(np.unique(merge(heads)['panoptic_map'])), {
        'network': lambda image=image: run(image)['semantic_logits'],
        'decoding': lambda heads=heads: merge(heads)['panoptic_map']})


def _enlarged(size):
  scale = _LONG_SIDE.value / max(size)
  return tuple(round(scale * n) for n in size)


def _print(size, segments: int, functions) -> None:
  times = measure.median_times(functions, _RUNS.value)
  network = times.pop('network')
  print(f'{size[1]}x{size[0]}, {segments} segments: network '
        f'{network / 1e3:.2f} s', *(
            f'{name} {time / 1e3:.3f} s ({100 * time / network:.1f} % of it)'
            for name, time in times.items()), sep=', ', flush=True)


def main() -> None:
  if _MODEL_DIR.value:
    of_run(_MODEL_DIR.value)
  elif _RECORDS.value:
    of_perfect_keypoints(
        _RECORDS.value, dataset_spec.DatasetSpec.load(_SPEC.value))
  else:
    raise errors.UserError('--model_dir or --records is required')


if __name__ == '__main__':
  cli.run(main, __doc__)
