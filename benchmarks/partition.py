"""Compares SSAP's cascaded partition with one flat graph, and with its network.

Each image of the records is enlarged to a long side of 641 pixels. Affinities
are those of its label, with noise in the edges' weights (+-11.5 without) since
perfect ones need no queue; 'random' weights are noise alone, on things
everywhere. 'cascade' is the decoding of SSAP from strides 64 to 4, 'flat' that
of the stride 4 alone, 'served' the operations of TensorFlow in an export, from
strides 64 to 8. All with classes and labels of pixels; times in seconds.

  python benchmarks/partition.py --records='datasets/coco/val2017-*.tfrecord'
  python benchmarks/partition.py --network  # also the network's time, 1 minute
"""

import pathlib
import sys
import time

from absl import flags
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli
from axial_tf.data.common import record_files, resizing
from axial_tf.data.panoptic import records
from axial_tf.inference.decoding import affinity_decoding
from axial_tf.models import variants
from axial_tf.panoptic.ssap import cascade_settings, decoding
from axial_tf.specs import dataset_spec
from benchmarks import measure, perfect_affinities

_RECORDS = cli.define_path('records', None, 'pattern of the shards.')
_SPEC = cli.define_path('spec', 'coco', 'name or path of the spec.')
_NOISE = flags.DEFINE_list(
    'noise', ['0', '2', '4', '8', 'random'], 'noise in the weights.')
_NETWORK = flags.DEFINE_bool('network', False, 'time ssap_resnet101, too.')
_SERVED = flags.DEFINE_bool('served', True, 'time the partition of an export.')
_LONG_SIDE = 641


def main() -> None:
  spec = dataset_spec.DatasetSpec.load(_SPEC.value)
  if _NETWORK.value:
    print(f'network: {network_time(spec.num_classes):.2f} s')
  if not _RECORDS.value:
    return
  print('image            noise  segments  cascade    flat  flat/cascade'
        '  served')
  paths = record_files.verify_shards(_RECORDS.value).paths
  for serialized in tf.data.TFRecordDataset(list(paths)):
    example = records.decode_panoptic_example(serialized)
    label = enlarged(example['panoptic'].numpy())
    for noise in _NOISE.value:
      print(f'{example["filename"].numpy().decode():16}',
            row(label, spec, noise), flush=True)


def enlarged(label: np.ndarray) -> np.ndarray:
  scale = _LONG_SIDE / max(label.shape)
  return resizing.nearest_array(
      label, *(round(scale * n) for n in label.shape))


def row(label: np.ndarray, spec: dataset_spec.DatasetSpec, noise: str) -> str:
  """Returns a line of the table."""
  if noise == 'random':
    heads = perfect_affinities.heads(np.zeros_like(label), spec, noise=1.0)
    for name, values in heads.items():
      heads[name] = (values % 2 - 1 if name.startswith(decoding.EDGES)
                     else np.ones_like(values))
  else:
    heads = perfect_affinities.heads(label, spec, float(noise))
  category = label // spec.label_divisor
  arguments = {
      'classes': spec.num_classes + 1, 'thing_ids': spec.thing_ids,
      'label_divisor': spec.label_divisor, 'void_label': spec.void_label}
  category = np.minimum(category, spec.num_classes)
  cascade = cascade_settings.CascadeSettings()
  flat = cascade_settings.CascadeSettings(start_stride=4)
  times = []
  for settings in (cascade, flat):
    start = time.perf_counter()
    decoding.decode(heads, category, settings=settings, **arguments)
    times.append(time.perf_counter() - start)
  count = decoding.partitions(heads, cascade)[-1].max()
  line = (f'{noise:>6} {count:9d} {times[0]:8.3f} {times[1]:7.3f} '
          f'{times[1] / times[0]:13.1f}')
  return f'{line} {served_time(heads, category, spec):7.2f}' if (
      _SERVED.value) else line


def served_time(heads, category, spec) -> float:
  """Returns the seconds of a served partition, without its first call."""
  served = affinity_decoding.AffinityDecoding(
      affinity_decoding.AffinityDecoding(
          cascade_settings.CascadeSettings(), spec).served_settings, spec)
  merge = tf.function(served.merge, autograph=False, reduce_retracing=True)
  inputs = {'semantic_probabilities': tf.one_hot(
      category, spec.num_classes + 1)[tf.newaxis], **{
          name: tf.constant(value)[tf.newaxis]
          for name, value in heads.items()}}
  return 1e-3 * measure.median_times(
      {'served': lambda: merge(inputs)['panoptic_map']}, 1)['served']


def network_time(classes: int) -> float:
  """Returns the seconds that ssap_resnet101 takes for 641x641 pixels."""
  model = variants.VARIANTS['ssap_resnet101'].build(classes)
  image = tf.zeros([1, _LONG_SIDE, _LONG_SIDE, 3])
  run = tf.function(
      lambda image: model(image, training=False), autograph=False)
  return 1e-3 * measure.median_times(
      {'network': lambda: run(image)['affinity_logits_4']}, 3)['network']


if __name__ == '__main__':
  cli.run(main, __doc__)
