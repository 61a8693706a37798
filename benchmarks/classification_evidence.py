"""Does axial attention learn from real images? Three comparisons on CIFAR-10.

  classifiers  Axial-ResNet against a ResNet of no fewer parameters and
               multiply-adds: the same recipe, images and epochs
  terms        what the paper adds to attention, one by one: content alone, with
               positions for the query, for the key too, for the value as well
  transfer     a small Axial-DeepLab on CamVid, from scratch and from the
               weights of the classifier, with equal fine-tuning

It trains what has not been trained yet, then prints the tables and draws the
curves; a run that was stopped goes on by the same command.

  python -m data_prep.convert --dataset=imagenet --split=train \\
    --input_dir=../shared/data/cifar10_ilsvrc --output_dir=datasets/cifar10
  python -m data_prep.convert --dataset=imagenet --split=val \\
    --input_dir=../shared/data/cifar10_ilsvrc --output_dir=datasets/cifar10
  python benchmarks/classification_evidence.py --cifar10=datasets/cifar10 \\
    --camvid=datasets/camvid --output_dir=runs/evidence

  The tables of what is trained so far: add --train=false.
"""

import dataclasses
import json
import pathlib
import subprocess
import sys
from typing import Dict, Sequence, Tuple

from absl import flags
from matplotlib import figure
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli, config, errors
from axial_tf.models import classifier
from benchmarks import measure

_PARTS = ('classifiers', 'terms', 'transfer')
_OUTPUT = flags.DEFINE_string('output_dir', None, 'Folder of all runs.')
_CIFAR10 = flags.DEFINE_string('cifar10', None, 'Folder of its records.')
_CAMVID = flags.DEFINE_string(
    'camvid', None, 'Folder of its records, for the part transfer.')
_CHOSEN = flags.DEFINE_list(
    'parts', list(_PARTS), 'Which comparisons to make.')
_TRAIN = flags.DEFINE_bool('train', True, 'Train what is not trained yet.')

_TERMS = 'variant_settings.terms = @AttentionTerms()'
_NO_QUERY = 'AttentionTerms.query_position = False'
_NO_KEY = 'AttentionTerms.key_position = False'
_NO_VALUE = 'AttentionTerms.value_position = False'


# As long as the budget of the whole comparison allows.
_FINE_TUNING = (
    'TRAIN_STEPS = 300', 'WARMUP_STEPS = 30',
    'RunSettings.validation_interval = 100',
    'RunSettings.checkpoint_interval = 50',
    'RunSettings.steps_per_loop = 25')


@dataclasses.dataclass(frozen=True)
class Run:
  """A training run.

  Attributes:
    folder: its model_dir.
    title: in tables and pictures.
    gin_file: the experiment.
    bindings: what differs from it.
    score: what validation measures.
  """

  folder: pathlib.Path
  title: str
  gin_file: str
  bindings: Tuple[str, ...]
  score: str = 'top1'


def comparisons(output_dir: str, cifar10: str, camvid: str
                ) -> Dict[str, Tuple[Run, ...]]:
  """Returns the runs of each part.

  Args:
    output_dir: of all runs.
    cifar10: folder of its records.
    camvid: the same.
  """
  root = pathlib.Path(output_dir).absolute()

  def classifier_run(name, title, *bindings, gin_file='cifar10_axial_resnet'):
    return Run(root / name, title, f'experiments/{gin_file}.gin',
               (f'RECORDS = {cifar10!r}', *bindings))

  def panoptic_run(name, title, *bindings):
    return Run(root / name, title, 'experiments/camvid.gin',
               (f'RECORDS = {camvid!r}', *_FINE_TUNING, *bindings), 'pq')

  axial = classifier_run('axial_resnet', 'Axial-ResNet')
  return {
      'classifiers': (axial, classifier_run(
          'resnet', 'ResNet', gin_file='cifar10_resnet')),
      'terms': (
          classifier_run('content', 'content alone', _TERMS, _NO_QUERY,
                         _NO_KEY, _NO_VALUE),
          classifier_run('query', '+ query position', _TERMS, _NO_KEY,
                         _NO_VALUE),
          classifier_run('query_key', '+ key position', _TERMS, _NO_VALUE),
          dataclasses.replace(axial, title='+ value position')),
      'transfer': (
          panoptic_run('camvid_scratch', 'from scratch'),
          panoptic_run(
              'camvid_pretrained', 'from the classifier',
              f'RunSettings.init_checkpoint = {str(axial.folder)!r}')),
  }


