"""Compares training runs: trains missing ones, prints tables, draws curves.

Shared by the evidence benchmarks. A comparison has runs that differ in one
setting; runs with the same title differ only in their seed.
"""

import dataclasses
import json
import pathlib
import subprocess
import sys
from typing import Dict, List, Sequence, Tuple

from absl import flags
from matplotlib import figure
import numpy as np
import tensorflow as tf

from axial_tf import cli, errors
from axial_tf.data.classification import pipeline as classification_pipeline
from axial_tf.experiment import config
from axial_tf.files import model_folders
from axial_tf.tasks import registry
from benchmarks import measure

# For runs of a few hundred steps: averages over 100 steps would lag so far
# behind the weights that validation would see another model.
SHORT_TRAINING_NORMS = (
    'variant_settings.norm = @BatchNormSettings()',
    'BatchNormSettings.momentum = 0.9')


@dataclasses.dataclass(frozen=True)
class Run:
  """A training run.

  Attributes:
    folder: its model_dir.
    title: title in tables and plots.
    gin_file: the experiment.
    bindings: gin bindings that differ from it.
  """

  folder: pathlib.Path
  title: str
  gin_file: str
  bindings: Tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Comparison:
  """Runs side by side.

  Attributes:
    name: name of its table and of the file of its plot.
    runs: the compared runs.
    scores: names of validation metrics, 0..1; the first one is plotted.
    has_costs: whether the models differ, so that their costs are of interest.
    first: runs that must be trained before.
  """

  name: str
  runs: Tuple[Run, ...]
  scores: Tuple[str, ...]
  has_costs: bool = True
  first: Tuple[Run, ...] = ()


def define_flags(parts: Sequence[str], folders: Dict[str, str]) -> None:
  """Defines the flags of a benchmark.

  Args:
    parts: names of its comparisons.
    folders: names of their data sets by flag, for flags of record folders.
  """
  cli.define_path('output_dir', None, 'folder of all runs.')
  for name, data in folders.items():
    cli.define_path(name, None, f'folder of the records of {data}.')
  flags.DEFINE_list('parts', list(parts), 'comparisons to make.')
  flags.DEFINE_bool('train', True, 'whether to train missing runs.')


def run_all(comparisons: Sequence[Comparison]) -> None:
  """Trains and reports the comparisons that --parts names."""
  names = [comparison.name for comparison in comparisons]
  cli.require_known('parts', flags.FLAGS.parts, names)
  chosen = [c for c in comparisons if c.name in flags.FLAGS.parts]
  if flags.FLAGS.train:
    for comparison in chosen:
      train_missing(comparison.first + comparison.runs)
  for comparison in chosen:
    report(comparison, flags.FLAGS.output_dir)


def train(run: Run) -> None:
  """Trains a run to its end, in a separate process.

  Raises:
    errors.UserError: it failed.
  """
  print(f'--- {run.folder.name}', file=sys.stderr, flush=True)
  done = subprocess.run([
      sys.executable, '-m', 'axial_tf.train', f'--gin_file={run.gin_file}',
      *(f'--gin_params={binding}' for binding in run.bindings),
      f'--model_dir={run.folder}', '--mode=train_and_eval'])
  if done.returncode:
    raise errors.UserError(f'the run in {run.folder} has failed, see above')


def train_missing(runs: Sequence[Run]) -> None:
  """Trains, or resumes, the runs that are not complete."""
  for run in runs:
    if not is_complete(run):
      train(run)


def curve(run: Run, score: str) -> Dict[int, float]:
  """Returns validation scores, 0..1, by step; the last one for each step."""
  path = run.folder / model_folders.METRICS
  if not path.exists():
    return {}
  lines = map(json.loads, path.read_text().splitlines())
  return {line['step']: line[score] for line in lines}


def is_complete(run: Run) -> bool:
  """Whether a run was validated after its last step."""
  experiment = config.parse([run.gin_file], run.bindings)
  return experiment.run.train_steps in curve(run, 'step')


