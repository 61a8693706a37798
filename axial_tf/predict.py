"""Segments or classifies image files with a trained or exported model.

Examples:
  python -m axial_tf.predict --model=exports/demo --input='photos/*.jpg' \\
    --output_dir=segmented

  --input is a file, a folder (searched with its subfolders) or a pattern;
  --model an export or the --model_dir of a training run.

  python -m axial_tf.predict --model=runs/demo --input=photo.jpg \\
    --output_dir=segmented --pictures=overlay,attention --pixel=120,80 \\
    --layer=stage4_block1 --head=0

  python -m axial_tf.predict --model=runs/coco --input=/data/coco/val2017 \\
    --output_dir=results --format=coco --scales=0.5,0.75,1,1.25,1.5 --flip

Writes for each image, below --output_dir in the same subfolders:
  <name>_panoptic.png   the segment of each pixel: id = R + 256 G + 65536 B
  <name>.json           the segments: id, category, score, area, box
and, of these, the --pictures that are asked for:
  <name>_overlay.png    the image under its colored, labeled segments; legend
  <name>_heatmap.png    where the model sees centers of things
  <name>_offsets.png    in which direction each pixel's center lies
  <name>_attention.png  what --pixel attends to in --layer: its column, its
                        row, and the two together; --model is a training run

With --format, what the official evaluators (and axial_tf.evaluate) take:
  coco        panoptic.json and panoptic/*.png; detections.json
  cityscapes  panoptic.json and panoptic/*.png; semantic/*_labelIds.png;
              instances/*.txt and masks
  mapillary   panoptic.json and panoptic/*.png; with --class_list, instances/

With --beam, images are segmented by Apache Beam, on a cluster with --runner
and --pipeline_options; --model, --input and --output_dir may then be remote:

  python -m axial_tf.predict --beam --runner=DataflowRunner \\
    --pipeline_options='--project=mine --region=here' --batch_size=8 \\
    --model=gs://mine/exports/coco --input='gs://mine/photos/*.jpg' \\
    --output_dir=gs://mine/segmented

Where --model is a classifier, the most probable classes of each image are
printed; with --json as JSON lines, and with --output_dir these are written to
classes.jsonl in it, one by one, so that a stop loses none:

  python -m axial_tf.predict --model=runs/cifar10 --input=photos --top=3

An image that cannot be read is named and left out, the others are done, and
the exit status is 1. Results of an earlier run that lie among the images are no
images, and no image is replaced by a result.
"""

import os
import sys

from absl import flags

from axial_tf import beam_runner, cli
from axial_tf.files import paths

FLAGS = flags.FLAGS

_CLASSIFIERS_FLAGS = ('top', 'json')
_SEGMENTERS_FLAGS = ('format', 'image_list', 'class_list', 'scales', 'flip',
                     'pictures', 'pixel', 'layer', 'head', 'beam', 'runner',
                     'pipeline_options')


def _define_flags() -> None:
  cli.define_path(
      'model', None, 'folder of an export, of one of its versions, or of a '
      'training run.')
  cli.define_path(
      'input', None, 'image file, folder, or pattern such as photos/*.jpg '
      '(** for any depth); quote patterns.', any_bytes=True)
  cli.define_path(
      'output_dir', None, 'folder for the results.')
  flags.DEFINE_integer(
      'top', 5, 'how many classes to give, with a classifier.', lower_bound=1)
  flags.DEFINE_bool('json', False, 'print JSON lines, with a classifier.')
  flags.DEFINE_enum(
      'format', 'files', ['files', 'coco', 'cityscapes', 'mapillary'],
      'what to write: files for each image, or results for an evaluator.')
  cli.define_path(
      'image_list', None, 'JSON whose "images" have "id" and "file_name", with '
      '--format=coco; without it, the images\' names are their ids.',
      local=True)
  cli.define_path(
      'class_list', None, 'config.json of Mapillary Vistas, with '
      '--format=mapillary.', local=True)
  flags.DEFINE_integer(
      'batch_size', 1, 'images at a time (to be segmented, of equal size).',
      lower_bound=1)
  flags.DEFINE_list(
      'scales', None, 'average over these scales of the image, such as '
      '0.5,1,1.5; default: those of the model.')
  flags.DEFINE_bool('flip', False, 'average over the mirrored image, too.')
  flags.DEFINE_list(
      'pictures', None, 'which of overlay, heatmap, offsets, attention to '
      'draw; empty for none. Default: overlay with --format=files.')
  flags.DEFINE_string(
      'pixel', None, 'y,x of the pixel whose attention is drawn; the middle of '
      'each image if not given.')
  flags.DEFINE_string(
      'layer', None, 'whose attention is drawn, the last one if not given; an '
      'unknown name lists them.')
  flags.DEFINE_integer(
      'head', None, 'whose attention is drawn, from 0; the mean if not given.')
  flags.DEFINE_bool(
      'beam', False, 'segment with Apache Beam; without --runner, here.')
  beam_runner.define_flags('segment')


