"""Compares whole backbones with the published formulation of attention.

Both have the same weights and differ in their attention layers only. Training
is also measured with `recompute='axial'`, which needs less memory. 'paper' is
our row of VARIANTS; 'deeplab2' the topology of that public code, which has no
max-pool (so that its first attention runs at stride 2) and global spans. Times
are medians of alternating runs in milliseconds; peak memory is that of a
separate process, minus its memory before the run (Linux only). The share of the
peak counts a multiply-add as two operations, and the peak is that of a large
matrix product.

  python benchmarks/model.py               # about 30 minutes, 16 GB
  python benchmarks/model.py --cases=0,1
"""

import pathlib
import sys

from absl import flags
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli, errors
from benchmarks import measure, steps

_CHOSEN = flags.DEFINE_list(
    'cases', None, 'Numbers of the cases to measure; default: all.')
_RUNS = flags.DEFINE_integer('runs', 5, 'Number of runs for each median.')

_DEEPLAB2 = dict(stem_pooling=False, span=0)
# Variant, overrides, image size, batch, training.
_CASES = (
    ('axial_resnet_s', {}, 224, 8, False),
    ('axial_resnet_s', _DEEPLAB2, 224, 8, False),
    ('axial_deeplab_s', dict(span=0), 641, 1, False),
    ('axial_deeplab_s', _DEEPLAB2, 641, 1, False),
    ('axial_resnet_s', {}, 224, 8, True),
    ('axial_resnet_s', _DEEPLAB2, 224, 8, True),
    # Local spans of 65.
    ('axial_deeplab_s', {}, 1025, 1, False),
    ('axial_deeplab_l', {}, 1025, 1, False),
)
# The equation, ordinary operations, the layer's default, and the default with
# blocks recomputed in the backward pass (training only).
_BACKENDS = {'published': 'equation', 'matmul': 'matmul'}
_KINDS = ('published', 'matmul', 'auto', 'recompute')


def _kinds(case):
  return _KINDS if case[-1] else _KINDS[:-1]


def make(kind, variant, overrides, size, batch, training) -> steps.Step:
  """Returns the pass of a backbone."""
  if kind == 'recompute':
    overrides = dict(overrides, recompute='axial')
  return steps.backbone(variant, overrides, size, batch, training,
                        _BACKENDS.get(kind, 'auto'))


def memory(kind, case) -> float:
  """Megabytes that a run adds to the peak of this process."""
  run = make(kind, *case).graph()
  run.get_concrete_function()
  return measure.peak_memory(run)


def compare(case, runs):
  """Returns median times in milliseconds, and the last cells of the table.

  These are, of 'auto' in inference, the share of the peak, and the difference
  of outputs from the published ones.
  """
  *_, size, batch, training = case
  made = {kind: make(kind, *case) for kind in _kinds(case)}
  passes = {kind: step.graph() for kind, step in made.items()}
  times = measure.median_times(passes, runs)
  if training:
    return times, '- | -'
  flops = 2 * batch * made['auto'].model.multiply_adds(size, size)
  share = flops / (1e6 * times['auto'] * measure.matmul_peak())
  expected, actual = passes['published'](), passes['auto']()
  difference = (tf.reduce_max(tf.abs(actual - expected))
                / tf.reduce_max(tf.abs(expected)))
  return times, f'{share:.0%} | {difference:.1e}'


def main():
  print('case: variant, settings, size, batch, work | published ms | matmul, '
        'auto, recompute (times faster) | MB published, matmul, auto, '
        'recompute | share of the peak | difference')
  known = [str(number) for number in range(len(_CASES))]
  for number in _CHOSEN.value or ():
    if number not in known:
      raise errors.UserError(
          f'--cases: expected numbers of {", ".join(known)}, got {number!r}')
  chosen = map(int, _CHOSEN.value or known)
  for number in chosen:
    case = _CASES[number]
    variant, overrides, size, batch, training = case
    # A process that ends releases its memory before the next one starts.
    times, rest = measure.in_new_process(compare, case, _RUNS.value)
    used = [measure.in_new_process(memory, kind, case)
            for kind in _kinds(case)]
    settings = 'deeplab2' if 'stem_pooling' in overrides else 'paper'
    work = 'training step' if training else 'inference'
    print(f'{number}: {variant}, {settings}, {size}, {batch}, {work} | '
          f'{times["published"]:.0f} | ' + ' | '.join(
              f'{times[k]:.0f} ({times["published"] / times[k]:.2f})'
              for k in _kinds(case)[1:]) + ' | ' + ', '.join(
                  f'{x:.0f}' for x in used) + f' | {rest}', flush=True)


if __name__ == '__main__':
  cli.run(main, __doc__)
