"""Exports a trained model for TensorFlow Serving and axial_tf.Predictor.

Example:
  python -m axial_tf.export --model_dir=runs/demo --export_dir=exports/demo

Writes exports/demo/<version>/ with a SavedModel that takes images of any size,
as uint8 tensors or as image files, model.json with the categories, and
model_card.md. The version appears only after the SavedModel was reloaded and
gave the same results as the trained model.

  python -m axial_tf.export --model_dir=runs/demo --export_dir=exports/demo \\
    --check

compares an existing version with the checkpoint that it was made from, and
writes nothing.

  python -m axial_tf.export --model_dir=runs/demo --export_dir=exports/demo \
    --compiled_size=96,128

adds the signature `compiled` for servers with a GPU: XLA compiles the network
for images that it sees at this size.
"""

import itertools
import os
import sys
from typing import Tuple

from absl import flags

from axial_tf import cli, errors
from axial_tf.files import model_folders, paths, text_files

FLAGS = flags.FLAGS

# Flags of the models of a task, and flags that --check takes from the export.
_OF_TASK = {
    model_folders.PANOPTIC: ('scales', 'flip'),
    model_folders.CLASSIFICATION: ('top',),
}
_OF_AN_EXPORT = ('checkpoint', 'max_pixels', 'on_error', 'batch_sizes',
                 'compiled_size',
                 *itertools.chain.from_iterable(_OF_TASK.values()))


def _define_flags() -> None:
  cli.define_path(
      'model_dir', None, 'folder of the training run.')
  cli.define_path(
      'export_dir', None, 'folder for the exported versions.')
  cli.define_path(
      'checkpoint', None, 'path of one of the run\'s checkpoints. Default: the '
      'newest.')
  flags.DEFINE_string(
      'version', 'auto', 'number of the version; auto takes the highest in '
      '--export_dir plus 1. Without a number: print that of axial_tf.')
  flags.DEFINE_list(
      'scales', None, 'image scales to average over, such as 0.5,1,1.5; '
      'default: those of the run.')
  flags.DEFINE_bool('flip', False, 'also average over the mirrored image.')
  flags.DEFINE_integer(
      'top', 5, 'number of classes that a classifier returns for an image.',
      lower_bound=1)
  flags.DEFINE_integer(
      'max_pixels', 50_000_000, 'height times width of the largest image file '
      'that is decoded; larger ones are errors.', lower_bound=1)
  flags.DEFINE_enum(
      'on_error', 'fail', ['fail', 'mark'], 'effect of a bad file: fail its '
      'whole request, or mark it with num_segments (of a classifier: '
      'classes) -1 and process the others.')
  flags.DEFINE_list(
      'batch_sizes', ['1', '2', '4'], 'sizes of the warm-up requests and of '
      'the batches that the server may form, ascending.')
  flags.DEFINE_list(
      'compiled_size', None, 'height and width of the images of an extra '
      'signature, compiled, whose network XLA compiles; default: none.')
  flags.DEFINE_bool(
      'check', False, 'compare the version (auto: the highest) with the model '
      'instead of writing one.')


def main() -> None:
  cli.require(model_dir='the folder of a training run',
              export_dir='a folder for the export')
  paths.require_reachable(FLAGS.export_dir)
  version = None
  if FLAGS.version != 'auto':
    if not FLAGS.version.isdecimal():
      raise errors.UserError(
          f'--version: expected auto or a positive integer, got '
          f'{FLAGS.version!r}')
    version = int(FLAGS.version)
  scales = cli.numbers('scales', FLAGS.scales)
  if FLAGS.check:
    cli.refuse(
        _OF_AN_EXPORT, ': --check takes it from the export; leave it out')
    _check(version)
    return
  found = model_folders.find(FLAGS.model_dir).task
  for task, names in _OF_TASK.items():
    if found not in (task, None):
      cli.refuse(names, f' belongs to {task.title}, but the model is one of '
                        f'{found.title}; leave it out')
  _export(version, scales)


