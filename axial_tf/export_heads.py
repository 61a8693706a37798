"""Exports the heads of a trained model for edge devices: TFLite or ONNX.

Examples:
  python -m axial_tf.export_heads --model_dir=runs/demo --size=180,240 \\
    --output=heads.tflite
  python -m axial_tf.export_heads --model_dir=runs/demo --size=180,240 \\
    --format=tflite_dynamic --output=heads.tflite

The file takes `image_tensor`, uint8 RGB [1, height, width, 3], and gives the
outputs of an export's signature `heads`: of Panoptic-DeepLab,
semantic_probabilities, center_heatmap and offset of that size. It is run once
and written only if its outputs match the trained model's. For TF Serving and
for images of any size, see axial_tf.export.
"""

import os

from absl import flags

from axial_tf import cli, errors
from axial_tf.files import model_folders, paths

FLAGS = flags.FLAGS


def _define_flags() -> None:
  cli.define_path('model_dir', None, 'folder of the training run.')
  cli.define_path(
      'checkpoint', None, 'path of one of the run\'s checkpoints. Default: the '
      'newest.')
  flags.DEFINE_list(
      'size', None, 'height and width of the images, in pixels.')
  flags.DEFINE_enum(
      'format', 'tflite', ['tflite', 'tflite_dynamic', 'onnx'],
      'tflite_dynamic has 8-bit weights: smaller, and less exact.')
  cli.define_path('output', None, 'file to write; an existing one is replaced.')


def main() -> None:
  cli.require(model_dir='the folder of a training run',
              size='height and width such as 180,240',
              output='a file name')
  height, width = cli.size('size', FLAGS.size)
  if os.path.isdir(FLAGS.output):
    raise errors.UserError(
        f'--output: {FLAGS.output} is a folder, expected a file name')
  paths.require_reachable(FLAGS.output)
  model_folders.find(FLAGS.model_dir).require(model_folders.PANOPTIC)

  from axial_tf.experiment import restore
  from axial_tf.export import fixed_size
  from axial_tf.files import atomic_files

  inference = restore.load_inference(FLAGS.model_dir, FLAGS.checkpoint)
  content = fixed_size.convert(inference, height, width, FLAGS.format)
  report = fixed_size.check(inference, content, height, width, FLAGS.format)
  atomic_files.write(FLAGS.output, content)
  print(f'{FLAGS.output}: {len(content) / 1e6:.2f} MB, {report}')


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__)
