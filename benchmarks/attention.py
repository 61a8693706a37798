"""Compares one axial attention layer with the published formulation.

The baseline, equation 3 as published (the backend 'equation'), has the same
weights and runs in the same process. Times are medians of alternating runs in
milliseconds; peak memory is that of a separate process, minus its memory before
the run (Linux only). 'auto' is the default: maps compiled with XLA for global
attention, else 'matmul', ordinary TensorFlow operations only, as in exports.

  python benchmarks/attention.py                # all parts, about 12 minutes
  python benchmarks/attention.py --parts=layers
"""

import pathlib
import sys

from absl import flags
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli
from axial_tf.keras2 import keras
from axial_tf.layers.attention import layer as attention_layer
from benchmarks import measure

_PARTS = ('layers', 'ideas', 'local', 'length', 'precision')
_CHOSEN = flags.DEFINE_list('parts', list(_PARTS), 'Parts to measure.')
_RUNS = flags.DEFINE_integer('runs', 5, 'Number of runs for each median.')

# Axial-ResNet-S at 224x224, batch 8: rows, length, channels.
LAYERS = {'stage 2': (8 * 56, 56, 64), 'stage 3': (8 * 28, 28, 128),
          'stage 4': (8 * 14, 14, 256)}
# Axial-DeepLab-S at 1025x1025, span 65.
_LOCAL = {'stage 2': (257, 257, 64), 'stage 3': (129, 129, 128),
          'stage 4': (65, 65, 256)}
_KINDS = ('published', 'matmul', 'auto')
_IDEAS = {
    'published': 'published formulation',
    'whole': '+ statistics without logits, maps recomputed in the backward '
             'pass',
    'matmul': '+ chunks of rows that fit the cache',
    'auto': '+ one compiled loop over the map',
}
_BACKENDS = {'published': 'equation', 'whole': 'matmul'}
_ALL_ROWS = 1 << 50


def make(kind, rows, length, channels, *, span=None, training=False,
         precision='float32'):
  """Returns a function without arguments that runs one layer once."""
  keras.mixed_precision.set_global_policy(precision)
  keras.utils.set_random_seed(0)
  layer = attention_layer.AxialAttention(
      channels // 2, channels, span=None if kind == 'published' else span,
      backend=_BACKENDS.get(kind, kind),
      chunk_bytes=_ALL_ROWS if kind == 'whole' else None)
  inputs = tf.cast(
      tf.random.stateless_normal([rows, length, channels], [1, 2]),
      keras.mixed_precision.global_policy().compute_dtype)
  layer(inputs[:1])

  @tf.function
  def step():
    if not training:
      return layer(inputs)
    with tf.GradientTape() as tape:
      tape.watch(inputs)
      loss = tf.reduce_sum(tf.square(tf.cast(
          layer(inputs, training=True), tf.float32)))
    return tape.gradient(loss, [inputs, *layer.trainable_variables])

  step.get_concrete_function()
  return step


def memory(kind, case, options) -> float:
  """Megabytes that a run adds to the peak of this process."""
  make(kind, 8, *case[1:], **options)()  # loads libraries, compiles
  step = make(kind, *case, **options)
  return measure.peak_memory(step)


def compare(title, cases, **options):
  """Prints a table of ours against the published formulation."""
  print(f'\n{title}\n{"":9} rows length channels | published | matmul '
        f'(times faster) | auto (times faster) | MB published, matmul, auto')
  for name, case in cases.items():
    times = measure.median_times(
        {kind: make(kind, *case, **options) for kind in _KINDS}, _RUNS.value)
    used = [measure.in_new_process(memory, kind, case, options)
            for kind in _KINDS]
    print(f'{name:9} {case[0]:4} {case[1]:6} {case[2]:8} | '
          f'{times["published"]:9.1f} | ' + ' | '.join(
              f'{times[k]:6.1f} ({times["published"] / times[k]:.2f})'
              for k in _KINDS[1:]) + ' | ' + ', '.join(
                  f'{x:.0f}' for x in used), flush=True)


def ideas():
  """Prints the effect of each idea, added one by one."""
  case = LAYERS['stage 2']
  print('\nEach idea on top of those before: {} rows of {}, {} channels; '
        'ms, MB'.format(*case))
  for training in (False, True):
    options = dict(training=training)
    times = measure.median_times(
        {kind: make(kind, *case, **options) for kind in _IDEAS}, _RUNS.value)
    print('training step' if training else 'inference')
    for kind, idea in _IDEAS.items():
      used = measure.in_new_process(memory, kind, case, options)
      print(f'  {times[kind]:6.1f} {used:5.0f}  {idea}', flush=True)


def time_against_length():
  """Prints inference times by length and span, and the exponent of length."""
  print('\nTime of a local layer, 257 rows, 64 channels')
  lengths = (129, 257, 513, 1025)
  times = measure.median_times(
      {n: make('auto', 257, n, 64, span=65) for n in lengths}, _RUNS.value)
  exponent = np.polyfit(np.log(lengths), np.log(list(times.values())), 1)[0]
  print('span 65, length: ' + ', '.join(
      f'{n}: {t:.0f} ms' for n, t in times.items())
        + f'; exponent {exponent:.2f}')
  times = measure.median_times(
      {n: make('auto', 257, 513, 64, span=n) for n in (17, 33, 65, 129)},
      _RUNS.value)
  print('length 513, span: ' + ', '.join(
      f'{n}: {t:.0f} ms' for n, t in times.items()), flush=True)


def precision():
  """Prints mixed_bfloat16 against float32."""
  print('\nmixed_bfloat16 against float32, 448 rows of 56, 64 channels')
  for training in (False, True):
    times = measure.median_times(
        {name: make('auto', *LAYERS['stage 2'], training=training,
                    precision=name)
         for name in ('float32', 'mixed_bfloat16')}, _RUNS.value)
    ratio = times['mixed_bfloat16'] / times['float32']
    print(f'{"training step" if training else "inference"}: '
          f'{times["float32"]:.1f} ms and {times["mixed_bfloat16"]:.1f} ms, '
          f'{ratio:.2f} times as long', flush=True)
  keras.mixed_precision.set_global_policy('float32')


def main():
  print(f'matrix products reach {measure.matmul_peak():.0f} GFLOP/s')
  cli.require_known('parts', _CHOSEN.value, _PARTS)
  if 'layers' in _CHOSEN.value:
    compare('Inference, 224x224, batch 8, global', LAYERS)
    compare('Training step, 224x224, batch 8, global', LAYERS, training=True)
  if 'ideas' in _CHOSEN.value:
    ideas()
  if 'local' in _CHOSEN.value:
    compare('Inference, 1025x1025, ours with span 65, published global',
            _LOCAL, span=65)
    # The published formulation needs more than 24 GB for all rows in training,
    # and for Cityscapes images. Time and memory are proportional to the rows.
    compare('Training step, 64 rows of 1025x1025, ours with span 65, published '
            'global', {name: (64, *case[1:]) for name, case in _LOCAL.items()},
            span=65, training=True)
    compare('Inference, 64 rows of Cityscapes at stride 4 (257x513), ours with '
            'span 65, published global', {'width': (64, 513, 64)}, span=65)
  if 'length' in _CHOSEN.value:
    time_against_length()
  if 'precision' in _CHOSEN.value:
    precision()


if __name__ == '__main__':
  cli.run(main, __doc__)