def train(run: Run) -> None:
  """Trains a run to its end, in a process of its own."""
  print(f'--- {run.folder.name}', file=sys.stderr, flush=True)
  done = subprocess.run([
      sys.executable, '-m', 'axial_tf.train', f'--gin_file={run.gin_file}',
      *(f'--gin_params={binding}' for binding in run.bindings),
      f'--model_dir={run.folder}', '--mode=train_and_eval'])
  if done.returncode:
    raise errors.UserError(f'the run in {run.folder} has failed, see above')


def curve(run: Run) -> Dict[int, float]:
  """Returns the validation scores, 0..1, by step; of each step the last."""
  path = run.folder / 'metrics.jsonl'
  if not path.exists():
    return {}
  lines = map(json.loads, path.read_text().splitlines())
  return {line['step']: line[run.score] for line in lines}


def is_complete(run: Run) -> bool:
  """Whether a run was validated after its last step."""
  experiment = config.parse([run.gin_file], run.bindings)
  return experiment.run.train_steps in curve(run)


def costs(run: Run) -> Tuple[float, float, float]:
  """Returns millions of parameters and of multiply-adds, and images/s.

  The speed is that of training steps on random images, without input, in the
  median of ten.
  """
  settings = config.parse([run.gin_file], run.bindings)
  size = settings.task.data.image_size
  model = classifier.Classifier(settings.task.model, 10)
  images = tf.random.stateless_normal(
      [settings.run.global_batch_size, *size, 3], [1, 2])
  model(images[:1])

  @tf.function
  def step():
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(model(images, training=True)[:, 0])
    return tape.gradient(loss, model.trainable_variables)

  milliseconds = measure.median_times({'step': step}, 10)['step']
  parameters = sum(
      v.shape.num_elements() for v in model.trainable_variables)
  return (parameters / 1e6, model.multiply_adds(*size) / 1e6,
          1e3 * settings.run.global_batch_size / milliseconds)


def report(part: str, runs: Sequence[Run], output_dir: str) -> None:
  """Prints the table of a comparison and draws its curves."""
  measured = part != 'transfer'
  print(f'\n{part}: val {runs[0].score}, %' + (
      ', M parameters, M multiply-adds, images/s of training'
      if measured else ''))
  for run in runs:
    scores = curve(run)
    if not scores:
      print(f'  {run.title:22}not trained')
      continue
    last = max(scores)
    line = f'  {run.title:22}{100 * scores[last]:7.2f}'
    if measured:
      line += '{:9.3f}{:9.2f}{:8.0f}'.format(
          *measure.in_new_process(costs, run))
    if not is_complete(run):
      line += f'   not finished: step {last}'
    print(line, flush=True)
  draw(part, runs, pathlib.Path(output_dir) / f'{part}.png')


def draw(part: str, runs: Sequence[Run], path: pathlib.Path) -> None:
  """Draws the validation curves of a comparison into a PNG file."""
  picture = figure.Figure(figsize=(6, 4), layout='tight')
  axes = picture.subplots()
  for run in runs:
    scores = sorted(curve(run).items())
    axes.plot([step for step, _ in scores],
              [100 * value for _, value in scores], label=run.title)
  axes.set(title=part, xlabel='step', ylabel=f'val {runs[0].score}, %')
  axes.grid(alpha=0.3)
  axes.legend()
  path.parent.mkdir(parents=True, exist_ok=True)
  picture.savefig(path, dpi=100)
  print(f'  curves in {path}')


def main() -> None:
  for flag in (_OUTPUT, _CIFAR10):
    if not flag.value:
      raise errors.UserError(
          f'--{flag.name} is missing: expected a folder (see --help for an '
          f'example)')
  unknown = sorted(set(_CHOSEN.value) - set(_PARTS))
  if unknown:
    raise errors.UserError(
        f'--parts: expected some of {", ".join(_PARTS)}, got {unknown[0]!r}')
  if 'transfer' in _CHOSEN.value and not _CAMVID.value:
    raise errors.UserError(
        '--camvid is missing: expected the folder of its records, or '
        '--parts=classifiers,terms')
  runs = comparisons(_OUTPUT.value, _CIFAR10.value, _CAMVID.value or '')
  for part in _PARTS:
    if part in _CHOSEN.value and _TRAIN.value:
      # Transfer starts from the classifier.
      before = runs['classifiers'][:1] if part == 'transfer' else ()
      for run in (*before, *runs[part]):
        if not is_complete(run):
          train(run)
  for part in _PARTS:
    if part in _CHOSEN.value:
      report(part, runs[part], _OUTPUT.value)


if __name__ == '__main__':
  cli.run(main, __doc__)
