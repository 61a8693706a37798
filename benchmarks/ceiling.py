"""Measures the upper bound of PQ: ground truth as targets, merged and scored.

A network that predicts its training targets perfectly cannot score more than
this. There are three variants of Panoptic-DeepLab: heads at the image's
resolution merged with the spec's settings; the same keeping stuff of any area;
and heads at stride 4, upsampled as in the network, keeping stuff of any area.
The last one has an equal of DeeperLab. Two more are SSAP's, from affinities at
strides 64 to 4, and from those at strides 64 to 8 as in an export; both have
classes at the image's resolution and keep stuff of any area.

Example (after `python -m data_prep.convert ... --output_dir=datasets/coco`):
  python benchmarks/ceiling.py --spec=coco \\
    --records='datasets/coco/val2017-*.tfrecord'

Without --records it makes and uses the embedded digits sample.
"""

import dataclasses
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli
from axial_tf.data.common import record_files
from axial_tf.data.panoptic import records
from axial_tf.evaluation import label_maps, panoptic_quality
from axial_tf.files import paths as paths_lib
from axial_tf.layers import resize
from axial_tf.panoptic import merging, targets
from axial_tf.panoptic.deeperlab import decoding as keypoint_decoding
from axial_tf.panoptic.deeperlab import targets as keypoint_targets
from axial_tf.panoptic.deeperlab.decoding_settings import (
  DeeperLabDecodingSettings,
)
from axial_tf.panoptic.ssap import cascade_settings
from axial_tf.panoptic.ssap import decoding as affinity_decoding
from axial_tf.specs import dataset_spec
from benchmarks import perfect_affinities

_RECORDS = cli.define_path('records', None, 'pattern of the shards.')
_SPEC = cli.define_path(
    'spec', 'gin_configs/datasets/digits.json', 'name or path of the spec.')
_STRIDE = 4


def perfect_heads(panoptic: tf.Tensor, spec: dataset_spec.DatasetSpec):
  """Returns class scores, heatmap and offsets [1, h, w, ...] of a label."""
  maps = targets.panoptic_targets(
      panoptic, thing_ids=spec.thing_ids, label_divisor=spec.label_divisor,
      ignore_label=spec.ignore_label)
  return (tf.one_hot(maps['semantic'], spec.num_classes)[tf.newaxis],
          maps['center_heatmap'][tf.newaxis], maps['offset'][tf.newaxis])


