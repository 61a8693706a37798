"""Does axial attention learn from real images? Three comparisons on CIFAR-10.

  classifiers  Axial-ResNet against a ResNet with at least as many parameters
               and multiply-adds: the same recipe, images and epochs
  terms        ablation of the paper's additions to attention: content only,
               plus positions for the query, plus the key, plus the value
  transfer     a small Axial-DeepLab on CamVid, from scratch and from the
               weights of the classifier, with equal fine-tuning

Trains the missing runs, then prints the tables and draws the curves; rerun the
same command to resume.

  python -m data_prep.convert --dataset=imagenet --split=train \\
    --input_dir=/data/cifar10 --output_dir=datasets/cifar10
  python -m data_prep.convert --dataset=imagenet --split=val \\
    --input_dir=/data/cifar10 --output_dir=datasets/cifar10
  python benchmarks/classification_evidence.py --cifar10=datasets/cifar10 \\
    --camvid=datasets/camvid --output_dir=runs/evidence --seeds=3

  For the tables of the existing runs only, add --train=false.
"""

import dataclasses
import pathlib
import sys
from typing import Dict

from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli
from benchmarks import evidence

FLAGS = flags.FLAGS

_TERMS = 'variant_settings.terms = @AttentionTerms()'
_NO_QUERY = 'AttentionTerms.query_position = False'
_NO_KEY = 'AttentionTerms.key_position = False'
_NO_VALUE = 'AttentionTerms.value_position = False'


# Limited by the budget of the whole comparison.
_FINE_TUNING = (
    *evidence.SHORT_TRAINING_NORMS, 'TRAIN_STEPS = 300', 'WARMUP_STEPS = 30',
    'RunSettings.validation_interval = 100',
    'RunSettings.checkpoint_interval = 50',
    'RunSettings.steps_per_loop = 25')


def comparisons(output_dir: str, cifar10: str, camvid: str, seeds: int
                ) -> Dict[str, evidence.Comparison]:
  """Returns the comparison of each part.

  Args:
    output_dir: folder of all runs.
    cifar10: folder of CIFAR-10 records.
    camvid: folder of CamVid records.
    seeds: number of runs of each side of the transfer.
  """
  root = pathlib.Path(output_dir).absolute()

  def classifier_run(name, title, *bindings, gin_file='cifar10_axial_resnet'):
    return evidence.Run(
        root / name, title, f'experiments/{gin_file}.gin',
        (f'RECORDS = {cifar10!r}', *bindings))

  def panoptic_run(name, title, *bindings):
    return evidence.Run(
        root / name, title, 'experiments/camvid.gin',
        (f'RECORDS = {camvid!r}', *_FINE_TUNING, *bindings))

  axial = classifier_run('axial_resnet', 'Axial-ResNet')
  resnet = classifier_run('resnet', 'ResNet', gin_file='cifar10_resnet')
  terms = (
      classifier_run('content', 'content alone', _TERMS, _NO_QUERY, _NO_KEY,
                     _NO_VALUE),
      classifier_run('query', '+ query position', _TERMS, _NO_KEY, _NO_VALUE),
      classifier_run('query_key', '+ key position', _TERMS, _NO_VALUE),
      dataclasses.replace(axial, title='+ value position'))
  pretrained = f'RunSettings.init_checkpoint = {str(axial.folder)!r}'
  transfer = tuple(
      panoptic_run(f'camvid_{name}_seed{seed}', title,
                   f'RunSettings.seed = {seed}', *bindings)
      for seed in range(1, seeds + 1)
      for name, title, bindings in (
          ('scratch', 'from scratch', ()),
          ('pretrained', 'from the classifier', (pretrained,))))
  return {
      'classifiers': evidence.Comparison(
          'classifiers', (axial, resnet), ('top1',)),
      'terms': evidence.Comparison('terms', terms, ('top1',)),
      'transfer': evidence.Comparison(
          'transfer', transfer, ('pq', 'miou'), has_costs=False,
          first=(axial,)),
  }


def main() -> None:
  cli.require(output_dir='a folder', cifar10='a folder')
  if 'transfer' in FLAGS.parts:
    cli.require(camvid='a folder')
  evidence.run_all(list(comparisons(
      FLAGS.output_dir, FLAGS.cifar10, FLAGS.camvid or '', FLAGS.seeds
  ).values()))


if __name__ == '__main__':
  evidence.define_flags(
      ('classifiers', 'terms', 'transfer'),
      {'cifar10': 'CIFAR-10', 'camvid': 'CamVid, for the part transfer'})
  flags.DEFINE_integer(
      'seeds', 1, 'number of runs of each side of the transfer.', lower_bound=1)
  cli.run(main, __doc__)