def main() -> None:
  from axial_tf import errors
  from axial_tf.files import model_kind

  if FLAGS.model and model_kind.is_classifier(FLAGS.model):
    _classify()
    return
  given = [name for name in _CLASSIFIERS_FLAGS if FLAGS[name].present]
  if given:
    raise errors.UserError(
        f'--{given[0]} belongs to classifiers, but --model is none; leave it '
        f'out')
  _segment()


def _classify() -> None:
  """Prints or writes the classes of all images."""
  from axial_tf import errors
  from axial_tf.files import image_files

  given = [name for name in _SEGMENTERS_FLAGS if FLAGS[name].present]
  if given:
    raise errors.UserError(
        f'--{given[0]} belongs to segmentation, but --model is a classifier; '
        f'leave it out')
  if not FLAGS.input:
    raise errors.UserError(
        '--input is missing: expected an image, a folder or a pattern (see '
        '--help for an example)')
  paths.require_reachable(FLAGS.output_dir)
  files = image_files.find(FLAGS.input, FLAGS.output_dir)

  from axial_tf import devices
  from axial_tf.prediction import image_classifier, predicted_classes

  model = image_classifier.ImageClassifier(FLAGS.model)
  devices.available().announce()
  predicted_classes.classify_all(
      model, files, top=FLAGS.top,
      batch_size=FLAGS.batch_size, as_json=FLAGS.json,
      output_dir=FLAGS.output_dir)


def _segment() -> None:
  """Writes the segments and pictures of all images."""
  from axial_tf import errors
  from axial_tf.files import image_files

  for flag, meaning in ((FLAGS['model'], 'an export or a training run'),
                        (FLAGS['input'], 'an image, a folder or a pattern'),
                        (FLAGS['output_dir'], 'a folder for the results')):
    if not flag.value:
      raise errors.UserError(
          f'--{flag.name} is missing: expected {meaning} (see --help for an '
          f'example)')
  for path in (FLAGS.model, FLAGS.output_dir):
    paths.require_reachable(path)
  files = image_files.find(FLAGS.input, FLAGS.output_dir)
  if os.path.exists(FLAGS.output_dir) and not os.path.isdir(
      FLAGS.output_dir):
    raise errors.UserError(
        f'--output_dir: {FLAGS.output_dir} is a file, expected a folder')
  pictures = _pictures()
  _require_new(files, pictures)
  beam_arguments = beam_runner.arguments()
  if FLAGS.beam or beam_arguments:
    failed = _segment_with_beam(files, pictures, beam_arguments)
  else:
    failed = _segment_here(
        files, pictures, cli.numbers('scales', FLAGS.scales))
  print(f'{len(files) - len(failed)} images segmented, results in '
        f'{FLAGS.output_dir}')

  from axial_tf.files import image_reader

  image_reader.require_all(files, failed, 'segmented')


def _segment_with_beam(files, pictures, arguments):
  """Writes the results of all files; returns those that failed."""
  from axial_tf import errors
  from axial_tf.files import image_files

  given = [name for name in ('image_list', 'class_list', 'scales', 'flip')
           if FLAGS[name].present]
  if FLAGS.format != 'files':
    given.append('format')
  if set(pictures.names) - {'overlay'}:
    given.append('pictures')
  if given:
    raise errors.UserError(
        f'--{given[0]}: with Beam, expected files of each image and at most '
        f'--pictures=overlay; leave it out or run without Beam')
  beam_runner.require_beam()

  from axial_tf.prediction import beam as beam_prediction

  stems = image_files.output_stems(files)
  reasons = beam_prediction.segment_all(
      FLAGS.model,
      [beam_prediction.Job(file, os.path.join(FLAGS.output_dir, stems[file]))
       for file in files],
      FLAGS.output_dir, batch_size=FLAGS.batch_size, pictures=pictures,
      arguments=arguments or ['--runner=DirectRunner'])
  for reason in reasons.values():
    print(f'error: {" ".join(reason.split())}', file=sys.stderr)
  return list(reasons)


