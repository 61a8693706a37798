"""Classifies image files with a trained or exported model.

Examples:
  python -m axial_tf.classify --model=runs/cifar10 --input=photos --top=3

  python -m axial_tf.classify --model=exports/cifar10 --input='photos/*.jpg' \\
    --output_dir=classes

  --input is a file, a folder (searched with its subfolders) or a pattern;
  --model an export or the --model_dir of a training run.

Prints the most probable classes of each image; with --json as JSON lines, and
with --output_dir these are also written to classes.jsonl in it, one by one, so
that an interruption loses none.

An image that cannot be read is reported and skipped, the others are processed,
and the exit status is 1.
"""

from absl import flags

from axial_tf import cli
from axial_tf.files import model_folders, paths

FLAGS = flags.FLAGS


def define_common_flags() -> None:
  """Defines the flags that axial_tf.predict shares."""
  cli.define_path(
      'model', None, 'folder of an export, of one of its versions, or of a '
      'training run.')
  cli.define_path(
      'input', None, 'image file, folder, or pattern such as photos/*.jpg '
      '(** for any depth); quote patterns.', any_bytes=True)
  cli.define_path(
      'output_dir', None, 'folder for the results.')
  flags.DEFINE_integer(
      'batch_size', 1, 'images at a time (of equal size, if segmented).',
      lower_bound=1)
  flags.DEFINE_enum(
      'compile', 'auto', ['auto', 'always', 'never'], 'whether XLA compiles '
      'the network of a training run: auto on GPUs, for up to 4 shapes of '
      'batches that come more than 100 times; always for the first 4, on CPUs, '
      'too.')


def define_own_flags() -> None:
  """Defines the flags that apply to classifiers only."""
  flags.DEFINE_integer(
      'top', 5, 'number of classes to show, with a classifier.', lower_bound=1)
  flags.DEFINE_bool('json', False, 'print JSON lines, with a classifier.')


def main() -> None:
  cli.require(model='an export or a training run',
              input='an image, a folder or a pattern')
  paths.require_reachable(FLAGS.output_dir)
  model_folders.find(FLAGS.model).require(model_folders.CLASSIFICATION)

  from axial_tf.files import image_files  # Loads Pillow.

  files = image_files.find(FLAGS.input, FLAGS.output_dir)

  from axial_tf import devices
  from axial_tf.prediction import image_classifier, predicted_classes

  model = image_classifier.ImageClassifier(
      FLAGS.model, compile=FLAGS.compile)
  devices.available().announce()
  predicted_classes.classify_all(
      model, files, top=FLAGS.top, batch_size=FLAGS.batch_size,
      as_json=FLAGS.json, output_dir=FLAGS.output_dir)


if __name__ == '__main__':
  define_common_flags()
  define_own_flags()
  cli.run(main, __doc__)
