"""Plans an experiment: measures data and machine, and writes a gin file.

Examples:
  python -m axial_tf.plan --records=datasets/my_scenes --minutes=20 \\
    --output=my_scenes.gin

  For splits whose names do not begin with train and val:
  python -m axial_tf.plan --records=datasets/coco_sample --minutes=20 \\
    --train_split=val2017 --validation_split=val2017 --output=sample.gin

The file is an ordinary experiment with a comment for each choice, meant to be
edited; the command prints the same as a table. --minutes is the time of
training with its validations on this machine, which should do nothing else
meanwhile: a few training steps are timed.
"""

import shlex

from absl import flags

from axial_tf import cli, errors
from axial_tf.files import paths

FLAGS = flags.FLAGS


def _define_flags() -> None:
  cli.define_path('records', None, 'folder of data_prep.convert.')
  flags.DEFINE_float(
      'minutes', None, 'time for training with validations.', lower_bound=0)
  cli.define_path('output', None, 'gin file to write.')
  flags.DEFINE_string(
      'train_split', None, 'training split. Default: the one whose name begins '
      'with train.')
  flags.DEFINE_string(
      'validation_split', None, 'validation split. Default: the one whose name '
      'begins with val.')
  flags.DEFINE_bool('overwrite', False, 'replace an existing --output.')


def main() -> None:
  cli.require(records='a folder of records', minutes='a number above 0',
              output='a gin file to write')
  paths.require_reachable(FLAGS.output)
  if paths.exists(FLAGS.output) and not FLAGS.overwrite:
    raise errors.UserError(
        f'--output: {FLAGS.output} exists; give another name, or --overwrite '
        f'to replace it')

  from axial_tf.files import atomic_files
  from axial_tf.planning import machine, planner

  plan = planner.plan(
      FLAGS.records, FLAGS.minutes, machine.find(), FLAGS.train_split,
      FLAGS.validation_split)
  atomic_files.write(FLAGS.output, plan.gin().encode())
  print(plan.table())
  print(f'predicted: {plan.train_seconds / 60:.1f} minutes of training steps, '
        f'{plan.total_seconds / 60:.1f} in all')
  print(f'next: python -m axial_tf.train '
        f'--gin_file={shlex.quote(FLAGS.output)} --model_dir=runs/planned')


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__)
