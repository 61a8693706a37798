"""Exports a trained model for TensorFlow Serving and axial_tf.Predictor.

Example:
  python -m axial_tf.export --model_dir=runs/demo --export_dir=exports/demo

Writes exports/demo/<version>/ with a SavedModel that takes images of any size,
as uint8 tensors or as JPEG or PNG files, model.json with the categories, and
model_card.md. The version appears only after the SavedModel was loaded again
and has given the same results as the trained model.

  python -m axial_tf.export --model_dir=runs/demo --export_dir=exports/demo \\
    --check

compares an existing version with the checkpoint that it was made of, and writes
nothing.
"""

import json
import os
from typing import Any, Dict

from absl import flags

from axial_tf import cli, run_files

FLAGS = flags.FLAGS


def _define_flags() -> None:
  flags.DEFINE_string(
      'model_dir', None, 'folder of the training run.')
  flags.DEFINE_string(
      'export_dir', None, 'folder for the exported versions.')
  flags.DEFINE_string(
      'checkpoint', None, 'path of one of the run\'s checkpoints, without '
      '.index. Default: the newest.')
  flags.DEFINE_string(
      'version', 'auto', 'number of the version; auto takes the highest in '
      '--export_dir plus 1.')
  flags.DEFINE_list(
      'scales', None, 'average over these scales of the image, such as '
      '0.5,1,1.5; default: those of the run.')
  flags.DEFINE_bool('flip', False, 'average over the mirrored image, too.')
  flags.DEFINE_bool(
      'check', False, 'compare the version (auto: the highest) with the model '
      'instead of writing one.')


def main() -> None:
  from axial_tf import errors

  for flag, meaning in ((FLAGS['model_dir'], 'the folder of a training run'),
                        (FLAGS['export_dir'], 'a folder for the export')):
    if not flag.value:
      raise errors.UserError(
          f'--{flag.name} is missing: expected {meaning} (see --help for an '
          f'example)')
  version = None
  if FLAGS.version != 'auto':
    if not FLAGS.version.isdecimal():
      raise errors.UserError(
          f'--version: expected auto or a positive integer, got '
          f'{FLAGS.version!r}')
    version = int(FLAGS.version)
  scales = cli.numbers('scales', FLAGS.scales)

  from axial_tf.models import multi_scale

  views = None
  if scales is not None or FLAGS.flip:
    views = multi_scale.MultiScaleSettings(tuple(scales or (1.0,)), FLAGS.flip)
  if FLAGS.check:
    if views is not None or FLAGS.checkpoint is not None:
      raise errors.UserError(
          '--check takes checkpoint, scales and flip from the export; leave '
          'them out')
    _check(version)
  else:
    _export(version, views)


def _export(version, views) -> None:
  """Writes a version."""
  from axial_tf.serving import export
  from axial_tf.training import checkpoints, restore

  inference = restore.load_inference(FLAGS.model_dir, FLAGS.checkpoint)
  inference.multi_scale = views or inference.multi_scale
  checkpoint = FLAGS.checkpoint or checkpoints.latest(FLAGS.model_dir)
  version_dir = export.export_saved_model(
      inference, FLAGS.export_dir, version=version, metadata={
          'checkpoint': os.path.basename(checkpoint),
          'metrics': _metrics(FLAGS.model_dir, checkpoint)})
  print(f'exported {checkpoint} to {version_dir}')


def _check(version) -> None:
  """Compares a version with its checkpoint."""
  from axial_tf import errors
  from axial_tf.models import multi_scale
  from axial_tf.serving import export, versions
  from axial_tf.training import restore

  existing = versions.versions(FLAGS.export_dir)
  if not existing or version not in (None, *existing):
    raise errors.UserError(
        f'{FLAGS.export_dir}: expected '
        f'{"an exported version" if version is None else f"version {version}"}'
        f', found {existing or "none"}')
  version_dir = os.path.join(FLAGS.export_dir, str(version or existing[-1]))
  content = versions.read_model_json(version_dir)
  try:
    rules, checkpoint = content['input_rules'], content['checkpoint']
    views = multi_scale.MultiScaleSettings(
        tuple(rules['scales']), rules['flip'])
  except (KeyError, TypeError) as error:
    raise errors.UserError(
        f'{version_dir}: model.json lacks what a comparison needs '
        f'({errors.first_line(error)}); export the model again') from error
  inference = restore.load_inference(
      FLAGS.model_dir, os.path.join(FLAGS.model_dir, checkpoint))
  inference.multi_scale = views
  differences = export.check(inference, version_dir)
  print(f'{version_dir} equals {checkpoint} of {FLAGS.model_dir}: '
        f'{differences}')


def _metrics(model_dir: str, checkpoint: str) -> Dict[str, Any]:
  """Returns what the run's last validation of this checkpoint has measured.

  Empty if it was never validated.
  """
  import tensorflow as tf

  path = os.path.join(model_dir, run_files.METRICS)
  step = checkpoint.rpartition('-')[2]
  metrics = {}
  if tf.io.gfile.exists(path):
    with tf.io.gfile.GFile(path) as file:
      for line in file:
        record = json.loads(line)
        if str(record.get('step')) == step:
          metrics = record
  return metrics


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__)
