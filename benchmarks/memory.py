"""Measures peak memory of a training step, with and without saving memory.

The step is that of the experiment: network, losses, optimizer. Each variant is
measured in a separate process, minus its memory before the step (Linux only);
on a GPU, the memory that TensorFlow allocated there.

  python benchmarks/memory.py              # Axial-DeepLab-S at 641, batch of 2
  python benchmarks/memory.py --size=129 --batch_size=4
"""

import pathlib
import sys

from absl import flags
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli, errors
from axial_tf.data.panoptic import training_batch
from axial_tf.experiment import config
from axial_tf.tasks import registry
from benchmarks import measure

_SIZE = flags.DEFINE_integer('size', 641, 'Pixels of a side of the images.')
_BATCH = flags.DEFINE_integer('batch_size', 2, 'Even number of images.')
_VARIANT = flags.DEFINE_string('variant', 'axial_deeplab_s', 'Model variant.')

_WAYS = {
    'plain': [],
    "recompute='axial'": ["variant_settings.recompute = 'axial'"],
    "recompute='all'": ["variant_settings.recompute = 'all'"],
    'accumulate_steps=2': ['RunSettings.accumulate_steps = 2'],
}


def _batch(task, size, count):
  """Returns noise images with two segments: a stuff class and a thing."""
  spec = task.spec
  label = np.full(
      [size, size], spec.stuff_ids[0] * spec.label_divisor, np.int32)
  label[:size // 2, :size // 2] = spec.thing_ids[0] * spec.label_divisor + 1
  noise = np.random.default_rng(0).integers(0, 255, [size, size, 3], np.uint8)
  example = training_batch.pack(
      tf.constant(noise), tf.constant(label), tf.constant([0, 0, size, size]),
      spec, task.task_config.data.targets)
  return {key: tf.stack([value] * count) for key, value in example.items()}


def megabytes(bindings, variant, size, count) -> float:
  """Returns the megabytes that a step adds to the peak of process or GPU."""
  experiment = config.parse(['experiments/mapillary_axial_deeplab_s.gin'], [
      "RECORDS = '/none'", f"VARIANT = '{variant}'", f'BATCH_SIZE = {count}',
      *bindings])
  task = registry.build(experiment.task, experiment.run, experiment.optimizer)
  model = task.build_model()
  optimizer = task.create_optimizer(None)
  batch = _batch(task, size, count)
  step = tf.function(
      lambda batch: task.train_step(batch, model, optimizer)['loss'])
  step.get_concrete_function(batch)
  if not tf.config.list_physical_devices('GPU'):
    return measure.peak_memory(lambda: step(batch).numpy())
  tf.config.experimental.reset_memory_stats('GPU:0')
  before = tf.config.experimental.get_memory_info('GPU:0')['current']
  step(batch).numpy()
  return (tf.config.experimental.get_memory_info('GPU:0')['peak']
          - before) / 2 ** 20


def main():
  if _BATCH.value < 2 or _BATCH.value % 2:
    raise errors.UserError(
        f'--batch_size: expected an even number of images, got {_BATCH.value}')
  print(f'{_VARIANT.value}, {_BATCH.value} images of {_SIZE.value} pixels: MB')
  plain = None
  for name, bindings in _WAYS.items():
    used = measure.in_new_process(
        megabytes, bindings, _VARIANT.value, _SIZE.value, _BATCH.value)
    plain = plain or used
    print(f'{name:<20} {used:7.0f}  ({used / plain:.2f} of plain)', flush=True)


if __name__ == '__main__':
  cli.run(main, __doc__)
