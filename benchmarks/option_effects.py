"""Trains with each option of the network alone, at equal steps.

The options are those beyond the paper: flips and turns, Gaussians by size,
heads at stride 2, weight on borders, the semantic loss of the hardest half of
the pixels. Runs differ in one of them; 'none' has all off, 'as planned' those
that the planner chose. Validation averages no mirror images, which halves its
time. Trains the missing runs, then prints the table; rerun the command to
resume.

  python -m axial_tf.plan --records=datasets/nuclei --minutes=20 \\
    --output=nuclei.gin
  python benchmarks/option_effects.py --planned=nuclei.gin --steps=400 \\
    --output_dir=runs/nuclei_options --seeds=2
"""

import pathlib
import sys
from typing import Sequence

from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli
from benchmarks import evidence

FLAGS = flags.FLAGS

# Title -> binding, off and on.
_OPTIONS = {
    'vertical flips': ('AugmentationSettings.vertical_flip', False, True),
    'quarter turns': ('AugmentationSettings.quarter_turns', False, True),
    'sigma by size': ('TargetSettings.sigma_by_size', 0.0, 0.5),
    'heads at stride 2': ('PanopticDeepLabSettings.heads_stride', 4, 2),
    'border weight 3': ('LossSettings.boundary_weight', 1.0, 3.0),
    'hardest half': ('LossSettings.semantic_top_k', 1.0, 0.5),
}
_NONE, _PLANNED = 'none', 'as planned'


def comparison(planned: str, output_dir: str, steps: int, seeds: int,
               titles: Sequence[str] = ()) -> evidence.Comparison:
  """Returns the runs.

  Args:
    planned: file of the planner.
    output_dir: folder of all runs.
    steps: training steps of each.
    seeds: number of runs of each side.
    titles: the sides; all if there are none.
  """
  off = {name: value for name, value, _ in _OPTIONS.values()}
  sides = {_NONE: off, _PLANNED: {}, **{
      title: {**off, name: on} for title, (name, _, on) in _OPTIONS.items()}}
  root = pathlib.Path(output_dir).absolute()
  return evidence.Comparison('options', tuple(
      evidence.Run(
          root / f'{title.replace(" ", "_")}_seed{seed}', title, planned,
          (f'TRAIN_STEPS = {steps}', f'WARMUP_STEPS = {steps // 10}',
           f'RunSettings.validation_interval = {steps}',
           f'RunSettings.seed = {seed}', 'FLIP = False',
           *(f'{name} = {value!r}' for name, value in bindings.items())))
      for seed in range(1, seeds + 1) for title, bindings in sides.items()
      if not titles or title in titles), (
          'pq', 'pq_things', 'pq_stuff', 'miou'))


def main() -> None:
  cli.require(output_dir='a folder', planned='a gin file of axial_tf.plan')
  cli.require_known('sides', FLAGS.sides, [_NONE, _PLANNED, *_OPTIONS])
  evidence.run_all([comparison(
      FLAGS.planned, FLAGS.output_dir, FLAGS.steps, FLAGS.seeds,
      FLAGS.sides)])


if __name__ == '__main__':
  evidence.define_flags(('options',), {})
  cli.define_path('planned', None, 'gin file that axial_tf.plan wrote.')
  flags.DEFINE_integer('steps', 400, 'training steps.', lower_bound=10)
  flags.DEFINE_integer('seeds', 1, 'number of seeds.', lower_bound=1)
  flags.DEFINE_list('sides', [], 'rows to make; default: all.')
  cli.run(main, __doc__)
