"""Does axial attention segment real scenes? The paper's questions on CamVid.

  backbones  a small Axial-DeepLab against the same model with a ResNet with at
             least as many parameters and multiply-adds
  terms      attention by content only, and with positions (the paper's)
  spans      the number of pixels of its axis that each pixel attends to

Within a part, all runs have the same recipe, images, steps and decoder; the
parts terms and spans train for fewer steps. Trains the missing runs, then
prints the tables and draws the curves; rerun the same command to resume.

  for split in train val; do python -m data_prep.convert --dataset=custom \\
    --spec=gin_configs/datasets/camvid.json --split=$split \\
    --input_dir=/data/camvid --output_dir=datasets/camvid
  done
  python benchmarks/panoptic_evidence.py --camvid=datasets/camvid \\
    --output_dir=runs/panoptic_evidence --seeds=3

  For the tables of the existing runs only, add --train=false.
"""

import pathlib
import sys
from typing import Dict

from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli
from benchmarks import evidence

FLAGS = flags.FLAGS

_LONG = (
    'TRAIN_STEPS = 500', 'WARMUP_STEPS = 50',
    'RunSettings.validation_interval = 125')
_SHORT = (
    'TRAIN_STEPS = 250', 'WARMUP_STEPS = 30',
    'RunSettings.validation_interval = 125')
_BOTH = (
    *evidence.SHORT_TRAINING_NORMS,
    'RunSettings.checkpoint_interval = 25', 'RunSettings.steps_per_loop = 25')
# The least width, in 32nds, with as many parameters and multiply-adds.
_RESNET = ("variant_settings.spatial = 'convolution'", 'WIDTH = 0.40625')
_CONTENT = (
    'variant_settings.terms = @AttentionTerms()',
    'AttentionTerms.query_position = False',
    'AttentionTerms.key_position = False',
    'AttentionTerms.value_position = False')


def comparisons(output_dir: str, camvid: str, seeds: int
                ) -> Dict[str, evidence.Comparison]:
  """Returns the comparison of each part.

  Args:
    output_dir: folder of all runs.
    camvid: folder of CamVid records.
    seeds: number of runs of each side.
  """
  root = pathlib.Path(output_dir).absolute()

  def comparison(name, budget, sides):
    """`sides` has folder names, and titles and bindings by them."""
    return evidence.Comparison(name, tuple(
        evidence.Run(
            root / f'{folder}_seed{seed}', title, 'experiments/camvid.gin',
            (f'RECORDS = {camvid!r}', f'RunSettings.seed = {seed}', *_BOTH,
             *budget, *bindings))
        for seed in range(1, seeds + 1)
        for folder, (title, *bindings) in sides.items()), ('pq', 'miou'))

  every = (
      comparison('backbones', _LONG, {
          'axial': ('Axial-ResNet',),
          'resnet': ('ResNet', *_RESNET)}),
      comparison('terms', _SHORT, {
          'content': ('content alone', *_CONTENT),
          'global': ('content and positions',)}),
      comparison('spans', _SHORT, {
          **{f'span{span}': (f'span {span}', f'SPAN = {span}')
             for span in (5, 9, 17)},
          'global': ('whole axis',)}))
  return {each.name: each for each in every}


def main() -> None:
  cli.require(output_dir='a folder', camvid='a folder')
  evidence.run_all(list(comparisons(
      FLAGS.output_dir, FLAGS.camvid, FLAGS.seeds).values()))


if __name__ == '__main__':
  evidence.define_flags(('backbones', 'terms', 'spans'), {'camvid': 'CamVid'})
  flags.DEFINE_integer('seeds', 1, 'number of seeds.', lower_bound=1)
  cli.run(main, __doc__)