def _segment_here(files, pictures, scales):
  """Writes the results of all files; returns those that failed."""
  from axial_tf import devices, errors
  from axial_tf.files import image_files, image_reader
  from axial_tf.prediction import batching, predicted_files, predictor
  from axial_tf.prediction.formats import result_folders

  model = predictor.Predictor(FLAGS.model, scales=scales, flip=FLAGS.flip)
  pictures.check(model)
  folder = _result_folder(model.spec)
  if folder is not None:
    result_folders.require_different_ids(folder, files)
  devices.available().announce()
  stems = image_files.output_stems(files)
  with image_reader.ImageReader(files) as reader:
    for batch in batching.equal_sizes(reader, FLAGS.batch_size):
      try:
        results = model.batch([image for _, image in batch])
        drawn = [pictures.draw(model, result) for result in results]
      except errors.UserError as error:
        for file, _ in batch:
          reader.fail(file, errors.UserError(f'{file}: {error}'))
        continue
      for (file, _), result, picture in zip(batch, results, drawn):
        stem = os.path.join(FLAGS.output_dir, stems[file])
        if folder is None:
          predicted_files.write_segments(result, stem)
        else:
          folder.add(file, result)
        predicted_files.write_pictures(picture, stem)
        reader.finish()
  if folder is not None:
    folder.close()
  return reader.failed


def _require_new(files, pictures) -> None:
  """Checks that no result replaces an image."""
  from axial_tf.files import earlier_results, image_files

  if paths.is_remote(FLAGS.output_dir):
    return
  if FLAGS.format == 'files':
    endings = ['_panoptic.png', '.json', *(
        f'_{name}.png' for name in pictures.names)]
    stems = image_files.output_stems(files).values()
    outputs = [stem + ending for stem in stems for ending in endings]
  else:
    outputs = [os.path.join(folder, os.path.basename(file)) for file in files
               for folder in earlier_results.FOLDERS]
  earlier_results.require_new(
      files, (os.path.join(FLAGS.output_dir, name) for name in outputs))


def _result_folder(spec):
  """Returns the writer that --format asks for; None for files."""
  from axial_tf import errors
  from axial_tf.prediction.formats import result_folders

  for name, wanted in (('image_list', 'coco'), ('class_list', 'mapillary')):
    if FLAGS[name].value is not None and FLAGS.format != wanted:
      raise errors.UserError(
          f'--{name} belongs to --format={wanted}, got --format='
          f'{FLAGS.format}')
  if FLAGS.format == 'coco':
    return result_folders.CocoFolder(FLAGS.output_dir, spec, FLAGS.image_list)
  if FLAGS.format == 'cityscapes':
    return result_folders.CityscapesFolder(FLAGS.output_dir, spec)
  if FLAGS.format == 'mapillary':
    names = None if FLAGS.class_list is None else (
        result_folders.read_class_names(FLAGS.class_list))
    return result_folders.MapillaryFolder(FLAGS.output_dir, spec, names)
  return None


def _pictures():
  """Returns what --pictures asks for."""
  from axial_tf import errors
  from axial_tf.files import earlier_results
  from axial_tf.prediction import predicted_files

  names = FLAGS.pictures
  if names is None:
    names = ['overlay'] if FLAGS.format == 'files' else []
  cli.require_known('pictures', names, earlier_results.PICTURES)
  given = [name for name in ('pixel', 'layer', 'head')
           if FLAGS[name].value is not None]
  if given and 'attention' not in names:
    raise errors.UserError(
        f'--{given[0]} is about attention; add attention to --pictures')
  return predicted_files.Pictures(
      names, predicted_files.parse_pixel(FLAGS.pixel), FLAGS.layer, FLAGS.head)


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__)
