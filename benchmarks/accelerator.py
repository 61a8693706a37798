"""Prints what backbones and an experiment cost on a GPU or TPU, as a table.

Compares the published formulation of attention with ours, as shipped, each as a
graph of operations (tf.function) and as one XLA program (jit_compile=True),
with the same weights. Every cell is measured in a process of its own; Ctrl-C
prints what there is so far. A training step of a backbone is its forward and
backward pass; that of the experiment has losses and optimizer, too, on images
of noise. Without a GPU, the CPU is measured, with --tiny unless --notiny says
otherwise.

  python benchmarks/accelerator.py > table.md
  python benchmarks/accelerator.py --cases=coco_train --columns=graph_bfloat16
  python benchmarks/accelerator.py --tiny --cases=resnet_s_224_infer --repeats=1
"""

import functools
import multiprocessing
import os
import pathlib
import signal
import sys
import time
from typing import Any, Dict, NamedTuple, Optional, Tuple, Union

from absl import flags
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli, devices, errors, memory
from axial_tf.training import run_settings, strategies
from benchmarks import measure, steps


class Case(NamedTuple):
  """A row of the table, but for its formulation of attention.

  Attributes:
    title: name in the table.
    variant: row of VARIANTS; None for the experiment.
    size: height and width of the images.
    batch: number of images.
    training: whether it is a training step.
    overrides: settings of the backbone that differ from those of the variant.
  """
  title: str
  variant: Optional[str]
  size: int
  batch: int
  training: bool
  overrides: Dict[str, Any] = {}


class Cost(NamedTuple):
  """What a cell shows: images/s, MB, and seconds of the first step."""
  rate: float
  megabytes: float
  first: float

  def __str__(self) -> str:
    rate = f'{self.rate:.0f}' if self.rate >= 100 else f'{self.rate:.3g}'
    return f'{rate} / {self.megabytes:.0f} / {self.first:.0f}'


_EXPERIMENT = 'experiments/coco_axial_deeplab_s.gin'
_GLOBAL = {'span': 0}
CASES = {
    'resnet_s_224_infer': Case(
        'Axial-ResNet-S', 'axial_resnet_s', 224, 64, False),
    'resnet_s_224_train': Case(
        'Axial-ResNet-S', 'axial_resnet_s', 224, 64, True),
    'deeplab_s_641_infer': Case(
        'Axial-DeepLab-S, global', 'axial_deeplab_s', 641, 1, False, _GLOBAL),
    'deeplab_s_641_train': Case(
        'Axial-DeepLab-S, global', 'axial_deeplab_s', 641, 1, True, _GLOBAL),
    'deeplab_s_1025_infer': Case(
        'Axial-DeepLab-S, span 65', 'axial_deeplab_s', 1025, 1, False),
    'deeplab_s_1025_train': Case(
        'Axial-DeepLab-S, span 65', 'axial_deeplab_s', 1025, 1, True),
    'coco_train': Case(f'`{_EXPERIMENT}`', None, 1025, 2, True),
}
# Backend, overrides.
_FORMULATIONS = {
    'published': ('equation', {}),
    'ours': ('auto', {}),
    "ours, `recompute='axial'`": ('auto', {'recompute': 'axial'}),
}
# Whether XLA compiles the whole function, precision.
_COLUMNS = {
    'graph_float32': (False, 'float32'),
    'graph_bfloat16': (False, 'bfloat16'),
    'xla_float32': (True, 'float32'),
    'xla_bfloat16': (True, 'bfloat16'),
}
_TINY = dict(blocks=(1, 1, 1, 1), width_multiplier=0.125, heads=2)

_CHOSEN = flags.DEFINE_list('cases', list(CASES), 'Cases to measure.')
_CHOSEN_COLUMNS = flags.DEFINE_list(
    'columns', None, f'Columns to measure, of {", ".join(_COLUMNS)}; default: '
    f'all, on a TPU those of XLA, which compiles all of its programs.')
_DEVICE = flags.DEFINE_enum(
    'device', 'auto', ['auto', 'gpu', 'tpu', 'cpu'],
    'What to measure; auto: the first GPU, or the CPU if there is none.')
_LIMIT = flags.DEFINE_float(
    'limit', 300, 'Seconds for each cell, with start and compilation.')
_REPEATS = flags.DEFINE_integer(
    'repeats', 10, 'Number of runs for each median.', lower_bound=1)
_IS_TINY = flags.DEFINE_bool(
    'tiny', None, 'Whether to measure two images of 33 pixels in small '
    'networks, which tries this program; default: on a CPU.')


def start(device: str) -> Tuple[tf.distribute.Strategy, str, str]:
  """Starts the device in a new process.

  Returns:
    The strategy, the kind of the device ('gpu', 'tpu' or 'cpu'), and its name.

  Raises:
    errors.UserError: there is no such device.
  """
  if device == 'tpu':
    strategy = strategies.start(
        run_settings.RunSettings(strategy='tpu'),
        strategies.Place('tpu', devices.Devices(), None))
    return strategy, 'tpu', f'TPU, {strategy.num_replicas_in_sync} cores'
  strategy = tf.distribute.get_strategy()
  found = devices.take('one_device', 0 if device == 'cpu' else None)
  if found.gpus:
    return strategy, 'gpu', str(found)
  if device == 'gpu':
    raise errors.UserError(
        f'--device: expected one of this machine, got gpu, but {found.reason}')
  if device == 'auto':
    print(f'notice: {found.reason}: measuring the CPU', file=sys.stderr,
          flush=True)
  return strategy, 'cpu', f'CPU, {os.cpu_count()} cores'


