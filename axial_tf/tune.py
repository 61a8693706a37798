"""Chooses merging settings and image scales of a run on its validation images.

Examples:
  python -m axial_tf.tune --model_dir=runs/demo

  Also try to average over scales, which takes as many times longer in every
  later use, and over mirrored images:
  python -m axial_tf.tune --model_dir=runs/demo --scales=1,1.5 \\
    --scales=0.75,1,1.25 --flip

The network runs once over the images for each set of scales; then center
threshold, window, suppression, number of centers and the limits of stuff and
instances are searched for the highest PQ. What is found on one half of the
images is scored on the other one ("cross-fitted"). If that is better than what
was configured, tuning.json in the run keeps the settings found on all images,
and eval, predict and export use them. --reset removes it.
"""

import os

from absl import flags

from axial_tf import cli, errors
from axial_tf.files import model_folders

FLAGS = flags.FLAGS


def _define_flags() -> None:
  cli.define_path('model_dir', None, 'folder of the training run.')
  cli.define_path(
      'checkpoint', None, 'path of one of the run\'s checkpoints. Default: the '
      'newest.')
  flags.DEFINE_multi_string(
      'scales', None, 'image scales to average over, such as 0.75,1,1.25, to '
      'try besides those of the run; may be repeated.')
  flags.DEFINE_bool(
      'flip', False, 'also try each set of scales with mirrored images.')
  flags.DEFINE_integer(
      'images', 500, 'largest number of validation images, the first ones; '
      'each of some 150 settings is tried on all of them.', lower_bound=2)
  flags.DEFINE_multi_string(
      'gin_params', None, "one gin binding such as \"RECORDS='/data/coco'\"; "
      'overrides the configuration of the run; may be repeated.')
  flags.DEFINE_bool(
      'always_write', False, 'keep what was found even if its cross-fitted PQ '
      'is not better.')
  flags.DEFINE_bool('reset', False, 'remove what was tuned, and end.')


def main() -> None:
  cli.require(model_dir='the folder of a training run')
  folder = model_folders.find(FLAGS.model_dir)
  if folder.is_export:
    raise errors.UserError(
        f'{folder.path}: is an export, whose settings are fixed; tune the '
        f'training run and export it again')
  folder.require(model_folders.PANOPTIC)

  from axial_tf.experiment import tuned

  if FLAGS.reset:
    removed = tuned.reset(FLAGS.model_dir)
    print(f'{tuned.path(FLAGS.model_dir)}: '
          f'{"removed" if removed else "there is none"}')
    return
  _tune()


def _tune() -> None:
  from axial_tf.experiment import config, tuned
  from axial_tf.training import checkpoints
  from axial_tf.tuning import report, tuning

  checkpoint = (checkpoints.find(FLAGS.checkpoint) if FLAGS.checkpoint
                else checkpoints.latest(FLAGS.model_dir))
  if checkpoint is None:
    raise errors.UserError(
        f'{FLAGS.model_dir}: no checkpoint to tune; train first')
  settings = config.parse(
      [os.path.join(FLAGS.model_dir, model_folders.CONFIG)],
      FLAGS.gin_params or [])
  with config.plain_user_errors():
    result = tuning.tune(
        settings, FLAGS.model_dir, checkpoint,
        _views(settings.task.multi_scale), FLAGS.images)
  print(report.text(result))
  pq = result.tuning.pq
  if pq.cross_fitted > pq.configured or FLAGS.always_write:
    tuned.save(FLAGS.model_dir, result.tuning)
    print(f'\n{tuned.path(FLAGS.model_dir)}: written; eval, predict and export '
          f'use it')
  else:
    print('\nnothing written: the cross-fitted PQ is not better than what is '
          'configured; --always_write keeps it nevertheless')


def _views(own):
  """Returns the views that the flags add to those of the run."""
  from axial_tf.inference import multi_scale

  scales = [own.scales, *(tuple(cli.numbers('scales', text.split(',')))
                          for text in FLAGS.scales or ())]
  return [multi_scale.MultiScaleSettings(one, flip)
          for one in scales for flip in ((False, True) if FLAGS.flip
                                         else (False,))]


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__)