def _export(version, scales) -> None:
  """Writes a version."""
  from axial_tf import devices
  from axial_tf.experiment import restore, tuned
  from axial_tf.export import saved_model, serving_settings
  from axial_tf.inference import multi_scale
  from axial_tf.training import checkpoints, progress

  settings = serving_settings.ServingSettings(
      FLAGS.max_pixels, FLAGS.on_error, FLAGS.top, _batch_sizes(),
      cli.size('compiled_size', FLAGS.compiled_size))
  inference = restore.load_inference(FLAGS.model_dir, FLAGS.checkpoint)
  if scales is not None or FLAGS.flip:
    inference.multi_scale = multi_scale.MultiScaleSettings(
        tuple(scales or (1.0,)), FLAGS.flip)
  devices.available().announce()
  checkpoint = checkpoints.find(FLAGS.checkpoint or FLAGS.model_dir)
  tuning = None
  if inference.task is model_folders.PANOPTIC:
    tuning = tuned.description(FLAGS.model_dir, tuned.Choice(
        inference.merging, inference.multi_scale), checkpoint)
  if tuning is not None:
    print(tuning, file=sys.stderr, flush=True)
  version_dir = saved_model.export_saved_model(
      inference, FLAGS.export_dir, version=version, metadata={
          'tuning': tuning,
          'checkpoint': os.path.relpath(checkpoint, FLAGS.model_dir),
          'metrics': progress.metrics_at(
              FLAGS.model_dir, checkpoints.step_of(checkpoint)) or {},
          'config': text_files.read(
              os.path.join(FLAGS.model_dir, model_folders.CONFIG)),
      }, settings=settings)
  print(f'exported {checkpoint} to {version_dir}')


def _batch_sizes() -> Tuple[int, ...]:
  if not all(size.isdecimal() for size in FLAGS.batch_sizes):
    raise errors.UserError(
        f'--batch_sizes: expected numbers such as 1,2,4, got '
        f'{",".join(FLAGS.batch_sizes)}')
  return tuple(map(int, FLAGS.batch_sizes))


def _check(version) -> None:
  """Compares a version with its checkpoint."""
  from axial_tf import settings as settings_lib
  from axial_tf.experiment import restore
  from axial_tf.export import saved_model
  from axial_tf.inference import multi_scale

  existing = model_folders.versions(FLAGS.export_dir)
  if not existing or version not in (None, *existing):
    raise errors.UserError(
        f'{FLAGS.export_dir}: expected '
        f'{"an exported version" if version is None else f"version {version}"}'
        f', found {existing or "none"}')
  version_dir = os.path.join(FLAGS.export_dir, str(version or existing[-1]))
  content = model_folders.read_model_json(version_dir)
  task = model_folders.find(FLAGS.model_dir).task or model_folders.PANOPTIC
  views = None
  try:
    content[task.spec]
    rules, checkpoint = content['input_rules'], content['checkpoint']
    if task is model_folders.PANOPTIC:
      views = multi_scale.MultiScaleSettings(
          tuple(rules['scales']), rules['flip'])
      content['merging']
  except (KeyError, TypeError) as error:
    raise errors.UserError(
        f'{version_dir}: model.json lacks data to compare it with '
        f'{FLAGS.model_dir} ({errors.first_line(error)}); is it from this '
        f'run? If so, export the model again') from error
  inference = restore.load_inference(
      FLAGS.model_dir, os.path.join(FLAGS.model_dir, checkpoint))
  if views is not None:
    inference.multi_scale = views
    inference.merging = settings_lib.from_dict(
        type(inference.merging), content['merging'], 'merging')
  differences = saved_model.check(inference, version_dir)
  print(f'{version_dir} equals {checkpoint} of {FLAGS.model_dir}: '
        f'{differences}')


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__)