def at_stride(heads):
  """Samples the heads at stride 4 and upsamples them as the network does."""
  size = heads[1].shape[1:3]
  margins = [-(-(n - 1) // _STRIDE) * _STRIDE + 1 - n for n in size]

  def through(head):
    head = tf.pad(head, [[0, 0], [0, margins[0]], [0, margins[1]], [0, 0]])
    full = resize.resize(head[:, ::_STRIDE, ::_STRIDE], head.shape[1:3])
    return full[:, :size[0], :size[1]]

  semantic, heatmap, offset = heads
  # Between two equal samples the upsampled heatmap is flat and each pixel is a
  # peak. No network outputs equal samples: a slight tilt separates them.
  rows = tf.range(size[0], dtype=tf.float32)[:, tf.newaxis]
  columns = tf.range(size[1], dtype=tf.float32)
  heatmap *= 1 + 1e-5 * rows + 3e-5 * columns
  return through(semantic), through(heatmap[..., tf.newaxis])[..., 0], (
      through(offset))


def merge(heads, spec, settings):
  return merging.merge(
      *heads, thing_ids=spec.thing_ids, label_divisor=spec.label_divisor,
      void_label=spec.void_label, settings=settings)['panoptic_map'][0].numpy()


def decode_keypoints(panoptic: tf.Tensor, heads, spec) -> np.ndarray:
  """Decodes DeeperLab's heads at stride 4, equal to the targets of a label."""
  maps = keypoint_targets.keypoint_targets(
      panoptic, thing_ids=spec.thing_ids, label_divisor=spec.label_divisor,
      ignore_label=spec.ignore_label)
  return keypoint_decoding.decode(
      tf.argmax(at_stride(heads)[0], -1, output_type=tf.int32),
      {name: maps[name] for name in (
          'keypoint_heatmap', 'long_offset', 'short_offset',
          'middle_offset')},
      classes=spec.num_classes, thing_ids=spec.thing_ids,
      label_divisor=spec.label_divisor, void_label=spec.void_label,
      settings=DeeperLabDecodingSettings())['panoptic_map'][0].numpy()


def partition(panoptic, spec, stop_stride: int):
  """Returns SSAP's map of a label from its affinities and classes."""
  # Void is a class of stuff here, which is compared with nothing.
  category = np.minimum(panoptic // spec.label_divisor, spec.num_classes)
  found = affinity_decoding.decode(
      perfect_affinities.heads(panoptic, spec), category,
      classes=spec.num_classes + 1, thing_ids=spec.thing_ids,
      label_divisor=spec.label_divisor, void_label=spec.void_label,
      settings=cascade_settings.CascadeSettings(
          stop_stride=stop_stride, stuff_area_limit=0))
  is_void = found // spec.label_divisor == spec.num_classes
  return np.where(is_void, spec.void_label, found)


def lost_segments(truth, prediction, spec):
  """Yields (category name, label, area, best IoU) of segments not matched."""
  pairs = label_maps.overlaps(truth, prediction, spec)
  segments = pairs.true_segments
  areas, _ = pairs.areas()
  best = np.zeros(segments.ids.size)
  index, _, _, iou = pairs.same_class()
  np.maximum.at(best, index, iou)
  for index in np.flatnonzero(~segments.is_crowd & (best <= 0.5)):
    yield (spec.category(segments.classes[index]).name,
           int(segments.ids[index]), int(areas[index]), best[index])


def main() -> None:
  spec = dataset_spec.DatasetSpec.load(_SPEC.value)
  if _RECORDS.value:
    measure(record_files.verify_shards(_RECORDS.value).paths, spec)
    return
  with tempfile.TemporaryDirectory() as folder:
    for module, *arguments in (
        ('data_prep.sample_digits', f'--output_dir={folder}/data'),
        ('data_prep.convert', '--dataset=custom', f'--spec={_SPEC.value}',
         f'--input_dir={folder}/data', '--split=val',
         f'--output_dir={folder}')):
      subprocess.run([sys.executable, '-m', module, *arguments], check=True)
    measure([os.path.join(folder, 'val-00000-of-00001.tfrecord')], spec)


def measure(paths, spec: dataset_spec.DatasetSpec) -> None:
  settings = spec.merging_settings()
  keep_stuff = dataclasses.replace(settings, stuff_area_limit=0)
  ways = (
      (f'full resolution, stuff below {settings.stuff_area_limit} pixels '
       f'dropped', lambda _, heads: merge(heads, spec, settings)),
      ('full resolution, all stuff kept',
       lambda _, heads: merge(heads, spec, keep_stuff)),
      (f'heads at stride {_STRIDE}, all stuff kept',
       lambda _, heads: merge(at_stride(heads), spec, keep_stuff)),
      (f'DeeperLab: heads at stride {_STRIDE}, all stuff kept',
       lambda panoptic, heads: decode_keypoints(panoptic, heads, spec)),
      *((f'SSAP to stride {stride}, all stuff kept',
         lambda panoptic, _, stride=stride: partition(
             panoptic.numpy(), spec, stride)) for stride in (4, 8)),
  )
  scores = [panoptic_quality.PanopticQuality(spec) for _ in ways]
  lost = [[] for _ in ways]
  for serialized in tf.data.TFRecordDataset(list(paths)):
    example = records.decode_panoptic_example(serialized)
    truth = example['panoptic'].numpy()
    heads = perfect_heads(example['panoptic'], spec)
    for score, losses, (_, predict) in zip(scores, lost, ways):
      prediction = predict(example['panoptic'], heads)
      score.update(truth, prediction)
      file = paths_lib.printable(os.fsdecode(example['filename'].numpy()))
      losses += [
          f'{file}: {name}, {area} pixels, best IoU {iou:.2f}'
          for name, _, area, iou in lost_segments(truth, prediction, spec)]
  for score, losses, (title, _) in zip(scores, lost, ways):
    print(f'{title}\n{panoptic_quality.format_table(score.result(), spec)}')
    print(f'segments lost: {len(losses)}')
    for line in losses[:40]:
      print(f'  {line}')
    print()


if __name__ == '__main__':
  cli.run(main, __doc__)
