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

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli, errors
from benchmarks import measure, steps

_SIZE = flags.DEFINE_integer('size', 641, 'Pixels of a side of the images.')
_BATCH = flags.DEFINE_integer('batch_size', 2, 'Even number of images.')
_VARIANT = flags.DEFINE_string('variant', 'axial_deeplab_s', 'Model variant.')

_WAYS = {
    'plain': [],
    "recompute='axial'": ["variant_settings.recompute = 'axial'"],
    "recompute='all'": ["variant_settings.recompute = 'all'"],
    'accumulate_steps=2': ['RunSettings.accumulate_steps = 2'],
}


def megabytes(bindings, variant, size, count) -> float:
  """Returns the megabytes that a step adds to the peak of process or GPU."""
  step = steps.experiment('experiments/mapillary_axial_deeplab_s.gin', [
      f"VARIANT = '{variant}'", f'BATCH_SIZE = {count}',
      f'AugmentationSettings.crop_size = ({size}, {size})', *bindings]).graph()
  step.get_concrete_function()
  return measure.peak_memory(lambda: step().numpy())


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
