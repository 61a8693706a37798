"""Trains and validates a model that gin files describe.

Examples:
  python -m axial_tf.train --gin_file=gin_configs/experiments/demo.gin \\
    --model_dir=runs/demo --mode=train_and_eval

  The same with other values (macros in CAPITALS are a file's interface):
  python -m axial_tf.train --gin_file=gin_configs/experiments/demo.gin \\
    --gin_params='TRAIN_STEPS=2000' --gin_params='BATCH_SIZE=4' \\
    --model_dir=runs/longer --mode=train

  The validation score of a finished run:
  python -m axial_tf.train --model_dir=runs/demo --mode=eval

  The time and memory of a run, estimated from a few steps; nothing is written:
  python -m axial_tf.train --gin_file=gin_configs/experiments/demo.gin --dry_run

  All settings that a command would use; nothing is read but gin files:
  python -m axial_tf.train --gin_file=gin_configs/experiments/demo.gin \\
    --gin_params='TRAIN_STEPS=2000' --print_config

Rerun the same command to resume a stopped run.
"""

import os

from absl import flags

from axial_tf import cli, errors
from axial_tf.files import model_folders, paths

FLAGS = flags.FLAGS


def _define_flags() -> None:
  cli.define_paths(
      'gin_file', 'gin file of the experiment; may be repeated. Default: '
      'config.gin of the earlier run in --model_dir.')
  flags.DEFINE_multi_string(
      'gin_params', None, "one gin binding such as 'TRAIN_STEPS=2000'; "
      'overrides the files; may be repeated.')
  cli.define_path(
      'model_dir', None, 'folder for checkpoints, metrics and TensorBoard.')
  flags.DEFINE_enum(
      'mode', 'train_and_eval',
      ['train', 'eval', 'train_and_eval', 'continuous_eval'],
      'what to do: continuous_eval scores each new checkpoint of a run that '
      'another process trains.')
  flags.DEFINE_list(
      'profile_steps', None, 'first and last step of a profile for '
      'TensorBoard, such as 10,20.')
  flags.DEFINE_bool(
      'dry_run', False, 'build everything, train a few steps and print the '
      'time and memory of a run; nothing is written.')
  flags.DEFINE_bool(
      'print_config', False, 'print all settings that would be used, as gin, '
      'and exit; needs no records.')


def main() -> None:
  import tensorflow as tf

  from axial_tf.experiment import complete_text, config, run

  if not (FLAGS.gin_file and (FLAGS.dry_run or FLAGS.print_config)):
    cli.require(model_dir='a folder for this run')
  files = FLAGS.gin_file or []
  for path in (FLAGS.model_dir, *files):
    paths.require_reachable(path)
  saved = os.path.join(FLAGS.model_dir or '', model_folders.CONFIG)
  if not files:
    if not tf.io.gfile.exists(saved):
      raise errors.UserError(
          f'--gin_file is missing and {saved} does not exist: give the gin '
          f'file of an experiment (see --help for an example)')
    files = [saved]
  bindings = list(FLAGS.gin_params or [])
  if FLAGS.profile_steps:
    steps = ', '.join(FLAGS.profile_steps)
    bindings.append(f'RunSettings.profile_steps = ({steps},)')
  experiment = config.parse(files, bindings, fill_required=FLAGS.print_config)
  if FLAGS.print_config:
    print(complete_text.of(experiment))
    return
  if FLAGS.dry_run:
    print(run.dry_run(experiment))
    return
  run.run(experiment, FLAGS.model_dir, FLAGS.mode)


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__)
