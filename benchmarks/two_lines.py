"""Compares the two supported lines of TensorFlow, process by process.

Each round starts one process for each environment, which times an axial
attention layer of Axial-ResNet-S at 224x224 with its default backend, as the
commands run it. Printed are the median over the processes, in milliseconds, and
the smallest and the largest.

  make venv PYTHON=python3.12 VENV=.venv-3.12
  python benchmarks/two_lines.py \\
    --pythons=.venv/bin/python,.venv-3.12/bin/python
"""

import os
import pathlib
import subprocess
import sys

from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_PYTHONS = flags.DEFINE_list(
    'pythons', None, 'Interpreters of two environments.')
_ROUNDS = flags.DEFINE_integer('rounds', 15, 'Processes of each environment.')
# What a process runs.
_CHILD = '''
from axial_tf import cli
import tensorflow as tf
from benchmarks import attention, measure
times = measure.median_times({
    work: attention.make('auto', *attention.LAYERS['stage 2'],
                         training=work == 'training')
    for work in ('inference', 'training')}, 5)
print(tf.__version__, times['inference'], times['training'])
'''


def main() -> None:
  cli.require(pythons='two interpreters')
  times = {}
  for _ in range(_ROUNDS.value):
    for python in _PYTHONS.value:
      done = subprocess.run(
          [python, '-c', _CHILD], check=True, stdout=subprocess.PIPE, text=True,
          env={**os.environ, 'PYTHONPATH': str(_ROOT)}, cwd=_ROOT)
      version, *values = done.stdout.split()[-3:]
      times.setdefault(version, []).append([float(x) for x in values])
  for place, work in enumerate(('inference', 'training')):
    for version, rows in times.items():
      values = sorted(row[place] for row in rows)
      print(f'{work:10} TensorFlow {version}: {values[len(values) // 2]:.1f} '
            f'({values[0]:.1f}-{values[-1]:.1f})', flush=True)


if __name__ == '__main__':
  cli.run(main, __doc__)