def costs(run: Run) -> Tuple[float, float, float]:
  """Returns millions of parameters and of multiply-adds, and images/s.

  The speed is the median of ten training steps on random images, without input
  pipeline and losses.
  """
  settings = config.parse([run.gin_file], run.bindings)
  data = settings.task.data
  if isinstance(data, classification_pipeline.ClassificationDataSettings):
    size = data.image_size
  else:
    size = data.augmentation.crop_size
  task = registry.build(settings.task, settings.run, settings.optimizer)
  model = task.build_model()
  images = tf.random.stateless_normal(
      [settings.run.global_batch_size, *size, 3], [1, 2])

  @tf.function
  def step():
    with tf.GradientTape() as tape:
      outputs = tf.nest.flatten(model(images, training=True))
      loss = tf.add_n([tf.reduce_sum(output) for output in outputs])
    return tape.gradient(loss, model.trainable_variables)

  milliseconds = measure.median_times({'step': step}, 10)['step']
  parameters = sum(
      v.shape.num_elements() for v in model.trainable_variables)
  return (parameters / 1e6, model.multiply_adds(*size) / 1e6,
          1e3 * settings.run.global_batch_size / milliseconds)


def report(comparison: Comparison, output_dir: str) -> None:
  """Prints the table of a comparison and draws its curves."""
  print(f'\n{comparison.name}: val {", ".join(comparison.scores)} in %' + (
      ', M parameters, M multiply-adds, images/s of training'
      if comparison.has_costs else ''))
  for title, runs in _by_title(comparison.runs).items():
    line = f'  {title:24}' + ''.join(
        _cell([curve(run, score) for run in runs])
        for score in comparison.scores)
    if comparison.has_costs:
      line += '{:9.3f}{:9.2f}{:8.1f}'.format(
          *measure.in_new_process(costs, runs[0]))
    missing = [run.folder.name for run in runs if not is_complete(run)]
    if missing:
      line += f'   not finished: {", ".join(missing)}'
    print(line, flush=True)
  draw(comparison, pathlib.Path(output_dir) / f'{comparison.name}.png')


def draw(comparison: Comparison, path: pathlib.Path) -> None:
  """Draws the validation curves of a comparison into a PNG file.

  A line is the mean over the runs with one title that were validated at a step;
  each run is a dot.
  """
  score = comparison.scores[0]
  picture = figure.Figure(figsize=(6, 4), layout='tight')
  axes = picture.subplots()
  for title, runs in _by_title(comparison.runs).items():
    curves = [curve(run, score) for run in runs]
    steps = sorted(set.union(*map(set, curves)))
    means = [100 * np.mean([c[step] for c in curves if step in c])
             for step in steps]
    line, = axes.plot(steps, means, label=title)
    for one in curves:
      axes.plot(list(one), [100 * value for value in one.values()], '.',
                color=line.get_color())
  axes.set(title=comparison.name, xlabel='step', ylabel=f'val {score}, %')
  axes.grid(alpha=0.3)
  axes.legend()
  path.parent.mkdir(parents=True, exist_ok=True)
  picture.savefig(path, dpi=100)
  print(f'  curves in {path}')


def _by_title(runs: Sequence[Run]) -> Dict[str, List[Run]]:
  groups: Dict[str, List[Run]] = {}
  for run in runs:
    groups.setdefault(run.title, []).append(run)
  return groups


def _cell(curves: Sequence[Dict[int, float]]) -> str:
  """Returns mean and range of the last scores of the runs with one title."""
  last = [100 * scores[max(scores)] for scores in curves if scores]
  if not last:
    return f'{"-":>10}'
  cell = f'{np.mean(last):10.2f}'
  if len(curves) > 1:
    cell += f' ({min(last):.2f}-{max(last):.2f})'
  return cell