def describe(device: str) -> Tuple[str, str]:
  """Returns kind and name of the device, in a new process."""
  return start(device)[1:]


def build(case: Case, formulation: str, column: str, device: str):
  """Returns the graph function of a cell."""
  backend, overrides = _FORMULATIONS[formulation]
  compiles, precision = _COLUMNS[column]
  # TPUs compile whatever they run.
  jit_compile = True if compiles and device != 'tpu' else None
  overrides = {**case.overrides, **overrides}
  if case.variant is not None:
    return steps.backbone(
        case.variant, overrides, case.size, case.batch, case.training,
        backend, precision).graph(jit_compile)
  return steps.experiment(_EXPERIMENT, [
      f'BATCH_SIZE = {case.batch}',
      f'AugmentationSettings.crop_size = ({case.size}, {case.size})',
      f"RunSettings.mixed_precision = '{precision}'",
      *(f'variant_settings.{k} = {v!r}' for k, v in overrides.items())
  ], backend).graph(jit_compile)


def cost(case: Case, formulation: str, column: str, device: str, runs: int,
         compiled) -> Union[Cost, str]:
  """Measures a cell in a new process, and sets the event `compiled`.

  Returns the reason if it cannot be measured.
  """
  try:
    strategy, *_ = start(device)
    with strategy.scope():
      step = build(case, formulation, column, device)
    start_time = time.perf_counter()
    if device == 'tpu':
      run = functools.partial(_replicated, strategy, step)
    else:
      run = step
      step.get_concrete_function()  # Its memory does not count.
    used = measure.peak_memory(lambda: measure.wait(run()))
    first = time.perf_counter() - start_time
    compiled.set()
    times = {}
    later = measure.peak_memory(
        lambda: times.update(measure.median_times({'step': run}, runs)))
    if measure.accelerator():
      used = later  # Without what the search for the best kernels takes.
    images = case.batch * strategy.num_replicas_in_sync
    return Cost(1e3 * images / times['step'], used, first)
  except Exception as error:  # whatever it is, other cells are measured
    if memory.is_exhausted(error):
      return 'out of memory'
    return f'failed: {errors.first_line(error).replace("|", "/")}'


def _replicated(strategy, step):
  return tf.nest.map_structure(
      strategy.experimental_local_results, strategy.run(step))


def measured(limit: float, *arguments) -> Union[Cost, str]:
  """Measures a cell in a new process, within a number of seconds."""
  compiled = multiprocessing.get_context('spawn').Event()
  try:
    return measure.in_new_process(
        cost, *arguments, compiled, seconds=limit)
  except TimeoutError:
    done = 'finished' if compiled.is_set() else 'compiled'
    return f'not {done} in {limit:g} s'
  except ChildProcessError as error:
    # Linux kills the largest process when it has no more memory.
    return ('out of memory' if error.errno == -signal.SIGKILL
            else f'failed: exit code {error.errno}')


def table(cases: Dict[str, Case],
          cells: Dict[Tuple[str, str, str], Union[Cost, str]]) -> str:
  """Returns what was measured as Markdown, '-' for what is missing."""
  columns = list(dict.fromkeys(column for *_, column in cells))
  lines = [
      '| model, pixels, images, work | formulation | '
      + ' | '.join(column.replace('_', ', ') for column in columns) + ' |',
      '|---' * (2 + len(columns)) + '|']
  for name, formulation in dict.fromkeys(cell[:2] for cell in cells):
    case = cases[name]
    work = 'training step' if case.training else 'inference'
    values = (cells.get((name, formulation, column), '-')
              for column in columns)
    lines.append(
        f'| {case.title}, {case.size}, {case.batch}, {work} | {formulation} | '
        + ' | '.join(map(str, values)) + ' |')
  return '\n'.join(lines)


def tiny(case: Case) -> Case:
  """Returns the case with small images and a small network."""
  return case._replace(
      size=33, batch=2, overrides={**case.overrides, **_TINY})


def main():
  cli.require_known('cases', _CHOSEN.value, CASES)
  columns = [name for name, (compiles, _) in _COLUMNS.items()
             if compiles or _DEVICE.value != 'tpu']
  chosen = _CHOSEN_COLUMNS.value or columns
  cli.require_known('columns', chosen, columns)
  # Some library warns of old Pythons in each new process.
  os.environ.setdefault('PYTHONWARNINGS', 'ignore::FutureWarning')
  device, title = measure.in_new_process(describe, _DEVICE.value)
  is_tiny = device == 'cpu' if _IS_TINY.value is None else _IS_TINY.value
  cases = {name: tiny(CASES[name]) if is_tiny else CASES[name]
           for name in _CHOSEN.value}
  plan = [(name, formulation, column) for name, case in cases.items()
          for formulation, (_, overrides) in _FORMULATIONS.items()
          if case.variant is None or not overrides for column in chosen]
  cells = {}
  try:
    for number, cell in enumerate(plan, 1):
      cells[cell] = measured(
          _LIMIT.value, cases[cell[0]], *cell[1:], device, _REPEATS.value)
      print(f'{number}/{len(plan)}: {", ".join(cell)}: {cells[cell]}',
            file=sys.stderr, flush=True)
  finally:
    print(f'{title}, TensorFlow {tf.__version__}'
          f'{", small networks" if is_tiny else ""}: images/s / MB added to '
          f'the peak / seconds of the first step\n\n{table(cases, cells)}')


if __name__ == '__main__':
  cli.run(main, __doc__)
